/**
 * The breaker in front of the provider, and how many calls may be begun: none while it is open,
 * one trial when the recovery time is over, 16 until five in a row have succeeded, then all. After
 * an outage the backlog is paced, so that the provider that has just come back is not overrun.
 */
import {
  BrokenCircuitError,
  CircuitState,
  circuitBreaker,
  ConsecutiveBreaker,
  handleWhenResult,
} from 'cockatiel';
import { epochMs, monotonicMs } from '@waybill/kit/clock.ts';
import { gauge, histogram } from '@waybill/kit/telemetry.ts';

interface Judged {
  readonly kind: string;
}

export interface BreakerSettings {
  readonly threshold: number;
  readonly recoverySeconds: number;
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
  ): Promise<{ answer: A | { kind: 'outage'; message: string; reached: false }; trial: boolean }>;
}

const COLD = 16;
const WARM_AFTER = 5;
const RATE_MS = 10_000;
const state = gauge('waybill_breaker_state', '0 closed, 1 half-open, 2 open', ['target']);
const callDuration = histogram(
  'waybill_payment_call_duration_seconds',
  'Time of a call to the payment provider',
  ['provider', 'outcome'],
);

export function createBreaker(target: string, settings: BreakerSettings): ProviderBreaker {
  const breaker = circuitBreaker(
    handleWhenResult((result) => isFailure(result as Judged)),
    {
      halfOpenAfter: settings.recoverySeconds * 1000,
      breaker: new ConsecutiveBreaker(settings.threshold),
    },
  );
  let openedAt = 0;
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
  state.set({ target }, 0);
  breaker.onStateChange((now) => {
    state.set({ target }, now === CircuitState.Open ? 2 : now === CircuitState.HalfOpen ? 1 : 0);
    if (now === CircuitState.Open) {
      openedAt = epochMs();
      succeeded = 0;
    }
    if (now === CircuitState.Closed) {
      // Until the rate is known, the pace is a crawl.
      pace = createPace(1);
      askRate();
    }
  });
  return {
    room(running) {
      if (breaker.state === CircuitState.Open)
        return running === 0 && epochMs() - openedAt >= settings.recoverySeconds * 1000 ? 1 : 0;
      if (breaker.state === CircuitState.HalfOpen) return 0;
      const limit =
        succeeded < WARM_AFTER ? Math.min(COLD, settings.concurrency) : settings.concurrency;
      const free = Math.max(0, limit - running);
      if (pace !== undefined && epochMs() - rateAskedAt >= RATE_MS) askRate();
      return pace === undefined ? free : Math.min(free, pace.available());
    },
    began(asked, got) {
      if (pace === undefined || breaker.state !== CircuitState.Closed) return;
      pace.take(got);
      if (got < asked) pace = undefined;
    },
    async run(call) {
      const trial = breaker.state !== CircuitState.Closed;
      const startedMs = monotonicMs();
      try {
        const answer = await breaker.execute(call);
        const seconds = (monotonicMs() - startedMs) / 1000;
        callDuration.observe({ provider: target, outcome: answer.kind }, seconds);
        succeeded = isFailure(answer) ? 0 : succeeded + 1;
        return { answer, trial };
      } catch (error) {
        if (!(error instanceof BrokenCircuitError)) throw error;
        return {
          answer: { kind: 'outage', message: 'the breaker is open', reached: false },
          trial,
        };
      }
    },
  };
}

function isFailure({ kind }: Judged): boolean {
  return kind === 'fault' || kind === 'outage';
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
