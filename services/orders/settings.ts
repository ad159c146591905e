/** The settings of the orders service. */
import { choice, decimal, integer, matching, type Values } from '@waybill/kit/config.ts';
import { currencyExponent } from '@waybill/kit/money.ts';

export const settings = {
  defaultCurrency: matching(
    { env: 'DEFAULT_CURRENCY', help: 'ISO 4217 code of orders that name none.', fallback: 'USD' },
    /^[A-Z]{3}$/,
    'must be three capital letters',
  ),
  prices: choice(
    {
      env: 'PRICES',
      help:
        "Whether a customer's prices are taken: trusted (default with the sandbox provider) or " +
        'catalog (not taken).',
    },
    ['trusted', 'catalog'],
  ),
  paymentProvider: choice(
    { env: 'PAYMENT_PROVIDER', help: 'Who is charged; decides the default of PRICES.' },
    ['sandbox', 'stripe', 'wallet'],
  ),
  fulfillmentDefault: choice(
    {
      env: 'FULFILLMENT_DEFAULT',
      help: 'How orders that say nothing are delivered.',
      fallback: 'none',
    },
    ['none', 'shipping', 'courier'],
  ),
  checkoutTotal: choice(
    {
      env: 'CHECKOUT_TOTAL',
      help: 'A totalCost below the sum of the positions is refused (checked) or believed (given).',
      fallback: 'checked',
    },
    ['checked', 'given'],
  ),
  checkoutTimeoutSeconds: decimal(
    {
      env: 'CHECKOUT_TIMEOUT',
      help: 'Seconds until a checkout answers, NEW if its charge is not known by then.',
      fallback: '8',
    },
    { min: 0.5, max: 25 },
  ),
  noticeTimeoutSeconds: decimal(
    {
      env: 'CHECKOUT_NOTICE_TIMEOUT',
      help: 'Seconds that a checkout gives to profile and notice; after that they are done later.',
      fallback: '1',
    },
    { min: 0.05, max: 10 },
  ),
  profileCacheSeconds: decimal(
    {
      env: 'PROFILE_CACHE_TTL',
      help: 'Seconds that a profile read for a notice is remembered.',
      fallback: '30',
    },
    { min: 0, max: 3600 },
  ),
  reservationTtlSeconds: integer(
    {
      env: 'RESERVATION_TTL',
      help: 'Seconds that a pet waits for the approval of its order; then the order is cancelled.',
      fallback: '604800',
    },
    { min: 1, max: 31_536_000 },
  ),
} as const;

export type OrdersSettings = Values<typeof settings>;

/** Whether the price that a customer sends is believed. */
export function trustsPrices(values: OrdersSettings): boolean {
  const { prices, paymentProvider = 'sandbox' } = values;
  return (prices ?? (paymentProvider === 'sandbox' ? 'trusted' : 'catalog')) === 'trusted';
}

export function checkSettings(values: OrdersSettings): readonly string[] {
  return currencyExponent(values.defaultCurrency) === undefined
    ? [`DEFAULT_CURRENCY: "${values.defaultCurrency}" is not an ISO 4217 code in use.`]
    : [];
}
