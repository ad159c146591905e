import fc from 'fast-check';
import { expect, test } from 'vitest';
import { currencyExponent, MAX_AMOUNT_MINOR, toMajor, toMinor } from './money.ts';

test.each([
  ['USD', 2],
  ['JPY', 0],
  ['ISK', 0],
  ['KWD', 3],
  ['IQD', 3],
  // What people usually see of these has fewer decimals than they have.
  ['HUF', 2],
  ['IDR', 2],
  ['PKR', 2],
  ['MGA', 2],
  ['XAF', 0],
  ['XCG', 2],
  ['XAU', undefined],
  ['XTS', undefined],
  ['ABC', undefined],
  ['usd', undefined],
  ['DEM', undefined],
  ['constructor', undefined],
])('%s has the minor units of ISO 4217', (currency, exponent) => {
  expect(currencyExponent(currency)).toBe(exponent);
});

test('an amount becomes minor units digit by digit, and comes back', () => {
  expect(toMinor(12.99, 2)).toBe(1299n);
  expect(toMinor(0.1 + 0.2, 2)).toBe('must have at most 2 decimals');
  expect(toMinor(5, 3)).toBe(5000n);
  expect(toMinor(12.5, 0)).toBe('must have at most 0 decimals');
  expect(toMinor(Number.NaN, 2)).toBe('must be a finite number');
  expect(toMinor(1e21, 2)).toBe('is out of range');
  expect(toMajor(1299n, 2)).toBe(12.99);
  expect(toMajor(1234n, 3)).toBe(1.234);
});

test('every amount comes back from the wire as it went', () => {
  const amount = fc.bigInt({ min: -MAX_AMOUNT_MINOR, max: MAX_AMOUNT_MINOR });
  fc.assert(
    fc.property(amount, fc.constantFrom(0, 2, 3), (minor, exponent) => {
      const wire = JSON.parse(JSON.stringify(toMajor(minor, exponent))) as number;
      expect(toMinor(wire, exponent)).toBe(minor);
    }),
    { numRuns: 2000 },
  );
});

test('no amount is ever rounded', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (amount) => {
      const minor = toMinor(amount, 2);
      if (typeof minor === 'bigint') expect(toMajor(minor, 2)).toBe(amount === 0 ? 0 : amount);
    }),
    { numRuns: 2000 },
  );
});
