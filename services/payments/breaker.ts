/**
 * The breaker in front of the provider, and how many calls may be begun: none while it is open,
 * one trial when the recovery time is over, 16 until five in a row have succeeded, then all. After
 * an outage the backlog is paced, so that the provider that has just come back is not overrun.
 */
import {
  createBreaker,
  isFailure,
  type BreakerSettings,
  type Judged,
} from '@waybill/kit/breaker.ts';
import { epochMs, monotonicMs } from '@waybill/kit/clock.ts';
import { histogram } from '@waybill/kit/telemetry.ts';

export interface ProviderBreakerSettings extends BreakerSettings {
  readonly concurrency: number;
  /** Calls a second while a backlog drains; asked for when the provider is back. */
  readonly drainRate: () => Promise<number>;
}

export interface ProviderBreaker {
  /** How many calls may be begun now, given how many are in flight. */
  room(running: number): number;
  /** Told how many were asked for and begun; a backlog that is used up ends the pacing. */
  began(asked: number, got: number): void;
  /** Runs the call; an open breaker answers with an outage that never reached the provider. */
  run<A extends Judged>(
    call: () => Promise<A>,
  ): Promise<{ answer: A | typeof NOT_REACHED; trial: boolean }>;
}

const NOT_REACHED = { kind: 'outage', message: 'the breaker is open', reached: false } as const;
const COLD = 16;
const WARM_AFTER = 5;
const RATE_MS = 10_000;
const callDuration = histogram(
  'waybill_payment_call_duration_seconds',
  'Time of a call to the payment provider',
  ['provider', 'outcome'],
);

/** The breaker of one provider, which also paces what waited out an outage. */
export function createProviderBreaker(
  target: string,
  settings: ProviderBreakerSettings,
): ProviderBreaker {
  let succeeded = 0;
  let pace: Pace | undefined;
  let rateAskedAt = 0;
  /** Asked again while the backlog lasts: a pace below what comes in would never use it up. */
  const askRate = () => {
    rateAskedAt = epochMs();
    settings.drainRate().then(
      (rate) => pace?.change(rate),
      () => {},
    );
  };
  const breaker = createBreaker(target, settings, (now) => {
    if (now === 'open') {
      succeeded = 0;
      pace = undefined;
    } else {
      // Until the rate is known, the pace is a crawl.
      pace = createPace(1);
      askRate();
    }
  });
  return {
    room: (running) =>
      breaker.room(running, () => {
        const limit =
          succeeded < WARM_AFTER ? Math.min(COLD, settings.concurrency) : settings.concurrency;
        const free = Math.max(0, limit - running);
        if (pace !== undefined && epochMs() - rateAskedAt >= RATE_MS) askRate();
        return pace === undefined ? free : Math.min(free, pace.available());
      }),
    began(asked, got) {
      pace?.take(got);
      if (got < asked) pace = undefined;
    },
    run: (call) =>
      breaker.run(async () => {
        const startedMs = monotonicMs();
        const answer = await call();
        const seconds = (monotonicMs() - startedMs) / 1000;
        callDuration.observe({ provider: target, outcome: answer.kind }, seconds);
        succeeded = isFailure(answer) ? 0 : succeeded + 1;
        return answer;
      }, NOT_REACHED),
  };
}

interface Pace {
  available(): number;
  take(count: number): void;
  change(perSecond: number): void;
}

/** A token bucket that holds at most a second's worth. */
function createPace(firstRate: number): Pace {
  let perSecond = firstRate;
  let tokens = 1;
  let at = epochMs();
  return {
    available() {
      const now = epochMs();
      tokens = Math.min(Math.max(1, perSecond), tokens + ((now - at) / 1000) * perSecond);
      at = now;
      return Math.floor(tokens);
    },
    take(count) {
      tokens -= count;
    },
    change(rate) {
      perSecond = rate;
    },
  };
}
