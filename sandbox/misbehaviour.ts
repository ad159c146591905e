import { chooseSeed, createDraw } from './chance.ts';
import { createPauses } from './clock.ts';
import type { Verdict } from './ledger.ts';

export type Mode = 'up' | 'down' | 'slow' | 'error' | 'reset';

/** Probabilities per charge request, 0 to 1. */
export interface Hostile {
  readonly error: number;
  readonly timeout_before_charge: number;
  readonly error_after_charge: number;
  readonly timeout_after_charge: number;
  readonly reset_after_charge: number;
  readonly duplicate_callback: number;
  readonly late_callback: number;
}

export interface Settings {
  readonly mode: Mode;
  /** What `slow` adds to every answer. */
  readonly latency_ms: number;
  readonly success_rate: number;
  readonly latency_min_ms: number;
  readonly latency_max_ms: number;
  readonly late_callback_ms: number;
  readonly hostile: Hostile;
  readonly seed: number;
}

/** What a hostile provider does before it looks at a charge request. */
export type FaultBefore = 'none' | 'error' | 'timeout';
/** What it does instead of answering a charge that it has just made. */
export type FaultAfter = 'none' | 'error' | 'timeout' | 'reset';

export interface Misbehaviour {
  readonly settings: Settings;
  /** `startOver` begins the sequences of the seed again. */
  change(settings: Settings, startOver: boolean): void;
  /** The part of the delay that every kind of request has: only a slow spell causes it. */
  beSlow(): Promise<void>;
  /** The delay of processing money. */
  process(): Promise<void>;
  faultBefore(): FaultBefore;
  judge(token: string): Verdict;
  /** Asked once per key, when it was captured, so that a repeat can succeed. */
  faultAfter(token: string): FaultAfter;
  /** When to send the callback of an event, in ms from now; more than one entry is a duplicate. */
  callbackDelays(token: string): readonly number[];
  /** Everybody goes on at once, and nobody is delayed any more: the process is stopping. */
  end(): void;
}

export const NOT_HOSTILE: Hostile = {
  error: 0,
  timeout_before_charge: 0,
  error_after_charge: 0,
  timeout_after_charge: 0,
  reset_after_charge: 0,
  duplicate_callback: 0,
  late_callback: 0,
};

const DEFAULT_SLOW_MS = 30_000;
const DEFAULT_LATE_CALLBACK_MS = 3_000;

export interface StartSettings {
  readonly successRate: number;
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  readonly seed?: number;
}

/** What every token does that does not simply take its chance. */
const TOKENS: ReadonlyMap<string, Verdict> = new Map<string, Verdict>([
  ['tok_decline', { kind: 'decline', code: 'card_declined' }],
  ['tok_insufficient_funds', { kind: 'decline', code: 'insufficient_funds' }],
  ['tok_500', { kind: 'miss' }],
  ['tok_timeout_after_charge', { kind: 'capture' }],
  ['tok_reset_after_charge', { kind: 'capture' }],
  ['tok_double_callback', { kind: 'capture' }],
]);

/** How the provider is to misbehave at present, and the dice it throws for it. */
export function createMisbehaviour(start: StartSettings): Misbehaviour {
  let settings: Settings = {
    mode: 'up',
    latency_ms: DEFAULT_SLOW_MS,
    success_rate: start.successRate,
    latency_min_ms: start.latencyMinMs,
    latency_max_ms: start.latencyMaxMs,
    late_callback_ms: DEFAULT_LATE_CALLBACK_MS,
    hostile: NOT_HOSTILE,
    seed: start.seed ?? chooseSeed(),
  };
  let dice = createDice(settings.seed);
  const slow = createPauses();
  const latency = createPauses();

  const beSlow = () => slow.pause(settings.mode === 'slow' ? settings.latency_ms : 0);

  return {
    get settings() {
      return settings;
    },
    change(next, startOver) {
      if (startOver) dice = createDice(next.seed);
      settings = next;
      if (next.mode !== 'slow') slow.wakeAll();
    },
    beSlow,
    async process() {
      const { latency_min_ms: least, latency_max_ms: most } = settings;
      if (most > 0) await latency.pause(least + dice.latency() * (most - least));
      if (settings.mode === 'slow') await beSlow();
    },
    faultBefore() {
      const { error, timeout_before_charge: timeout } = settings.hostile;
      return pick(dice.before, [
        ['error', error],
        ['timeout', timeout],
      ]);
    },
    judge(token) {
      if (token === 'tok_ok') {
        return { kind: dice.success() < settings.success_rate ? 'capture' : 'miss' };
      }
      // A token that nobody issued is a card that does not exist: final, like any decline.
      return TOKENS.get(token) ?? { kind: 'decline', code: 'unknown_token' };
    },
    faultAfter(token) {
      if (token === 'tok_timeout_after_charge') return 'timeout';
      if (token === 'tok_reset_after_charge') return 'reset';
      const hostile = settings.hostile;
      return pick(dice.after, [
        ['error', hostile.error_after_charge],
        ['timeout', hostile.timeout_after_charge],
        ['reset', hostile.reset_after_charge],
      ]);
    },
    callbackDelays(token) {
      const { duplicate_callback: duplicate, late_callback: late } = settings.hostile;
      const lateMs = settings.late_callback_ms;
      if (token === 'tok_double_callback') return [0, lateMs];
      const first = late > 0 && dice.callback() < late ? lateMs : 0;
      if (duplicate > 0 && dice.callback() < duplicate) return [first, first, first + lateMs];
      return [first];
    },
    end() {
      slow.end();
      latency.end();
    },
  };
}

/** One stream per purpose, so that turning one fault on does not reshuffle the others. */
function createDice(seed: number) {
  return {
    latency: createDraw(seed, 1),
    success: createDraw(seed, 2),
    before: createDraw(seed, 3),
    after: createDraw(seed, 4),
    callback: createDraw(seed, 5),
  };
}

/** One throw against the probabilities laid end to end, so that each has exactly its own. */
function pick<const Fault extends string>(
  draw: () => number,
  chances: readonly (readonly [Fault, number])[],
): Fault | 'none' {
  let bound = 0;
  for (const [, probability] of chances) bound += probability;
  if (bound === 0) return 'none';
  const thrown = draw();
  bound = 0;
  for (const [fault, probability] of chances) {
    bound += probability;
    if (thrown < bound) return fault;
  }
  return 'none';
}
