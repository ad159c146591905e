/** How accepted orders become durable: gathered into statements, with numbers taken in blocks. */
import type { Database } from '@waybill/kit/db.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { wakeSequencer } from '@waybill/kit/eventlog.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { gather } from '@waybill/kit/gather.ts';
import { insertOrders, takeNumbers, type Acceptance } from './store.ts';

/** Stores an accepted order; resolves once it is durable. True: stored; false: its key was used. */
export type StoreOrder = (acceptance: Acceptance) => Promise<boolean>;

const MAX_WAITING = 20_000;

/** Orders that arrive while a statement is in flight share the next one (ADR 0005). */
export function createOrderStore(db: Database): StoreOrder {
  return gather(
    async (batch) => {
      const first = new Map<string, Acceptance>();
      for (const acceptance of batch)
        first.set(keyIn(acceptance), first.get(keyIn(acceptance)) ?? acceptance);
      await failpoint('orders.accept.before_insert');
      const stored = await insertOrders(db, [...first.values()]);
      wakeSequencer('orders');
      await failpoint('orders.accept.after_commit');
      return batch.map((acceptance) => stored.has(acceptance.row.id));
    },
    {
      maxBatch: 128,
      flights: 1,
      maxWaiting: MAX_WAITING,
      overflow: () => new Outage('database', 'too many orders are waiting to be stored'),
    },
  );
}

/** Two requests with one key in one batch: only the first goes to the database. */
function keyIn({ row, idempotency }: Acceptance): string {
  return idempotency === undefined ? row.id : `${idempotency.scope}\n${idempotency.key}`;
}

const NUMBERS = 512;

/** Hands out order numbers, taken from the sequence in blocks. */
export function createNumbering(db: Database): () => Promise<number> {
  let numbers: number[] = [];
  let refill: Promise<void> | undefined;
  return async () => {
    for (;;) {
      const number = numbers.shift();
      if (number !== undefined) return number;
      refill ??= takeNumbers(db, NUMBERS)
        .then((block) => {
          numbers = block;
        })
        .finally(() => {
          refill = undefined;
        });
      await refill;
    }
  };
}
