/**
 * Breakers: after so many failures in a row nobody calls the target until the recovery time is
 * over; then one trial does, and its outcome decides.
 */
import {
  BrokenCircuitError,
  CircuitState,
  circuitBreaker,
  ConsecutiveBreaker,
  handleWhenResult,
  type CircuitBreakerPolicy,
  type Policy,
} from 'cockatiel';
import { epochMs } from './clock.ts';
import { decimal, integer, type Values } from './config.ts';
import { gauge } from './telemetry.ts';

/** For the settings of a service whose tasks call somebody outside. */
export const breakerSettings = {
  failureThreshold: integer(
    {
      env: 'CIRCUIT_BREAKER_FAILURE_THRESHOLD',
      help: 'Faults or outages in a row that open the breaker.',
      fallback: '5',
    },
    { min: 1, max: 1_000_000 },
  ),
  recoverySeconds: decimal(
    {
      env: 'CIRCUIT_BREAKER_RECOVERY_TIMEOUT',
      help: 'Seconds that the breaker stays open before one trial.',
      fallback: '60',
    },
    { min: 0.1, max: 86_400 },
  ),
} as const;

export type BreakerSettings = Values<typeof breakerSettings>;

const state = gauge('waybill_breaker_state', '0 closed, 1 half-open, 2 open', ['target']);

/** A circuit whose state is a metric. */
export function createCircuit(
  target: string,
  failures: Policy,
  { failureThreshold, recoverySeconds }: BreakerSettings,
): CircuitBreakerPolicy {
  const circuit = circuitBreaker(failures, {
    halfOpenAfter: recoverySeconds * 1000,
    breaker: new ConsecutiveBreaker(failureThreshold),
  });
  state.set({ target }, 0);
  circuit.onStateChange((now) =>
    state.set({ target }, now === CircuitState.Open ? 2 : now === CircuitState.HalfOpen ? 1 : 0),
  );
  return circuit;
}

/** What a call came to. */
export interface Judged {
  readonly kind: string;
}

export interface Breaker {
  /** How many tasks may begin, given how many are under way; `closed` says it while all is well. */
  room(running: number, closed: () => number): number;
  /** Makes the call, alone as a trial after an outage; while the breaker is open it is not made. */
  run<Made extends Judged, Refused>(
    call: () => Promise<Made>,
    refused: Refused,
  ): Promise<{ answer: Made | Refused; trial: boolean }>;
}

/** The breaker in front of what tasks call; `changed` is told when it opens and closes. */
export function createBreaker(
  target: string,
  settings: BreakerSettings,
  changed: (now: 'open' | 'closed') => void = () => {},
): Breaker {
  const failures = handleWhenResult((result) => isFailure(result as Judged));
  const circuit = createCircuit(target, failures, settings);
  let openedAt = 0;
  circuit.onBreak(() => {
    openedAt = epochMs();
    changed('open');
  });
  circuit.onReset(() => changed('closed'));
  return {
    room(running, closed) {
      if (circuit.state === CircuitState.Closed) return closed();
      const recovered = epochMs() - openedAt >= settings.recoverySeconds * 1000;
      return circuit.state === CircuitState.Open && recovered && running === 0 ? 1 : 0;
    },
    async run(call, refused) {
      const trial = circuit.state !== CircuitState.Closed;
      try {
        return { answer: await circuit.execute(call), trial };
      } catch (error) {
        if (!(error instanceof BrokenCircuitError)) throw error;
        return { answer: refused, trial };
      }
    },
  };
}

/** Whether a call's outcome counts against its target. */
export function isFailure({ kind }: Judged): boolean {
  return kind === 'fault' || kind === 'outage';
}
