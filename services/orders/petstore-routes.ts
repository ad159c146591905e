/** Door C: place an order for a pet, read it, delete it. */
import { route, type Route } from '@waybill/kit/route.ts';
import type { OrdersContext } from './context.ts';
import { deletePetOrder, placeOrder, visiblePetOrder } from './petstore.ts';
import {
  PETSTORE_PATH,
  PlaceOrder,
  PlaceOrderQuery,
  StoreOrder,
  StoreOrderPath,
} from './petstore-contract.ts';
import { renderStoreOrder } from './petstore-store.ts';

const everybody = ['customer', 'operator', 'admin', 'service'] as const;
const notFound = { '404 order_not_found': 'there is none that the caller may see' };

export const petstoreRoutes: readonly Route<OrdersContext>[] = [
  route({
    method: 'POST',
    path: PETSTORE_PATH,
    access: everybody,
    summary: 'Order a pet; of several callers the first one gets it.',
    description:
      'The order waits for its approval. 202: the pet is reserved, and the order is at Location ' +
      'in a moment.',
    query: PlaceOrderQuery,
    body: PlaceOrder,
    idempotent: true,
    replies: { 200: StoreOrder, 202: StoreOrder },
    refusals: {
      '403 foreign_customer': 'a customer named somebody else',
      '409 pet_not_available': 'somebody else has the pet',
      '409 order_id_in_use': 'there is an order of this id, or another request is making one',
      '422 pet_not_found': 'there is no such pet',
      '422 invalid_body': 'also: a shipDate outside the years 1900 to 9999',
    },
    async handle({ identity, query, body, idempotency, deadline }, context: OrdersContext) {
      const { username } = query;
      const options = { username, idempotency, deadline };
      const { status, order, replayed } = await placeOrder(context, identity, body, options);
      const headers = {
        location: `${PETSTORE_PATH}/${order.id}`,
        ...(replayed ? { 'idempotent-replayed': 'true' } : {}),
      };
      return { status, body: order, headers };
    },
  }),
  route({
    method: 'GET',
    path: `${PETSTORE_PATH}/{orderId}`,
    access: everybody,
    summary: 'One order for a pet, unless it was cancelled.',
    params: StoreOrderPath,
    replies: { 200: StoreOrder },
    refusals: notFound,
    async handle({ identity, params }, context: OrdersContext) {
      const row = await visiblePetOrder(context, identity, params.orderId);
      return { status: 200, body: renderStoreOrder(row) };
    },
  }),
  route({
    method: 'DELETE',
    path: `${PETSTORE_PATH}/{orderId}`,
    access: everybody,
    summary: 'Cancel an order; its pet is for sale again.',
    params: StoreOrderPath,
    replies: { 200: { description: 'The order is cancelled.' } },
    refusals: { ...notFound, '409 not_cancellable': 'it is too late' },
    async handle({ identity, params }, context: OrdersContext) {
      await deletePetOrder(context, identity, params.orderId);
      return { status: 200 };
    },
  }),
];
