/** What other services ask of orders. */
import { Refusal } from '@waybill/kit/errors.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { Identifier, Text, Type } from '@waybill/kit/schema.ts';
import type { OrdersContext } from './context.ts';
import { Order, OrderPath } from './contract.ts';
import { findOrder, renderOrder } from './store.ts';
import { listOrders } from './views.ts';

const EXPORT_PAGE = 500;

export const internalRoutes: readonly Route<OrdersContext>[] = [
  route({
    method: 'GET',
    path: '/internal/orders/{id}',
    access: ['service'],
    summary: 'One order, by id or number, whoever it belongs to.',
    internal: true,
    params: OrderPath,
    replies: { 200: Order },
    refusals: { '404 order_not_found': 'there is none' },
    async handle({ params }, { db }: OrdersContext) {
      const row = await findOrder(db, params.id);
      if (row === undefined) throw new Refusal(404, 'order_not_found', 'There is no such order.');
      return { status: 200, body: renderOrder(row) };
    },
  }),
  route({
    method: 'GET',
    path: '/internal/orders/export',
    access: ['service'],
    summary: "A person's orders, for their export.",
    internal: true,
    query: Type.Object(
      { username: Identifier(128), after: Type.Optional(Text(400)) },
      { additionalProperties: false },
    ),
    replies: { 200: { description: 'A page.' } },
    async handle({ identity, query }, context: OrdersContext) {
      const { orders, next_cursor: next } = await listOrders(
        context.db,
        context.key('cursor'),
        identity,
        {
          customer_id: query.username,
          page_size: EXPORT_PAGE,
          ...(query.after === undefined ? {} : { cursor: query.after }),
        },
        renderOrder,
      );
      return { status: 200, body: { items: orders, next } };
    },
  }),
];
