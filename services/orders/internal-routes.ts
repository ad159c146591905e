/** What other services ask of orders. */
import { route, type Route } from '@waybill/kit/route.ts';
import { Identifier, Text, Type } from '@waybill/kit/schema.ts';
import type { OrdersContext } from './context.ts';
import { FindOrders, type FoundOrders } from './contract.ts';
import { findOrders, renderOrder } from './store.ts';
import { listOrders } from './views.ts';

const EXPORT_PAGE = 500;

export const internalRoutes: readonly Route<OrdersContext>[] = [
  route({
    method: 'POST',
    path: '/internal/orders/find',
    access: ['service'],
    summary: 'Orders by id or number, whoever they belong to; null where there is none.',
    internal: true,
    body: FindOrders,
    replies: { 200: { description: 'As many as were asked for, in the same order.' } },
    async handle({ body: { ids } }, { db }: OrdersContext) {
      const rows = await findOrders(db, ids);
      const orders = rows.map((row) => (row === undefined ? null : renderOrder(row)));
      return { status: 200, body: { orders } satisfies FoundOrders };
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
