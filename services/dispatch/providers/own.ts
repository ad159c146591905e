/** What Waybill's own services know: the order from orders, the rest from dispatch's own tables. */
import type { Client } from '@waybill/kit/client.ts';
import type { Database } from '@waybill/kit/db.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { gather } from '@waybill/kit/gather.ts';
import type { Order } from '@waybill/orders/contract.ts';
import type { Placeholder, SourceData, SourceName } from '../source-settings.ts';
import { findExecutors, findZones, readMaxCoefficient } from '../views.ts';

export type Facts = Partial<Record<Placeholder, string>>;

/** Undefined: there is no such thing. */
export type OwnSource = (facts: Facts, timeoutMs: number) => Promise<SourceData | undefined>;

/** The five sources, answered here. */
export function createOwnSources(db: Database, client: Client): Record<SourceName, OwnSource> {
  const executor = lookUp(async (ids) => {
    const rows = await findExecutors(db, ids);
    return new Map(rows.map((row) => [row.executor_id, row]));
  });
  const zone = lookUp(async (ids) => {
    const rows = await findZones(db, ids);
    return new Map(rows.map((row) => [row.zone_id, row]));
  });
  return {
    general_order_info: ({ order_id = '' }, timeoutMs) => askOrders(client, order_id, timeoutMs),
    async executor_profile({ executor_id = '' }) {
      const row = await executor(executor_id);
      if (row === undefined) return undefined;
      const { name, tags, rating, zone_id, available } = row;
      return { executor_id, name, tags, rating, zone_id, available };
    },
    assign_order_configs: async () => ({ max_coin_coeff: await readMaxCoefficient(db) }),
    async zone_info({ zone_id = '' }) {
      const row = await zone(zone_id);
      if (row === undefined) return undefined;
      return { zone_id, display_name: row.display_name, coin_coeff: row.coin_coeff };
    },
    async toll_roads_info({ zone_id = '' }) {
      const row = await zone(zone_id);
      return row === undefined ? undefined : { bonus_amount: row.bonus_amount };
    },
  };
}

/** Look-ups that arrive together are one. */
function lookUp<Row>(find: (ids: readonly string[]) => Promise<ReadonlyMap<string, Row>>) {
  return gather<string, Row | undefined>(
    async (ids) => {
      const found = await find([...new Set(ids)]);
      return ids.map((id) => found.get(id));
    },
    (error) => error instanceof Outage,
    {
      maxBatch: 256,
      flights: 2,
      maxWaiting: 20_000,
      overflow: () => new Outage('database', 'too many look-ups are waiting'),
    },
  );
}

async function askOrders(
  client: Client,
  orderId: string,
  timeoutMs: number,
): Promise<SourceData | undefined> {
  const path = `/internal/orders/${encodeURIComponent(orderId)}`;
  try {
    const order = await client.call<Order>(
      'orders',
      { method: 'GET', path, idempotent: true, timeoutMs },
      deadlineIn(timeoutMs),
    );
    return infoOf(order);
  } catch (error) {
    // An id that orders cannot even read is of no order either.
    if (error instanceof Refusal && (error.status === 404 || error.status === 400))
      return undefined;
    throw error;
  }
}

/** What whoever carries the order needs to know of it. */
function infoOf(order: Order): SourceData {
  return {
    order_id: order.id,
    number: order.number,
    status: order.status,
    channel: order.channel,
    currency: order.currency,
    base_amount: order.total_amount,
    reference: order.reference,
    address: order.fulfillment?.address ?? null,
    items: order.items.map(({ item_id, item_name, quantity }) => ({
      item_id,
      item_name,
      quantity,
    })),
  };
}
