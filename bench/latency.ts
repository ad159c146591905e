/**
 * Latency at ten times the design's load (500 orders a minute), with everything running: until an
 * order is accepted, until it is confirmed; and how many can be confirmed a second.
 */
import { newId } from '@waybill/kit/ids.ts';
import type pg from 'pg';
import { askNumber, connect, untilNone } from './database.ts';
import type { Figure, Run } from './figures.ts';
import { openPost, repeat, steadily, type Post } from './load.ts';
import { ORDER_BODY } from './order-body.ts';
import { startBareRoute, startSandbox, startSystem } from './processes.ts';
import { openRowWriter, type RowWriter } from './rows.ts';
import { createTally, percentile, type Tally } from './statistics.ts';

const SEED_RATE = 8;
const TENFOLD_RATE = 83;
const RATES = [SEED_RATE, TENFOLD_RATE];
/** What the sandbox is called with at once by default (PAYMENT_CONCURRENCY). */
const CALLS_IN_FLIGHT = 64;
/** More than the sandbox can answer over so many calls. */
const FLOOD_RATE = 800;
const SHARES = [0.5, 0.95, 0.99];

interface Subjects {
  readonly waybill: Post;
  readonly bare: Post;
  readonly sandbox: Post;
  readonly rows: RowWriter;
  readonly database: pg.Client;
}

export async function measureLatency(run: Run): Promise<readonly Figure[]> {
  const subjects = await startAll(run.stack);
  const tally = createTally();
  await warmUp(subjects);
  for (let round = 1; round <= run.rounds; round++) {
    for (const rate of RATES) await measureRate(run, subjects, tally, rate, round);
    await measureMost(run, subjects, tally, round);
  }
  return [
    ...SHARES.filter((share) => share !== 0.95).map((share) => acceptance(tally, share)),
    ...RATES.flatMap((rate) => SHARES.map((share) => confirmation(tally, rate, share))),
    ...RATES.flatMap((rate) => SHARES.map((share) => firstCall(tally, rate, share))),
    {
      name: 'confirmed, when far more is accepted',
      unit: '/s',
      values: tally.values('most'),
      peers: [
        {
          name: `the sandbox alone, ${CALLS_IN_FLIGHT} calls at once`,
          values: tally.values('most sandbox'),
        },
      ],
    },
  ];
}

async function startAll(stack: AsyncDisposableStack): Promise<Subjects> {
  const bare = await startBareRoute(stack);
  const sandbox = await startSandbox(stack);
  const system = await startSystem(stack);
  return {
    waybill: openPost(`${system.url}/api/v1/orders`, [202]),
    bare: openPost(`${bare.url}/api/v1/orders`, [202]),
    // A share of its answers are faults, by default one in twenty.
    sandbox: openPost(`${sandbox.url}/v1/charges`, [201, 500]),
    rows: await openRowWriter(stack, system.databaseUrl, 32),
    database: await connect(stack, system.databaseUrl),
  };
}

function charge(sandbox: Post): Promise<void> {
  const body = JSON.stringify({ amount_minor: 2598, currency: 'USD', order_id: newId() });
  return sandbox(body, { 'idempotency-key': newId() });
}

async function warmUp({ waybill, bare, sandbox, rows, database }: Subjects): Promise<void> {
  for (const work of [() => waybill(ORDER_BODY), () => bare(ORDER_BODY), rows.writeOne])
    await steadily(200, 2, work);
  await steadily(50, 1, () => charge(sandbox));
  await untilSettled(database);
}

/** A rate's measurements last three times as long as others: at 8/s there is little to count. */
async function measureRate(
  run: Run,
  { waybill, bare, sandbox, rows, database }: Subjects,
  tally: Tally,
  rate: number,
  round: number,
): Promise<void> {
  const seconds = run.seconds * 3;
  const since = await lastEvent(database);
  const accepted = await steadily(rate, seconds, () => waybill(ORDER_BODY));
  await untilSettled(database);
  const confirmed = await readConfirmations(database, since);
  const called = await steadily(rate, seconds, () => charge(sandbox));
  const note = (name: string, samples: readonly number[]) => {
    for (const share of SHARES) tally.add(`${name} ${rate} ${share}`, percentile(samples, share));
  };
  note('sandbox', called);
  note('confirmed', confirmed.all);
  note('first call', confirmed.atOnce);
  if (rate === TENFOLD_RATE) {
    note('accepted', accepted);
    note('bare', await steadily(rate, seconds, () => bare(ORDER_BODY)));
    note('rows', await steadily(rate, seconds, rows.writeOne));
  }
  run.say(
    `latency ${round}/${run.rounds}: ${rate}/s: ` +
      `accepted p99 ${percentile(accepted, 0.99).toFixed(1)} ms, ` +
      `confirmed p50 ${Math.round(percentile(confirmed.all, 0.5))} ms`,
  );
}

async function measureMost(run: Run, subjects: Subjects, tally: Tally, round: number) {
  const { waybill, sandbox, database } = subjects;
  const since = await lastEvent(database);
  await steadily(FLOOD_RATE, run.seconds, () => waybill(ORDER_BODY));
  await untilSettled(database);
  const most = await readConfirmedRate(database, since);
  tally.add('most', most);
  const alone = await repeat(CALLS_IN_FLIGHT, run.seconds, () => charge(sandbox));
  tally.add('most sandbox', alone.rate);
  run.say(`latency ${round}/${run.rounds}: at most ${Math.round(most)} confirmed a second`);
}

function acceptance(tally: Tally, share: number): Figure {
  const values = (name: string) => tally.values(`${name} ${TENFOLD_RATE} ${share}`);
  return {
    name: `accepted at ${TENFOLD_RATE}/s with everything running, p${share * 100}`,
    unit: 'ms',
    values: values('accepted'),
    peers: [
      { name: 'a bare Fastify route', values: values('bare') },
      { name: 'the same rows, a transaction each', values: values('rows') },
    ],
  };
}

function confirmation(tally: Tally, rate: number, share: number): Figure {
  return compare(tally, rate, share, 'confirmed', 'accepted to CONFIRMED');
}

function firstCall(tally: Tally, rate: number, share: number): Figure {
  return compare(tally, rate, share, 'first call', 'the same, where the first call succeeded');
}

function compare(tally: Tally, rate: number, share: number, name: string, title: string): Figure {
  const values = (of: string) => tally.values(`${of} ${rate} ${share}`);
  return {
    name: `${title}, ${rate}/s, p${share * 100}`,
    unit: 'ms',
    values: values(name),
    peers: [{ name: 'a call of the sandbox', values: values('sandbox') }],
  };
}

function lastEvent(database: pg.Client): Promise<number> {
  return askNumber(database, 'select coalesce(max(id), 0) from orders.log');
}

async function untilSettled(database: pg.Client): Promise<void> {
  const unsettled = `select count(*) from orders.orders
    where status in ('PENDING', 'PAYMENT_PROCESSING')`;
  await untilNone(database, 'unsettled orders', unsettled, 180_000);
}

/** Milliseconds from an order's first event to its confirmation, by the database's clock. */
async function readConfirmations(database: pg.Client, since: number) {
  const { rows } = await database.query<{ ms: number; calls: number }>(
    `select extract(epoch from confirmed.time - created.time)::float8 * 1000 as ms,
       json_array_length(o.payment_attempts) as calls
     from orders.log created
     join orders.log confirmed on confirmed.key = created.key and confirmed.type = 'ORDER_CONFIRMED'
     join orders.orders o on o.id = created.key::uuid
     where created.type = 'ORDER_CREATED' and created.id > $1`,
    [since],
  );
  if (rows.length === 0) throw new Error('no order was confirmed');
  return {
    all: rows.map((row) => row.ms),
    atOnce: rows.filter((row) => row.calls === 1).map((row) => row.ms),
  };
}

/**
 * Confirmations a second while there was always more to do: the worker begins with few calls at
 * once, and the last orders are those that wait for another attempt, so both ends are left out.
 */
async function readConfirmedRate(database: pg.Client, since: number): Promise<number> {
  return askNumber(
    database,
    `select 0.8 * count(*) / extract(epoch from percentile_disc(0.9) within group (order by time)
       - percentile_disc(0.1) within group (order by time))
     from orders.log where type = 'ORDER_CONFIRMED' and id > $1`,
    [since],
  );
}
