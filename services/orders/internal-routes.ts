/** What other services ask of orders. */
import { Refusal } from '@waybill/kit/errors.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import type { OrdersContext } from './context.ts';
import { Order, OrderPath } from './contract.ts';
import { findOrder, renderOrder } from './store.ts';

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
];
