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
const MAX_WAITING = 50_000;
/** A poll waits a millisecond or two, for a fourth of the statements. */
const FEW_POLLS = { below: 16, restMs: 3 };
// One flight: whatever keeps a commit waiting keeps one connection of the pool.
const limits = (maxBatch: number): GatherOptions => ({
  maxBatch,
  flights: 1,
  maxWaiting: MAX_WAITING,
  overflow: () => new Outage('database', 'too many polls are waiting'),
});

/** Makes what the polls of this process share. */
export function createAcquiring(db: Database): Acquiring {
  const take: Acquiring['take'] = gather<Asking, AcquiredRow | undefined>(async (batch) => {
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
  }, limits(128));
  const isServed = gather<string, boolean>(
    async (batch) => {
      const served = await findServed(db, batch);
      // Nearly always nobody: then no text is hashed only to find that out.
      return batch.map((executorId) => served.size > 0 && served.has(executorId));
    },
    { ...limits(512), few: FEW_POLLS },
  );
  return { isServed, take };
}
