/**
 * What growth costs: the same requests on a database of ten thousand orders and on one of a
 * million, in turns. Every ratio should be near 1.
 */
import { deriveKey, readOrCreateSecret } from '@waybill/kit/secrets.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { encodeCursor } from '@waybill/kit/paging.ts';
import { migrate } from '@waybill/kit/run.ts';
import { configure } from '@waybill/kit/settings.ts';
import { loadServices } from '@waybill/server/services.ts';
import type pg from 'pg';
import { postOrders } from './accept.ts';
import { connect, untilPublished } from './database.ts';
import type { Figure, Run } from './figures.ts';
import { hammer } from './load.ts';
import { loadOrders } from './load-orders.ts';
import { startDatabase, startWaybill } from './processes.ts';
import { grouped } from './table.ts';
import { createTally, type Tally } from './statistics.ts';

const SMALL = 10_000;
const CONNECTIONS = 32;
const WARM_UP_S = 1;

/** One of the two sizes: a database of its own in one server, and a Waybill on it. */
interface Size {
  readonly orders: number;
  readonly url: string;
  readonly database: pg.Client;
  /** Query strings of the lists, by what they ask for. */
  readonly lists: Readonly<Record<string, string>>;
}

export async function measureGrowth(run: Run): Promise<readonly Figure[]> {
  const server = await startDatabase(run.stack);
  const sizes: Size[] = [];
  for (const orders of [SMALL, run.orders])
    sizes.push(await prepare(run, server.dataDir, server.url, orders));
  const tally = createTally();
  const names = Object.keys(sizes[0]?.lists ?? {});
  // Lists first: what is accepted afterwards would make the small database a large one.
  for (let round = 1; round <= run.rounds; round++)
    for (const name of names) for (const size of sizes) await measureList(run, tally, size, name);
  for (const size of sizes) await postOrders(size.url, CONNECTIONS, WARM_UP_S);
  for (let round = 1; round <= run.rounds; round++)
    for (const size of sizes) await measureAcceptance(run, tally, size);
  return figuresOf(tally, sizes);
}

async function prepare(
  run: Run,
  dataDir: string,
  serverUrl: string,
  orders: number,
): Promise<Size> {
  const { stack, say } = run;
  const name = `orders_${orders}`;
  const owner = await connect(stack, serverUrl);
  await owner.query(`create database ${name}`);
  const databaseUrl = Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href;
  const secret = readOrCreateSecret(dataDir);
  const services = await loadServices([]);
  const configuration = configure(services, {
    DATABASE_URL: databaseUrl,
    WAYBILL_SECRET: secret,
    SANDBOX_URL: 'http://127.0.0.1',
  });
  await migrate(services, configuration, openLogger('silent'));
  await loadOrders(databaseUrl, orders, say);
  const database = await connect(stack, databaseUrl);
  const waybill = await startWaybill(stack, dataDir, ['gateway', 'orders'], databaseUrl);
  return { orders, url: waybill.url, database, lists: await listsOf(database, secret) };
}

/** The lists as an operator asks for them, all of what is there at both sizes. */
async function listsOf(database: pg.Client, secret: string): Promise<Record<string, string>> {
  const { rows } = await database.query<{ id: string; customer: string; reference: string }>(
    `select id, customer_id as customer, reference from orders.orders
     order by id limit 1 offset 50`,
  );
  const [oldest] = rows;
  if (oldest === undefined) throw new Error('nothing was loaded');
  // The cursor that a walk through all pages would have come to at the 50th order from the end.
  const scope = JSON.stringify([[], []]);
  const cursor = encodeCursor(deriveKey(secret, 'cursor'), scope, oldest.id);
  return {
    'first page': '',
    'first page by customer': `?customer_id=${oldest.customer}`,
    'first page by status': '?status=confirmed',
    'first page by a rare status': '?status=cancelled',
    'page at a deep cursor': `?cursor=${cursor}`,
    'search by reference': `?q=${oldest.reference}`,
    'search by the beginning of references': `?q=${oldest.reference.slice(0, -1)}`,
  };
}

async function measureList(run: Run, tally: Tally, size: Size, name: string): Promise<void> {
  const url = `${size.url}/api/v1/orders${size.lists[name] ?? ''}`;
  const seconds = half(run.seconds);
  const load = await hammer(url, { method: 'GET', connections: 1, seconds, expect: 200 });
  tally.add(`${name} ${size.orders}`, load.p50);
  run.say(`growth: ${name} at ${size.orders}: p50 ${load.p50.toFixed(2)} ms`);
}

async function measureAcceptance(run: Run, tally: Tally, size: Size): Promise<void> {
  const load = await postOrders(size.url, CONNECTIONS, half(run.seconds));
  tally.add(`rate ${size.orders}`, load.rate);
  tally.add(`p99 ${size.orders}`, load.p99);
  run.say(`growth: accepted at ${size.orders}: ${Math.round(load.rate)}/s`);
  await untilPublished(size.database);
}

function half(seconds: number): number {
  return Math.max(1, Math.round(seconds / 2));
}

function figuresOf(tally: Tally, sizes: readonly Size[]): Figure[] {
  const [small, large] = sizes;
  if (small === undefined || large === undefined) throw new Error('two sizes are compared');
  const compare = (name: string, unit: '/s' | 'ms', key: string): Figure => ({
    name: `${name}, at ${grouped(large.orders)} orders`,
    unit,
    values: tally.values(`${key} ${large.orders}`),
    peers: [
      {
        name: `at ${grouped(small.orders)} orders`,
        values: tally.values(`${key} ${small.orders}`),
      },
    ],
  });
  return [
    compare(`accepted, ${CONNECTIONS} connections`, '/s', 'rate'),
    compare(`accepted, ${CONNECTIONS} connections, p99`, 'ms', 'p99'),
    ...Object.keys(large.lists).map((name) => compare(`${name}, p50`, 'ms', name)),
  ];
}
