/**
 * Leases: work that only one process does at a time (sequencing a log, consuming a partition,
 * a sweep). Renewed every second, taken over 3 s after the holder fell silent, by the database's
 * clock. A lease only saves double work: what must not happen twice is guarded by rows besides.
 */
import { sleep } from './clock.ts';
import type { Database } from './db.ts';
import { newId } from './ids.ts';
import type { Logger } from './logger.ts';
import { startLoop, type Stop } from './loop.ts';

export interface Leases {
  /**
   * Keeps trying to hold the lease; while it is held, runs the work, which must return soon after
   * its signal aborts (lost lease or stop). Work that throws when it is stopped keeps the lease, so
   * that the next process finds it taken over.
   */
  hold(name: string, work: LeasedWork): Stop;
  stop: Stop;
}

/** `takenOver`: the holder before, another process, fell silent and may have died of this work. */
export type LeasedWork = (signal: AbortSignal, takenOver: boolean) => Promise<void>;

const LEASE = "interval '3 seconds'";
const RENEW_MS = 1000;

/** The leases of one service in this process. */
export function openLeases(db: Database, log: Logger): Leases {
  const owner = newId();
  const held = new Map<string, AbortController>();
  const stops: Stop[] = [];

  const stopRenewing = startLoop(`${db.service} leases`, log, async (signal) => {
    await sleep(RENEW_MS, signal);
    if (held.size === 0 || signal.aborted) return;
    const names = [...held.keys()];
    let kept: { name: string }[] = [];
    try {
      kept = await db.query<{ name: string }>(
        `update leases set until = now() + ${LEASE}
         where owner = $1 and name = any($2) and until > now() returning name`,
        [owner, names],
      );
    } finally {
      const still = new Set(kept.map((row) => row.name));
      for (const name of names) if (!still.has(name)) held.get(name)?.abort();
    }
  });

  /** Undefined: somebody else holds it. */
  const acquire = async (name: string): Promise<{ takenOver: boolean } | undefined> => {
    const rows = await db.query<{ before: string | null }>(
      `with before as (select owner from leases where name = $1 and until <= now())
       insert into leases (name, owner, until) values ($1, $2, now() + ${LEASE})
       on conflict (name) do update set owner = excluded.owner, until = excluded.until
       where leases.until <= now() returning (select owner from before) as before`,
      [name, owner],
    );
    return rows[0] && { takenOver: rows[0].before !== null && rows[0].before !== owner };
  };

  const release = (name: string) =>
    db.query('delete from leases where name = $1 and owner = $2', [name, owner]);

  return {
    hold(name, work) {
      const stop = startLoop(`${db.service} ${name}`, log, async (signal) => {
        const lease = await acquire(name);
        if (lease === undefined) return sleep(RENEW_MS, signal);
        const lost = new AbortController();
        const abort = () => lost.abort();
        signal.addEventListener('abort', abort, { once: true });
        held.set(name, lost);
        let unfinished = false;
        try {
          if (!signal.aborted) await work(lost.signal, lease.takenOver);
        } catch (error) {
          unfinished = signal.aborted;
          throw error;
        } finally {
          signal.removeEventListener('abort', abort);
          held.delete(name);
          if (!unfinished) await release(name).catch(() => {});
        }
      });
      stops.push(stop);
      return stop;
    },
    async stop() {
      await Promise.all(stops.map((stop) => stop()));
      await stopRenewing();
    },
  };
}
