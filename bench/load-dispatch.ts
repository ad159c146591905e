/**
 * Fills a database with executors, orders to assign, live assignments and past ones, as they would
 * lie there had all of it been asked for; without their events, which nobody reads here any more:
 * those who follow orders have them in their inboxes, and take the next as the second.
 */
import type pg from 'pg';

export interface DispatchSize {
  readonly executors: number;
  /** Live assignments, of the first executors, one each. */
  readonly live: number;
  readonly past: number;
  /** Orders that nobody has assigned. */
  readonly orders: number;
}

const CHUNK = 100_000;

/** The id of a loaded order. */
export function orderId(index: number): string {
  return `00000000-0000-7000-8000-${String(index).padStart(12, '0')}`;
}

export function executorId(index: number): string {
  return `e-${index}`;
}

const ASSIGNMENT = `number, executor_id, state, epoch, version, cost_minor, currency,
  cost_breakdown, order_info, sources, assigned_at, acquired_at, ended_at`;

const INFO = `json_build_object('order_id', i, 'base_amount', 12.5, 'currency', 'USD', 'address',
  repeat('Main Street ', 8), 'items', json_build_array(json_build_object('item_name', 'Burger')))`;

/** Adds to a migrated database on which no Waybill runs. */
export async function loadDispatch(
  client: pg.Client,
  size: DispatchSize,
  say: (text: string) => void,
): Promise<void> {
  await client.query('set synchronous_commit = off');
  await inChunks(client, size.executors, EXECUTORS);
  await inChunks(client, size.live, LIVE);
  await inChunks(client, size.orders, ORDERS);
  for (const service of FOLLOWERS_OF_ORDERS) await inChunks(client, size.orders, seenBy(service));
  await inChunks(client, size.past, PAST, size.executors);
  // What autovacuum would have done long ago on tables that have grown by themselves.
  await client.query('vacuum (analyze)');
  await client.query('checkpoint');
  say(
    `loaded ${size.executors} executors, ${size.live} live and ${size.past} past assignments, ` +
      `${size.orders} orders`,
  );
}

async function inChunks(client: pg.Client, count: number, text: string, ...more: number[]) {
  for (let from = 0; from < count; from += CHUNK)
    await client.query(text, [from + 1, Math.min(from + CHUNK, count), ...more]);
}

const EXECUTORS = `insert into dispatch.executors (executor_id, name, tags, rating)
  select 'e-' || i, 'Executor ' || i, '["bike"]', 4.5
  from generate_series($1::bigint, $2::bigint) i`;

const LIVE = `insert into dispatch.assignments (order_id, ${ASSIGNMENT})
  select 'live-' || i, null, 'e-' || i, 'ASSIGNED', 1, 1, 1250, 'USD', '[]', ${INFO}, '{}',
    now(), null, null
  from generate_series($1::bigint, $2::bigint) i`;

const PAST = `insert into dispatch.past_assignments (order_id, ${ASSIGNMENT})
  select 'past-' || i, null, 'e-' || (1 + i % $3::bigint), 'DELIVERED', 1, 4, 1250, 'USD', '[]',
    ${INFO}, '{}', now() - i * interval '1 second', now() - i * interval '1 second',
    now() - i * interval '1 second'
  from generate_series($1::bigint, $2::bigint) i`;

const ORDERS = `insert into orders.orders (id, number, channel, customer_id, currency, total_minor,
    status, payment_status, fulfillment_status, payment_method, items, version, created_at,
    updated_at)
  select ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid,
    nextval('orders.order_numbers'), 'delivery', 'customer', 'USD', 1250, 'CONFIRMED', 'CAPTURED',
    'UNFULFILLED', 'card', '[{"item_id":"a","item_name":"Burger","quantity":1,"unit_minor":1250}]',
    1, now(), now()
  from generate_series($1::bigint, $2::bigint) i`;

const FOLLOWERS_OF_ORDERS = ['dispatch', 'payments', 'inventory', 'pets'];

const seenBy = (service: string) => `insert into ${service}.inbox (topic, key, version)
  select 'orders', '00000000-0000-7000-8000-' || lpad(i::text, 12, '0'), 1
  from generate_series($1::bigint, $2::bigint) i`;
