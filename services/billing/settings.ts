/** The settings of the billing service. */
import { choice, isLoopback, matching, type Platform, type Values } from '@waybill/kit/config.ts';
import { currencyExponent } from '@waybill/kit/money.ts';

export const settings = {
  currency: matching(
    { env: 'DEFAULT_CURRENCY', help: 'ISO 4217 code of all new wallets.', fallback: 'USD' },
    /^[A-Z]{3}$/,
    'must be three capital letters',
  ),
  paymentProvider: choice(
    { env: 'PAYMENT_PROVIDER', help: 'With sandbox, customers fill their own wallets.' },
    ['sandbox', 'stripe', 'wallet'],
  ),
} as const;

export type BillingSettings = Values<typeof settings>;

/** Whether customers may make money out of nothing: where it is nobody's money. */
export function mayDeposit(values: BillingSettings, platform: Pick<Platform, 'host'>): boolean {
  const { paymentProvider = isLoopback(platform.host) ? 'sandbox' : undefined } = values;
  return paymentProvider === 'sandbox';
}

export function checkSettings(values: BillingSettings): readonly string[] {
  return currencyExponent(values.currency) === undefined
    ? [`DEFAULT_CURRENCY: "${values.currency}" is not an ISO 4217 code in use.`]
    : [];
}
