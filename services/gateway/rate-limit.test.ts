import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { callerOfAddress, createLimiter, decide, type Quota } from './rate-limit.ts';

const quota: Quota = { limit: 5, windowMs: 60_000 };

describe('the generic cell rate algorithm', () => {
  test('lets the quota through at once, and the next one when its share has come back', () => {
    let tat = 0;
    const remaining: number[] = [];
    for (let count = 0; count < 5; count++) {
      const decision = decide(tat, 1000, quota);
      expect(decision.allowed).toBe(true);
      remaining.push(decision.remaining);
      tat = decision.tat;
    }
    expect(remaining).toEqual([4, 3, 2, 1, 0]);
    const refused = decide(tat, 1000, quota);
    expect(refused).toMatchObject({ allowed: false, tat, retryAfterMs: 12_000, resetMs: 60_000 });
    expect(decide(tat, 12_999, quota).allowed).toBe(false);
    expect(decide(tat, 13_000, quota)).toMatchObject({ allowed: true, remaining: 0 });
    expect(decide(tat, 61_000, quota)).toMatchObject({ allowed: true, remaining: 4 });
  });

  test.each([1, 7, 600, 999_983])(
    'a fresh caller gets exactly %i, whatever the rounding',
    (limit) => {
      const odd = { limit, windowMs: 60_000 };
      let tat = 0;
      let allowed = 0;
      for (let count = 0; count < Math.min(limit, 2000); count++) {
        const decision = decide(tat, 123_456.789, odd);
        if (decision.allowed) allowed++;
        tat = decision.tat;
      }
      expect(allowed).toBe(Math.min(limit, 2000));
      if (limit <= 2000) expect(decide(tat, 123_456.789, odd).allowed).toBe(false);
    },
  );

  test('never lets more than quota plus refill through, and says when to come back', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 30_000 }), { minLength: 1, maxLength: 80 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 20 }), (steps, limit) => {
        const own = { limit, windowMs: 60_000 };
        let [now, tat, allowed] = [50_000, 0, 0];
        for (const step of steps) {
          now += step;
          const decision = decide(tat, now, own);
          if (decision.allowed) allowed++;
          else {
            const early = now + decision.retryAfterMs - 1;
            expect(decide(tat, early, own).allowed).toBe(false);
            expect(decide(tat, early + 1, own).allowed).toBe(true);
          }
          tat = decision.tat;
        }
        const elapsed = now - 50_000 - (steps[0] ?? 0);
        expect(allowed).toBeLessThanOrEqual(limit + Math.ceil((elapsed * limit) / 60_000));
      }),
    );
  });
});

describe('the limiter', () => {
  test('counts callers apart', () => {
    const limiter = createLimiter({ limit: 1, windowMs: 1000 });
    expect(limiter.take('a', 0).allowed).toBe(true);
    expect(limiter.take('a', 0).allowed).toBe(false);
    expect(limiter.take('b', 0).allowed).toBe(true);
  });

  test('forgets the idle before the busy when it is full', () => {
    const limiter = createLimiter({ limit: 2, windowMs: 1000 }, 10);
    for (let caller = 0; caller < 5; caller++) limiter.take(`idle ${caller}`, 0);
    for (let caller = 0; caller < 5; caller++)
      for (let time = 0; time < 2; time++) limiter.take(`busy ${caller}`, 900);
    expect(limiter.take('new', 1000).allowed).toBe(true);
    for (let caller = 0; caller < 5; caller++)
      expect(limiter.take(`busy ${caller}`, 1000).allowed).toBe(false);
  });

  test('stays within its bound in a flood of busy callers', () => {
    const limiter = createLimiter({ limit: 1, windowMs: 1000 }, 10);
    limiter.take('first', 0);
    for (let caller = 0; caller < 1000; caller++) limiter.take(`flood ${caller}`, 1);
    expect(limiter.take('flood 999', 1).allowed).toBe(false);
    expect(limiter.take('first', 1).allowed).toBe(true);
  });
});

test.each([
  ['127.0.0.1', 'address:127.0.0.1'],
  ['::ffff:10.0.0.7', 'address:10.0.0.7'],
  ['2001:db8:1:2:3:4:5:6', 'address:2001:db8:1:2'],
  ['2001:0db8:1:2::99', 'address:2001:db8:1:2'],
  ['2001:db8::1', 'address:2001:db8:0:0'],
  ['::1', 'address:0:0:0:0'],
  ['fe80::1%eth0', 'address:fe80:0:0:0'],
  [undefined, 'address:unknown'],
])('%s is the caller %s', (address, caller) => {
  expect(callerOfAddress(address)).toBe(caller);
});
