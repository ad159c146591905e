/** Where customers may fill their own wallets, and which currency wallets may have. */
import { describe, expect, test } from 'vitest';
import { checkSettings, mayDeposit } from './settings.ts';

describe('a customer fills their own wallet', () => {
  test.each([
    ['sandbox', '127.0.0.1', true],
    ['sandbox', '0.0.0.0', true],
    [undefined, '127.0.0.1', true],
    [undefined, '0.0.0.0', false],
    ['stripe', '127.0.0.1', false],
    ['wallet', '127.0.0.1', false],
  ] as const)('with the provider %s on %s: %s', (paymentProvider, host, may) => {
    expect(mayDeposit({ currency: 'USD', paymentProvider }, { host })).toBe(may);
  });
});

test('a currency that nobody uses is told at the start', () => {
  const of = (currency: string) => checkSettings({ currency, paymentProvider: undefined });
  expect(of('USD')).toEqual([]);
  expect(of('ZZZ')).toEqual([expect.stringContaining('"ZZZ"')]);
});
