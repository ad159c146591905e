/** How assignments and cancellations become durable: gathered into statements (ADR 0005). */
import type { Database } from '@waybill/kit/db.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { wakeSequencer } from '@waybill/kit/eventlog.ts';
import { gather } from '@waybill/kit/gather.ts';
import { counter } from '@waybill/kit/telemetry.ts';
import {
  cancelAssignments,
  insertAssignments,
  type AssignmentRow,
  type NewAssignment,
} from './store.ts';
import { wakeExecutors } from './waiting.ts';

export interface Assigning {
  /**
   * Resolves when a request may go on. Those that come close together go on together, so that what
   * they look up, and what they store, is one statement for all of them.
   */
  readonly begin: () => Promise<void>;
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

const assigned = counter('waybill_dispatch_assigned_total', 'Orders assigned', []);

const MAX_WAITING = 20_000;
const TOGETHER = { below: 64, restMs: 5 };
/** Those that have begun together. */
export const FEW = { below: 64, restMs: 0 };

/** Makes what the requests of this process share. */
export function createAssigning(db: Database): Assigning {
  const limits = {
    maxBatch: 64,
    // Whatever keeps a commit waiting keeps one connection of the pool, and polls have theirs.
    flights: 1,
    few: FEW,
    maxWaiting: MAX_WAITING,
    overflow: () => new Outage('database', 'too many assignments are waiting'),
  };
  const store: Assigning['store'] = gather<ToStore, AssignmentRow | undefined>(async (batch) => {
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
  }, limits);
  const cancel = gather<string, AssignmentRow | undefined>(async (orderIds) => {
    const rows = await cancelAssignments(db, [...new Set(orderIds)]);
    if (rows.length > 0) wakeSequencer(db.service);
    const found = new Map(rows.map((row) => [row.order_id, row]));
    return orderIds.map((orderId, index) =>
      orderIds.indexOf(orderId) === index ? found.get(orderId) : undefined,
    );
  }, limits);
  const begin = gather<undefined, undefined>(async (all) => all, { ...limits, few: TOGETHER });
  return { begin: async () => begin(undefined), store, cancel };
}

async function storeAll(db: Database, asked: readonly ToStore[]) {
  const replacing = asked.filter(({ replace }) => replace).map(({ row }) => row.order_id);
  const rows = await insertAssignments(
    db,
    asked.map(({ row }) => row),
    replacing,
  );
  tellAssigned(rows);
  return new Map(rows.map((row) => [row.order_id, row]));
}

/** Tells this process of assignments that were committed. */
export function tellAssigned(rows: readonly AssignmentRow[]): void {
  assigned.inc(rows.length);
  wakeSequencer('dispatch');
  wakeExecutors(rows.map((row) => row.executor_id));
}
