import { nowMs, toTimestamp } from './clock.ts';

const WINDOW_SECONDS = 900;

/** What has been asked of the provider and what came of it, since the process started. */
export interface Counters {
  /** One call by its kind; calls of every kind and charges have a rate of their own. */
  countCall(kind: string): void;
  countOutcome(outcome: string): void;
  show(): CounterView;
}

export interface CounterView {
  readonly requests: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Calls in each of the last 900 seconds, oldest first; the last one is the present second. */
  readonly calls_per_second: readonly number[];
  readonly charges_per_second: readonly number[];
  readonly present_second: number;
  readonly first_call_at: string | null;
  readonly last_call_at: string | null;
}

export function createCounters(): Counters {
  const requests = new Map<string, number>();
  const outcomes = new Map<string, number>();
  const calls = createRate();
  const charges = createRate();
  let firstMs: number | undefined;
  let lastMs: number | undefined;
  return {
    countCall(kind) {
      const now = nowMs();
      firstMs ??= now;
      lastMs = now;
      increase(requests, kind);
      calls.count(now);
      if (kind === 'charge') charges.count(now);
    },
    countOutcome: (outcome) => increase(outcomes, outcome),
    show() {
      const now = nowMs();
      return {
        requests: Object.fromEntries(requests),
        outcomes: Object.fromEntries(outcomes),
        calls_per_second: calls.show(now),
        charges_per_second: charges.show(now),
        present_second: toSecond(now),
        first_call_at: firstMs === undefined ? null : toTimestamp(firstMs),
        last_call_at: lastMs === undefined ? null : toTimestamp(lastMs),
      };
    },
  };
}

/** A ring of one number per second; a slot is cleared when its second comes round again. */
function createRate() {
  const counts = new Uint32Array(WINDOW_SECONDS);
  const seconds = new Float64Array(WINDOW_SECONDS);
  return {
    count(now: number): void {
      const second = toSecond(now);
      const slot = second % WINDOW_SECONDS;
      if (seconds[slot] !== second) {
        seconds[slot] = second;
        counts[slot] = 0;
      }
      counts[slot] = (counts[slot] ?? 0) + 1;
    },
    show(now: number): number[] {
      const last = toSecond(now);
      return Array.from({ length: WINDOW_SECONDS }, (_, index) => {
        const second = last - WINDOW_SECONDS + 1 + index;
        const slot = second % WINDOW_SECONDS;
        return seconds[slot] === second ? (counts[slot] ?? 0) : 0;
      });
    },
  };
}

function increase(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function toSecond(ms: number): number {
  return Math.floor(ms / 1000);
}
