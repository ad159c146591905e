/**
 * Flash sales: everybody wants one SKU, beside as many buyers of a thousand, and beside one
 * transaction for each buyer.
 */
import pg from 'pg';
import { openIdentitySigner, type Identity } from '@waybill/kit/identity.ts';
import { deriveKey, readOrCreateSecret } from '@waybill/kit/secrets.ts';
import { askNumber, connect } from './database.ts';
import type { Figure, Run } from './figures.ts';
import { openPost } from './load.ts';
import { ORDER_BODY } from './order-body.ts';
import { startBareRoute, startSystem, type WaybillSystem } from './processes.ts';
import { createTally, percentile, type Tally } from './statistics.ts';

const CONNECTIONS = 64;
/** 10,000 by default. */
const UNITS_PER_SECOND = 2000;
const SKUS = 1000;
/** As many as a pool could have; more wait for each other no less. */
const WRITERS = 16;

const subjects = {
  bare: 'a bare Fastify route',
  each: 'the same rows, a transaction each, one SKU',
  one: 'units of one SKU reserved',
  thousand: `units of ${SKUS} SKUs reserved`,
} as const;
type Subject = keyof typeof subjects;

/** Sells so many units; resolves with how long each buyer waited. */
type Sell = (units: number, round: string) => Promise<number[]>;

export async function measureStock(run: Run): Promise<readonly Figure[]> {
  const { stack, rounds, seconds, say } = run;
  const units = Math.max(CONNECTIONS, Math.round(UNITS_PER_SECOND * seconds));
  const sales = await salesOf(stack);
  const tally = createTally();
  for (const subject of Object.keys(sales) as Subject[]) await sales[subject](500, 'warm');
  for (let round = 1; round <= rounds; round++)
    for (const subject of Object.keys(sales) as Subject[]) {
      const begun = performance.now();
      const waits = await sales[subject](units, String(round));
      const rate = (units / (performance.now() - begun)) * 1000;
      tally.add(`${subject} rate`, rate);
      tally.add(`${subject} p50`, percentile(waits, 0.5));
      tally.add(`${subject} p99`, percentile(waits, 0.99));
      say(`stock ${round}/${rounds}: ${units} ${subjects[subject]}: ${Math.round(rate)}/s`);
    }
  return [
    ...figuresOf(tally, 'one', ['thousand', 'each', 'bare']),
    ...figuresOf(tally, 'thousand'),
  ];
}

async function salesOf(stack: AsyncDisposableStack): Promise<Record<Subject, Sell>> {
  const bare = await startBareRoute(stack);
  const system = await startSystem(stack, ['inventory']);
  const writers = new pg.Pool({ connectionString: system.databaseUrl, max: WRITERS });
  stack.defer(() => writers.end());
  const database = await connect(stack, system.databaseUrl);
  const postBare = openPost(`${bare.url}/api/v1/orders`, [202]);
  const stock = async (skus: readonly string[], units: number) => {
    await database.query(
      'insert into inventory.stock (sku, on_hand) select unnest($1::text[]), $2',
      [skus, units],
    );
  };
  const sold = async (first: string, units: number) => {
    const reserved = await askNumber(
      database,
      `select sum(reserved) from inventory.stock where sku like '${first}%'`,
    );
    if (reserved !== units) throw new Error(`${reserved} of ${units} were sold`);
  };
  const sell = async (skus: readonly string[], units: number, round: string) => {
    await stock(skus, Math.ceil(units / skus.length));
    const reserve = reserving(system, round);
    const waits = await share(units, CONNECTIONS, (unit) =>
      reserve(skus[unit % skus.length] as string, unit),
    );
    await sold(`${round}-${skus.length}-`, units);
    return waits;
  };
  const namesOf = (round: string, count: number) =>
    Array.from({ length: count }, (_, index) => `${round}-${count}-${index}`);
  return {
    bare: (units) => share(units, CONNECTIONS, () => postBare(ORDER_BODY)),
    async each(units, round) {
      const sku = `${round}-each`;
      await stock([sku], units);
      const waits = await share(units, WRITERS, (unit) =>
        writers.query({ name: 'each', text: EACH, values: [sku, `${sku}-${unit}`] }),
      );
      await sold(sku, units);
      return waits;
    },
    one: (units, round) => sell(namesOf(round, 1), units, round),
    thousand: (units, round) => sell(namesOf(round, SKUS), units, round),
  };
}

/** Reserves a unit as orders would, with an identity that lives longer than a sale. */
function reserving({ url, dataDir }: WaybillSystem, round: string) {
  const identity: Identity = { subject: 'orders', roles: ['service'] };
  const key = deriveKey(readOrCreateSecret(dataDir), 'identity');
  const token = openIdentitySigner(key).sign(identity, 'inventory');
  const post = openPost(`${url}/internal/inventory/reservations`, [200]);
  return (sku: string, unit: number) => {
    const body = {
      reservation_id: `${round}-${sku}-${unit}`,
      lines: [{ sku, quantity: 1 }],
      expires_in_seconds: 3600,
    };
    return post(JSON.stringify(body), { 'waybill-identity': token });
  };
}

/** What a reservation writes, in one statement and one commit, as one would do it at first. */
const EACH = `with taken as (
    update inventory.stock set reserved = reserved + 1, version = version + 1, updated_at = now()
    where sku = $1 and on_hand - reserved >= 1 returning sku, on_hand, reserved, version),
  made as (
    insert into inventory.reservations (id, state, asked, allow_unknown, expires_at)
    select $2, 'reserved', '[]', false, now() + interval '1 hour' from taken),
  lined as (
    insert into inventory.reservation_lines (reservation_id, sku, quantity)
    select $2, sku, 1 from taken)
  insert into inventory.log (key, version, type, data)
  select sku, version, 'STOCK_CHANGED', json_build_object('sku', sku, 'on_hand', on_hand,
    'reserved', reserved, 'changes', json_build_array(json_build_object('kind', 'reserved',
      'reservation_id', $2::text, 'quantity', 1))) from taken`;

/** Does the work so many times, so many at once. */
async function share(
  count: number,
  lanes: number,
  work: (index: number) => Promise<unknown>,
): Promise<number[]> {
  const waits: number[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const from = performance.now();
      await work(next++);
      waits.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return waits;
}

function figuresOf(tally: Tally, subject: Subject, peers: readonly Subject[] = ['bare']): Figure[] {
  const name = `${subjects[subject]}, ${CONNECTIONS} connections`;
  return (['rate', 'p50', 'p99'] as const).map((measure) => ({
    name: measure === 'rate' ? name : `${name}, ${measure}`,
    unit: measure === 'rate' ? '/s' : 'ms',
    values: tally.values(`${subject} ${measure}`),
    peers: peers.map((peer) => ({
      name: subjects[peer],
      values: tally.values(`${peer} ${measure}`),
    })),
  }));
}
