/** What the orders service works with. */
import { choice, matching, type Values } from '@waybill/kit/config.ts';
import { currencyExponent } from '@waybill/kit/money.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import { createNumbering, createOrderStore, type StoreOrder } from './commands.ts';

export const settings = {
  defaultCurrency: matching(
    { env: 'DEFAULT_CURRENCY', help: 'ISO 4217 code of orders that name none.', fallback: 'USD' },
    /^[A-Z]{3}$/,
    'must be three capital letters',
  ),
  prices: choice(
    {
      env: 'PRICES',
      help: "Whether a customer's prices are taken: trusted, or catalog (not taken).",
      fallback: 'trusted',
    },
    ['trusted', 'catalog'],
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

export interface OrdersContext extends ServiceContext<OrdersSettings> {
  readonly storeOrder: StoreOrder;
  readonly nextNumber: () => Promise<number>;
}

export function createContext(base: ServiceContext<OrdersSettings>): OrdersContext {
  return {
    ...base,
    storeOrder: createOrderStore(base.db),
    nextNumber: createNumbering(base.db),
  };
}

export function checkSettings(values: OrdersSettings): readonly string[] {
  return currencyExponent(values.defaultCurrency) === undefined
    ? [`DEFAULT_CURRENCY: "${values.defaultCurrency}" is not an ISO 4217 code in use.`]
    : [];
}
