/** What Waybill's own services know: the order from orders, the rest from dispatch's own tables. */
import type { Client } from '@waybill/kit/client.ts';
import type { Database } from '@waybill/kit/db.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { gather } from '@waybill/kit/gather.ts';
import {
  MAX_FOUND,
  type FindOrders,
  type FoundOrders,
  type Order,
} from '@waybill/orders/contract.ts';
import type { Placeholder, SourceData, SourceName } from '../source-settings.ts';
import { FEW } from '../assigning.ts';
import { findZones, readDesk } from '../views.ts';

export type Facts = Partial<Record<Placeholder, string>>;

/** Undefined: there is no such thing. */
export type OwnSource = (facts: Facts, timeoutMs: number) => Promise<SourceData | undefined>;

/** Look-ups that arrive together are one. */
const TOGETHER = {
  maxBatch: 256,
  flights: 2,
  few: FEW,
  maxWaiting: 20_000,
  overflow: () => new Outage('database', 'too many look-ups are waiting'),
};

/** The five sources, answered here. */
export function createOwnSources(db: Database, client: Client): Record<SourceName, OwnSource> {
  // Every assignment asks for its executor and for the configuration, at the same moment.
  const desk = lookUp(async (ids) => {
    const { executors, maxCoefficient } = await readDesk(db, ids);
    const found = new Map(executors.map((row) => [row.executor_id, row]));
    return (id) => ({ executor: found.get(id), maxCoefficient });
  });
  const zone = lookUp(async (ids) => {
    const found = new Map((await findZones(db, ids)).map((row) => [row.zone_id, row]));
    return (id) => found.get(id);
  });
  const order = gather((asked: readonly AskedOrder[]) => askOrders(client, asked), {
    ...TOGETHER,
    maxBatch: MAX_FOUND,
  });
  return {
    async general_order_info({ order_id: id = '' }, timeoutMs) {
      const found = await order({ id, timeoutMs });
      return found === null ? undefined : infoOf(found);
    },
    async executor_profile({ executor_id = '' }) {
      const { executor } = await desk(executor_id);
      if (executor === undefined) return undefined;
      const { name, tags, rating, zone_id, available } = executor;
      return { executor_id, name, tags, rating, zone_id, available };
    },
    async assign_order_configs({ executor_id = '' }) {
      return { max_coin_coeff: (await desk(executor_id)).maxCoefficient };
    },
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

function lookUp<Found>(find: (ids: readonly string[]) => Promise<(id: string) => Found>) {
  return gather<string, Found>(async (ids) => {
    const found = await find([...new Set(ids)]);
    return ids.map((id) => found(id));
  }, TOGETHER);
}

interface AskedOrder {
  readonly id: string;
  readonly timeoutMs: number;
}

async function askOrders(client: Client, asked: readonly AskedOrder[]) {
  const timeoutMs = Math.max(...asked.map((one) => one.timeoutMs));
  const body: FindOrders = { ids: asked.map(({ id }) => id) };
  const { orders } = await client.call<FoundOrders>(
    'orders',
    { method: 'POST', path: '/internal/orders/find', body, idempotent: true, timeoutMs },
    deadlineIn(timeoutMs),
  );
  return orders;
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
