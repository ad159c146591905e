/** The breaker on a clock that only moves when told. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createProviderBreaker, type ProviderBreakerSettings } from './breaker.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const RECOVERY_S = 60;

function create(changes: Partial<ProviderBreakerSettings> = {}) {
  const breaker = createProviderBreaker('a provider', {
    failureThreshold: 5,
    recoverySeconds: RECOVERY_S,
    concurrency: 64,
    drainRate: async () => 10,
    ...changes,
  });
  const answer = (kind: string) => breaker.run(async () => ({ kind }));
  const times = async (count: number, kind: string) => {
    for (let n = 0; n < count; n++) await answer(kind);
  };
  return { breaker, answer, times };
}

const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

describe('it opens', () => {
  test.each(['fault', 'outage'])('after five times %s in a row', async (kind) => {
    const { breaker, times } = create();
    await times(4, kind);
    expect(breaker.room(0)).toBeGreaterThan(0);
    await times(1, kind);
    expect(breaker.room(0)).toBe(0);
  });

  test('not when an answer came in between, be it a no', async () => {
    const { breaker, times } = create();
    for (const between of ['captured', 'declined', 'none', 'voided', 'refunded']) {
      await times(4, 'fault');
      await times(1, between);
    }
    expect(breaker.room(0)).toBeGreaterThan(0);
  });
});

describe('while it is open', () => {
  test('calls are answered without being made, as outages that never arrived', async () => {
    const { breaker, times } = create();
    await times(5, 'outage');
    const call = vi.fn(async () => ({ kind: 'captured' }));
    const { answer, trial } = await breaker.run(call);
    expect(answer).toMatchObject({ kind: 'outage', reached: false });
    expect(trial).toBe(true);
    expect(call).not.toHaveBeenCalled();
  });

  test('there is room for nobody until the recovery time is over, and then for one', async () => {
    const { breaker, times } = create();
    await times(5, 'outage');
    await pass(RECOVERY_S - 1);
    expect(breaker.room(0)).toBe(0);
    await pass(1);
    expect(breaker.room(0)).toBe(1);
    expect(breaker.room(1)).toBe(0);
  });

  test('the trial is alone, and is told apart', async () => {
    const { breaker, times } = create();
    await times(5, 'outage');
    await pass(RECOVERY_S);
    const gate = Promise.withResolvers<{ kind: string }>();
    const trial = breaker.run(() => gate.promise);
    expect(breaker.room(0)).toBe(0);
    gate.resolve({ kind: 'captured' });
    expect((await trial).trial).toBe(true);
    expect((await breaker.run(async () => ({ kind: 'captured' }))).trial).toBe(false);
  });

  test('a trial that fails keeps it open for as long again', async () => {
    const { breaker, times } = create();
    await times(5, 'outage');
    await pass(RECOVERY_S);
    await times(1, 'fault');
    expect(breaker.room(0)).toBe(0);
    await pass(RECOVERY_S - 1);
    expect(breaker.room(0)).toBe(0);
    await pass(1);
    expect(breaker.room(0)).toBe(1);
  });
});

describe('room', () => {
  test('is for sixteen until five calls in a row were answered, then for all', async () => {
    const { breaker, times } = create();
    expect(breaker.room(0)).toBe(16);
    expect(breaker.room(15)).toBe(1);
    expect(breaker.room(20)).toBe(0);
    await times(4, 'captured');
    expect(breaker.room(0)).toBe(16);
    await times(1, 'declined');
    expect(breaker.room(0)).toBe(64);
    await times(1, 'fault');
    expect(breaker.room(0)).toBe(16);
  });

  test('is never more than the setting', () => {
    expect(create({ concurrency: 3 }).breaker.room(0)).toBe(3);
  });
});

describe('after an outage the backlog', () => {
  async function recovered() {
    const created = create();
    await created.times(5, 'outage');
    await pass(RECOVERY_S);
    await created.times(5, 'captured');
    await pass(0);
    return created.breaker;
  }

  test('is let in at the rate that was asked for, at most a second’s worth at once', async () => {
    const breaker = await recovered();
    let begun = 0;
    for (let tenth = 0; tenth < 50; tenth++) {
      const room = breaker.room(0);
      breaker.began(room, room);
      begun += room;
      await pass(0.1);
    }
    expect(begun).toBeGreaterThanOrEqual(45);
    expect(begun).toBeLessThanOrEqual(51);
    await pass(100);
    expect(breaker.room(0)).toBe(10);
  });

  test('ends the pacing when it is used up', async () => {
    const breaker = await recovered();
    await pass(1);
    expect(breaker.room(0)).toBe(10);
    breaker.began(10, 3);
    expect(breaker.room(0)).toBe(64);
  });

  test('crawls while the rate cannot be learnt', async () => {
    const { breaker, times } = create({ drainRate: () => Promise.reject(new Error('away')) });
    await times(5, 'outage');
    await pass(RECOVERY_S);
    await times(5, 'captured');
    await pass(30);
    expect(breaker.room(0)).toBe(1);
  });
});
