/** Chapter A: accept, read, list, cancel. */
import { route, type Route } from '@waybill/kit/route.ts';
import { cancelOrder, acceptOrder, visibleOrder } from './commands.ts';
import type { OrdersContext } from './context.ts';
import { CancelOrder, CreateOrder, ListQuery, Order, OrderList, OrderPath } from './contract.ts';
import { renderOrder } from './store.ts';
import { listOrders } from './views.ts';

const everybody = ['customer', 'operator', 'admin', 'service'] as const;

export const routes: readonly Route<OrdersContext>[] = [
  route({
    method: 'POST',
    path: '/api/v1/orders',
    access: everybody,
    summary: 'Accept an order; it is charged in the background.',
    description:
      'The order is durable when this answers. Follow it at Location, or list it by status.',
    body: CreateOrder,
    idempotent: true,
    replies: { 202: Order },
    refusals: {
      '403 foreign_customer': 'a customer named somebody else',
      '422 invalid_body':
        'also: a currency not in use, a price with more decimals than it has, too high a total',
      '422 price_not_trusted': "PRICES=catalog does not take a customer's prices",
    },
    async handle({ identity, body, idempotency }, context: OrdersContext) {
      const { order, replayed } = await acceptOrder(context, identity, body, idempotency);
      const location = { location: `/api/v1/orders/${order.id}` };
      return {
        status: 202,
        body: order,
        headers: replayed ? { ...location, 'idempotent-replayed': 'true' } : location,
      };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/orders/{id}',
    access: everybody,
    summary: 'One order, by id or number.',
    params: OrderPath,
    replies: { 200: Order },
    refusals: { '404 order_not_found': 'there is none that the caller may see' },
    async handle({ identity, params }, context: OrdersContext) {
      return { status: 200, body: renderOrder(await visibleOrder(context, identity, params.id)) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/orders',
    access: everybody,
    summary: 'Orders, newest first, by page or cursor.',
    query: ListQuery,
    replies: { 200: OrderList },
    refusals: {
      '422 invalid_query': 'also: an unknown status, or a date that does not exist',
      '422 invalid_cursor': 'the cursor belongs to another list',
      '422 page_too_deep': 'go on by cursor',
    },
    async handle({ identity, query }, context: OrdersContext) {
      const key = context.key('cursor');
      const list = await listOrders(context.db, key, identity, query, renderOrder);
      return { status: 200, body: list };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/orders/{id}/cancel',
    access: everybody,
    summary: 'Cancel an order; a charge that was made is refunded.',
    description:
      'While a charge is under way the answer is 202: the cancellation is recorded, and carried ' +
      'out once the charge is known.',
    params: OrderPath,
    body: CancelOrder,
    bodyOptional: true,
    idempotent: true,
    replies: { 200: Order, 202: Order },
    refusals: {
      '404 order_not_found': 'there is none that the caller may see',
      '409 not_cancellable': 'it is too late',
    },
    async handle({ identity, params, body, idempotency }, context: OrdersContext) {
      const reason = body?.reason ?? null;
      const cancelled = await cancelOrder(context, identity, params.id, reason, idempotency);
      const { status, order, replayed } = cancelled;
      const headers = replayed ? { 'idempotent-replayed': 'true' } : {};
      return { status, body: order, headers };
    },
  }),
];
