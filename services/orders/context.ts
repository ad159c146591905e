/** What the orders service works with. */
import type { Deadline } from '@waybill/kit/deadline.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import type { OrdersSettings } from './settings.ts';
import { createNumbering, createOrderStore, type StoreOrder } from './acceptance.ts';
import { createArrivals, type HasArrived } from './arrivals.ts';
import { createContacts, type Contact } from './contacts.ts';

export interface OrdersContext extends ServiceContext<OrdersSettings> {
  readonly storeOrder: StoreOrder;
  readonly nextNumber: () => Promise<number>;
  readonly hasArrived: HasArrived;
  /** How to reach a customer; remembered for a short time. */
  readonly contactOf: (username: string, deadline: Deadline) => Promise<Contact>;
}

export function createContext(base: ServiceContext<OrdersSettings>): OrdersContext {
  return {
    ...base,
    storeOrder: createOrderStore(base.db),
    nextNumber: createNumbering(base.db),
    hasArrived: createArrivals(base.db),
    contactOf: createContacts(base.client, base.settings.profileCacheSeconds),
  };
}
