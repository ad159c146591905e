import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ASSIGNMENT_STATES } from './contract.ts';
import {
  ASSIGNMENT_TRANSITIONS,
  costOf,
  decimalOf,
  isFinished,
  originsOf,
  roundHalfEven,
  textOf,
  type Decimal,
} from './rules.ts';

const decimal = (value: number | string): Decimal => decimalOf(value) as Decimal;

function cost(base: number, coefficient: number, maximum: number | undefined, bonus: number) {
  return costOf({
    base: decimal(base),
    coefficient: decimal(coefficient),
    maximum: maximum === undefined ? undefined : decimal(maximum),
    bonus: decimal(bonus),
    currency: 'USD',
  });
}

describe('a cost', () => {
  test('is base × min(coefficient, maximum) + bonus: 4.40 × min(42.2, 1.8) + 300 = 307.92', () => {
    const { costMinor, breakdown } = cost(4.4, 42.2, 1.8, 300);
    expect(costMinor).toBe(30_792);
    expect(breakdown).toEqual([
      { line: 'base', amount: 4.4, explanation: 'base amount of the order' },
      { line: 'coefficient', amount: 3.52, explanation: '4.4 × (min(42.2, 1.8) − 1)' },
      { line: 'bonus', amount: 300, explanation: 'toll bonus' },
    ]);
  });

  test.each([
    [4.4, 1.5, 1.8, 0, 660],
    [4.4, 1.8, undefined, 0, 792],
    [4.4, 0, 1.8, 0, 0],
    // Between two cents goes to the even one: 0.125, 0.135, 0.145.
    [1, 0.125, undefined, 0, 12],
    [1, 0.135, undefined, 0, 14],
    [1, 0.145, undefined, 0, 14],
    [1, 0.145001, undefined, 0, 15],
    // What floats get wrong: 1.005 × 1 is 1.00499999999999989…
    [1.1, 1.1, undefined, 0, 121],
    [0.07, 100, undefined, 0, 700],
  ])('of %d, %d, at most %s, plus %d is %d', (base, coefficient, maximum, bonus, expected) => {
    expect(cost(base, coefficient, maximum, bonus).costMinor).toBe(expected);
  });

  test('is rounded to the currency’s own decimals', () => {
    const factors = { coefficient: decimal(1), maximum: undefined, bonus: decimal(0) };
    expect(costOf({ ...factors, base: decimal(2.5), currency: 'JPY' }).costMinor).toBe(2);
    expect(costOf({ ...factors, base: decimal(3.5), currency: 'JPY' }).costMinor).toBe(4);
    expect(costOf({ ...factors, base: decimal(0.1235), currency: 'KWD' }).costMinor).toBe(124);
  });

  test('is the sum of its lines, to the last digit', () => {
    const amount = fc.integer({ min: 0, max: 10_000_000 });
    fc.assert(
      fc.property(amount, amount, amount, amount, (base, coefficient, maximum, bonus) => {
        const { costMinor, breakdown } = cost(
          base / 100,
          coefficient / 1000,
          maximum / 1000,
          bonus / 1000,
        );
        const sum = breakdown.reduce((total, { amount: line }) => {
          const { digits, scale } = decimal(line);
          return total + digits * 10n ** BigInt(12 - scale);
        }, 0n);
        expect(sum).toBe(BigInt(costMinor) * 10n ** 10n);
      }),
    );
  });

  test('that no amount of money can hold is refused', () => {
    expect(() => cost(9_000_000_000_000, 1_000_000, undefined, 0)).toThrow('out of range');
  });
});

describe('a decimal', () => {
  test.each([
    ['4.40', '4.4'],
    [1e-7, '0.0000001'],
    [1e21, '1000000000000000000000'],
    ['-0.05', '-0.05'],
    [42, '42'],
    ['1.5e3', '1500'],
  ])('%s is read as %s', (value, text) => {
    expect(textOf(decimal(value))).toBe(text);
  });

  test.each(['', 'NaN', 'Infinity', '1_000', '0x10', ' 7 ', null, true, [5], Number.NaN, '1e999'])(
    '%s is none',
    (value) => {
      expect(decimalOf(value)).toBeUndefined();
    },
  );

  test('is rounded as the nearest, and of two nearest the even', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), (digits) => {
        const rounded = roundHalfEven({ digits, scale: 3 }, 0);
        const away = digits - rounded * 1000n;
        const distance = away < 0n ? -away : away;
        expect(distance <= 500n).toBe(true);
        if (distance === 500n) expect(rounded % 2n).toBe(0n);
      }),
    );
  });
});

describe('the states', () => {
  test('end where nothing follows, and are all reached', () => {
    const reached = new Set(Object.values(ASSIGNMENT_TRANSITIONS).flat());
    expect([...reached, 'ASSIGNED'].toSorted()).toEqual([...ASSIGNMENT_STATES].toSorted());
    expect(originsOf('DELIVERED')).toEqual(['ACQUIRED', 'PICKED_UP']);
    expect(originsOf('CANCELLED')).toEqual(['ASSIGNED']);
  });

  test('an order that nobody carries any more is finished', () => {
    expect(['CANCELLED', 'DELIVERED', 'COMPLETED', 'RETURNED'].every(isFinished)).toBe(true);
    expect(['PENDING', 'CONFIRMED', 'IN_FULFILLMENT', 'SHIPPED', null].some(isFinished)).toBe(
      false,
    );
  });
});
