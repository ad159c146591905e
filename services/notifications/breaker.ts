/**
 * The breaker in front of the mail server: none may begin while it is open, one trial when the
 * recovery time is over. What waits behind it stays a task, and uses up nothing.
 */
import { monotonicMs } from '@waybill/kit/clock.ts';
import { gauge } from '@waybill/kit/telemetry.ts';

export interface BreakerSettings {
  /** Outages in a row that open it. */
  readonly threshold: number;
  readonly recoverySeconds: number;
  readonly concurrency: number;
}

export interface Breaker {
  room(running: number): number;
  /** Told how each call ended. */
  ended(well: boolean): void;
}

const state = gauge('waybill_breaker_state', '0 closed, 1 half-open, 2 open', ['target']);

export function createBreaker(target: string, settings: BreakerSettings): Breaker {
  let failures = 0;
  let openedAt = 0;
  const isOpen = () => failures >= settings.threshold;
  state.set({ target }, 0);
  return {
    room(running) {
      if (!isOpen()) return Math.max(0, settings.concurrency - running);
      const recovered = monotonicMs() - openedAt >= settings.recoverySeconds * 1000;
      if (recovered) state.set({ target }, 1);
      return recovered && running === 0 ? 1 : 0;
    },
    ended(well) {
      failures = well ? 0 : failures + 1;
      if (isOpen()) openedAt = monotonicMs();
      state.set({ target }, isOpen() ? 2 : 0);
    },
  };
}
