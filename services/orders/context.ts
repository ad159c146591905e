/** What the orders service works with. */
import type { ServiceContext } from '@waybill/kit/service.ts';
import type { OrdersSettings } from './settings.ts';
import { createNumbering, createOrderStore, type StoreOrder } from './acceptance.ts';

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
