/** What other services ask of orders. */
import type { Database } from '@waybill/kit/db.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { gather } from '@waybill/kit/gather.ts';
import { isUuid } from '@waybill/kit/ids.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { Identifier, Text, Type } from '@waybill/kit/schema.ts';
import type { OrdersContext } from './context.ts';
import { Order, OrderPath } from './contract.ts';
import { findOrder, findOrders, renderOrder, type OrderRow } from './store.ts';
import { listOrders } from './views.ts';

const EXPORT_PAGE = 500;

type Find = (id: string) => Promise<OrderRow | undefined>;

const finds = new WeakMap<Database, Find>();

/** Dispatch asks for hundreds a second: those that arrive together are one look (ADR 0005). */
function findTogether(db: Database, id: string): Promise<OrderRow | undefined> {
  let find = finds.get(db);
  if (find === undefined) {
    find = gather<string, OrderRow | undefined>(
      async (ids) => {
        const rows = await findOrders(db, [...new Set(ids)]);
        const found = new Map(rows.map((row) => [row.id, row]));
        return ids.map((wanted) => found.get(wanted));
      },
      (error) => error instanceof Outage,
      {
        maxBatch: 128,
        flights: 2,
        maxWaiting: 20_000,
        overflow: () => new Outage('database', 'too many orders are asked for'),
      },
    );
    finds.set(db, find);
  }
  return find(id);
}

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
    async handle({ params: { id } }, { db }: OrdersContext) {
      const row = isUuid(id) ? await findTogether(db, id) : await findOrder(db, id);
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
