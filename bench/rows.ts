/** The floor under accepting an order: its rows written straight to PostgreSQL. */
import { setTimeout as pause } from 'node:timers/promises';
import { newId } from '@waybill/kit/ids.ts';
import type { OrderCreated } from '@waybill/orders/contract.ts';
import pg from 'pg';
import { repeat, type Load } from './load.ts';

// Copies of the tables with all their indexes and checks, so that the rows cost what they cost
// there, and no relay publishes them.
const TABLES = `
  create schema if not exists bench;
  create table if not exists bench.orders (like orders.orders including all);
  create table if not exists bench.log (like orders.log including all);
  create table if not exists bench.idempotency_keys (like orders.idempotency_keys including all);`;

// One statement is one transaction and one round trip: nothing writes them singly for less.
const ORDER_AND_LOG = `
  with accepted as (insert into bench.orders (id, number, channel, customer_id, currency,
      total_minor, status, payment_status, fulfillment_status, payment_method, items, version,
      created_at, updated_at)
    values ($1, $2, 'delivery', $3, 'USD', $4, 'PENDING', 'PENDING', 'UNFULFILLED', 'card', $5, 1,
      $6, $6))
  insert into bench.log (key, version, type, data) values ($1::uuid::text, 1, 'ORDER_CREATED', $7)`;

const WITH_KEY = `
  with claimed as (insert into bench.idempotency_keys (scope, key, fingerprint, status, response)
    values ('bench', $8, $9, 202, $1::uuid::text)),
  ${ORDER_AND_LOG.trim().slice('with '.length)}`;

const CUSTOMER = 'customer_123';
const ITEM = { item_id: 'item_001', item_name: 'Burger', quantity: 2, unit_minor: 1299 };
const FINGERPRINT = Buffer.alloc(32, 7);

export interface RowWriter {
  /** As many at once, each again as soon as it is durable. */
  write(concurrency: number, seconds: number, keyed: boolean): Promise<Load>;
  /** One of them. */
  writeOne(): Promise<void>;
}

/** Makes the tables beside Waybill's, and connections as the owner. */
export async function openRowWriter(
  stack: AsyncDisposableStack,
  databaseUrl: string,
  connections: number,
): Promise<RowWriter> {
  const clients: pg.Client[] = [];
  for (let index = 0; index < connections; index++) {
    const client = new pg.Client({ connectionString: databaseUrl });
    client.on('error', () => {});
    await client.connect();
    stack.defer(() => client.end());
    clients.push(client);
  }
  const [first] = clients;
  if (first === undefined) throw new Error('no connection was asked for');
  await first.query(TABLES);
  const last = await first.query<{ last: string }>(
    'select coalesce(max(number), 0) as last from bench.orders',
  );
  let number = Number(last.rows[0]?.last);
  const idle = clients.map((_, lane) => lane);
  const insert = async (lane: number, keyed: boolean) => {
    const client = clients[lane] as pg.Client;
    const values = valuesOf(++number);
    await client.query(
      keyed
        ? { name: 'keyed', text: WITH_KEY, values: [...values, newId(), FINGERPRINT] }
        : { name: 'plain', text: ORDER_AND_LOG, values },
    );
  };
  return {
    write: (concurrency, seconds, keyed) =>
      repeat(concurrency, seconds, (lane) => insert(lane, keyed)),
    async writeOne() {
      let lane = idle.pop();
      while (lane === undefined) {
        await pause(1);
        lane = idle.pop();
      }
      await insert(lane, false);
      idle.push(lane);
    },
  };
}

function valuesOf(number: number): unknown[] {
  const id = newId();
  const event: OrderCreated = {
    order_id: id,
    number,
    channel: 'delivery',
    customer_id: CUSTOMER,
    currency: 'USD',
    total_minor: 2598,
    from: null,
    to: 'PENDING',
    payment: { method: 'card', token: null },
    items: [{ item_id: ITEM.item_id, quantity: ITEM.quantity, unit_minor: ITEM.unit_minor }],
  };
  return [
    id,
    number,
    CUSTOMER,
    2598,
    JSON.stringify([ITEM]),
    new Date().toISOString(),
    JSON.stringify(event),
  ];
}
