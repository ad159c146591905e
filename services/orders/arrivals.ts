/** Requests that wait for an order: they look for theirs together. */
import type { Database } from '@waybill/kit/db.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { gather } from '@waybill/kit/gather.ts';
import { findArrived } from './petstore-store.ts';

export type HasArrived = (orderId: string) => Promise<boolean>;

/** Whether an order is there; those who ask while an answer is on its way share the next one. */
export function createArrivals(db: Database): HasArrived {
  return gather(
    async (ids) => {
      const arrived = await findArrived(db, ids);
      return ids.map((id) => arrived.has(id));
    },
    {
      maxBatch: 1000,
      flights: 1,
      maxWaiting: 20_000,
      overflow: () => new Outage('database', 'too many orders are waited for'),
    },
  );
}

/** What wakes those who wait for an order in this process. */
export function arrivalOf(orderId: string): string {
  return `order:${orderId}`;
}
