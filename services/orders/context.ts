/** What the orders service works with. */
import type { Deadline } from '@waybill/kit/deadline.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import type { Checkout } from './checkout-contract.ts';
import type { OrdersSettings } from './settings.ts';
import { createNumbering, createOrderStore, type StoreOrder } from './acceptance.ts';
import { createArrivals, type HasArrived } from './arrivals.ts';
import { createContacts, type Contact } from './contacts.ts';

/** What a checkout is answered with. */
export interface Paid {
  readonly status: number;
  /** The order; as text where a repeat gets the same bytes. */
  readonly body: Checkout | string;
}

export interface OrdersContext extends ServiceContext<OrdersSettings> {
  readonly storeOrder: StoreOrder;
  readonly nextNumber: () => Promise<number>;
  readonly hasArrived: HasArrived;
  /** Checkouts that are being paid by requests of this process, by order. */
  readonly paying: Map<string, Promise<Paid>>;
  /** How to reach a customer; remembered for a short time. */
  readonly contactOf: (username: string, deadline: Deadline) => Promise<Contact>;
}

export function createContext(base: ServiceContext<OrdersSettings>): OrdersContext {
  return {
    ...base,
    storeOrder: createOrderStore(base.db),
    nextNumber: createNumbering(base.db),
    hasArrived: createArrivals(base.db),
    paying: new Map(),
    contactOf: createContacts(base.client, base.settings.profileCacheSeconds),
  };
}
