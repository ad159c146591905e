/** The settings of the orders service. */
import { choice, matching, type Values } from '@waybill/kit/config.ts';
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
    ['sandbox', 'stripe'],
  ),
  fulfillmentDefault: choice(
    {
      env: 'FULFILLMENT_DEFAULT',
      help: 'How orders that say nothing are delivered.',
      fallback: 'none',
    },
    ['none', 'shipping', 'courier'],
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
