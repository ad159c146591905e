/** How assignments and cancellations become durable: gathered into statements (ADR 0005). */
import type { Database } from '@waybill/kit/db.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { gather } from '@waybill/kit/gather.ts';
import {
  cancelAssignments,
  insertAssignments,
  type AssignmentRow,
  type NewAssignment,
} from './store.ts';
import { wakeExecutors } from './waiting.ts';

export interface Assigning {
  /** Undefined: somebody has acquired the order, or it has ended. */
  readonly store: (asked: ToStore) => Promise<AssignmentRow | undefined>;
  /** Undefined: there is nothing that could be cancelled. */
  readonly cancel: (orderId: string) => Promise<AssignmentRow | undefined>;
}

export interface ToStore {
  readonly row: NewAssignment;
  /** Also from whoever has acquired it. */
  readonly replace: boolean;
}

const MAX_WAITING = 20_000;

/** Makes what the requests of this process share. */
export function createAssigning(db: Database): Assigning {
  const limits = {
    maxBatch: 64,
    flights: 2,
    maxWaiting: MAX_WAITING,
    overflow: () => new Outage('database', 'too many assignments are waiting'),
  };
  const shared = (error: unknown) => error instanceof Outage;
  const store: Assigning['store'] = gather<ToStore, AssignmentRow | undefined>(
    async (batch) => {
      const first = new Map<string, ToStore>();
      for (const asked of batch)
        if (!first.has(asked.row.order_id)) first.set(asked.row.order_id, asked);
      const found = await storeAll(db, [...first.values()]);
      // A second one of the same order has its turn after the first.
      return batch.map((asked) =>
        first.get(asked.row.order_id) === asked
          ? found.get(asked.row.order_id)
          : (store(asked) as unknown as AssignmentRow | undefined),
      );
    },
    shared,
    limits,
  );
  const cancel = gather<string, AssignmentRow | undefined>(
    async (orderIds) => {
      const rows = await cancelAssignments(db, [...new Set(orderIds)]);
      const found = new Map(rows.map((row) => [row.order_id, row]));
      return orderIds.map((orderId, index) =>
        orderIds.indexOf(orderId) === index ? found.get(orderId) : undefined,
      );
    },
    shared,
    limits,
  );
  return { store, cancel };
}

async function storeAll(db: Database, asked: readonly ToStore[]) {
  const replacing = asked.filter(({ replace }) => replace).map(({ row }) => row.order_id);
  const rows = await db.transaction((tx) =>
    insertAssignments(
      tx,
      asked.map(({ row }) => row),
      replacing,
    ),
  );
  wakeExecutors(rows.map((row) => row.executor_id));
  return new Map(rows.map((row) => [row.order_id, row]));
}
