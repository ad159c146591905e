/**
 * The hottest path there is. Polls that arrive together share one look at who has something to
 * get; the few who have share one statement that gives it to them (ADR 0005).
 */
import type { Database } from '@waybill/kit/db.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { gather, type GatherOptions } from '@waybill/kit/gather.ts';
import { acquireAssignments, type AcquiredRow, type Asking } from './store.ts';
import { findServed } from './views.ts';

/** What polls share. */
export interface Acquiring {
  readonly isServed: (executorId: string) => Promise<boolean>;
  readonly take: (asking: Asking) => Promise<AcquiredRow | undefined>;
}

const shared = (error: unknown) => error instanceof Outage;
const MAX_WAITING = 50_000;
const limits = (maxBatch: number, flights: number): GatherOptions => ({
  maxBatch,
  flights,
  maxWaiting: MAX_WAITING,
  overflow: () => new Outage('database', 'too many polls are waiting'),
});

/** Makes what the polls of this process share. */
export function createAcquiring(db: Database): Acquiring {
  const take: Acquiring['take'] = gather<Asking, AcquiredRow | undefined>(
    async (batch) => {
      const chosen = new Map<string, Asking>();
      for (const asking of batch)
        if (!chosen.has(asking.executor_id)) chosen.set(asking.executor_id, asking);
      const rows = await acquireAssignments(db, [...chosen.values()]);
      const found = new Map(rows.map((row) => [row.executor_id, row]));
      return batch.map((asking) => {
        const first = chosen.get(asking.executor_id) as Asking;
        const same = first === asking || (!first.next && !asking.next);
        // A second one of the same executor that wants another order waits for its own turn; the
        // caller is given the promise as its answer.
        return same
          ? found.get(asking.executor_id)
          : (take(asking) as unknown as AcquiredRow | undefined);
      });
    },
    shared,
    limits(128, 2),
  );
  const isServed = gather<string, boolean>(
    async (batch) => {
      const served = await findServed(db, batch);
      return batch.map((executorId) => served.has(executorId));
    },
    shared,
    limits(512, 1),
  );
  return { isServed, take };
}
