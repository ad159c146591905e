import { expect, test } from 'vitest';
import { fromStripeAmount, toStripeAmount } from './stripe-money.ts';

test.each([
  ['USD', 1299, 1299],
  ['JPY', 500, 500],
  // Without minor units, and all the same charged in hundredths.
  ['ISK', 5, 500],
  ['UGX', 5, 500],
  // With minor units, and all the same charged in whole ones.
  ['MGA', 1200, 12],
  ['HUF', 1250, 1250],
  ['KWD', 5120, 5120],
])('%s %i is %i at Stripe, and back', (currency, minor, amount) => {
  expect(toStripeAmount(minor, currency)).toBe(amount);
  expect(fromStripeAmount(amount, currency)).toBe(minor);
});

test.each([
  ['KWD', 5124],
  ['MGA', 1250],
])('%s %i cannot be charged exactly, and is not rounded', (currency, minor) => {
  expect(toStripeAmount(minor, currency)).toBeUndefined();
});

test('a fraction of the smallest unit is never believed', () => {
  expect(() => fromStripeAmount(550, 'ISK')).toThrow('no whole minor unit');
});
