/**
 * Polls that wait. None of them holds a connection: an assignment made in this process wakes its
 * executor directly, those made in others are found by one look for all who wait here.
 */
import { sleep } from '@waybill/kit/clock.ts';
import type { Database } from '@waybill/kit/db.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { waitForWake, wake } from '@waybill/kit/wake.ts';
import { findFresh, NEVER } from './views.ts';

export interface Place {
  /** Resolves when there may be something, after the time, or when it is to leave. */
  woken(ms: number): Promise<void>;
  /** Whether the caller has gone, or the process is ending. */
  mustLeave(): boolean;
  leave(): void;
}

export interface Waiting {
  /** Resolves once nothing that is assigned from now on can be missed. */
  enter(executorId: string, hungUp: AbortSignal): Promise<Place>;
  /** Sends everybody away, for good. */
  release(): void;
}

const LOOK_MS = 20;
const FAILED_MS = 500;

function nameOf(executorId: string): string {
  return `dispatch:${executorId}`;
}

/** Tells those of this process who wait for an order. */
export function wakeExecutors(executorIds: Iterable<string>): void {
  for (const executorId of executorIds) wake(nameOf(executorId));
}

/** Makes the waiting room of this process. */
export function createWaiting(db: Database, log: Logger): Waiting {
  const places = new Set<AbortController>();
  let released = false;
  let begun: Promise<void> | undefined;

  /** Looks for as long as anybody waits; the promise is of the first look. */
  const begin = async (): Promise<void> => {
    let { horizon } = await findFresh(db, NEVER);
    const look = async () => {
      while (places.size > 0) {
        await sleep(LOOK_MS);
        try {
          const fresh = await findFresh(db, horizon);
          horizon = fresh.horizon;
          wakeExecutors(new Set(fresh.executorIds));
        } catch (error) {
          log.warn({ reason: (error as Error).message }, 'nobody can look for assignments');
          await sleep(FAILED_MS);
        }
      }
      begun = undefined;
    };
    void look();
  };

  return {
    async enter(executorId, hungUp) {
      const controller = new AbortController();
      const leave = () => controller.abort();
      places.add(controller);
      hungUp.addEventListener('abort', leave, { once: true });
      if (released || hungUp.aborted) leave();
      const place: Place = {
        woken: (ms) => waitForWake(nameOf(executorId), ms, controller.signal),
        mustLeave: () => controller.signal.aborted,
        leave() {
          places.delete(controller);
          hungUp.removeEventListener('abort', leave);
          leave();
        },
      };
      try {
        begun ??= begin().catch((error: unknown) => {
          begun = undefined;
          throw error;
        });
        await begun;
      } catch (error) {
        place.leave();
        throw error;
      }
      return place;
    },
    release() {
      released = true;
      for (const controller of places) controller.abort();
    },
  };
}
