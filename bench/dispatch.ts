/**
 * Dispatch: polls for nothing beside a constant answer and beside a statement for each, the load
 * of the design with its share of the processor, the most that is held, and how soon who waits is
 * told.
 */
import { loadServices } from '@waybill/server/services.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { migrate } from '@waybill/kit/run.ts';
import { readOrCreateSecret } from '@waybill/kit/secrets.ts';
import { configure } from '@waybill/kit/settings.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from './database.ts';
import type { Figure, Peer, Run } from './figures.ts';
import { AROUND, type Served } from './dispatch-load.ts';
import { steadily } from './load.ts';
import { executorId, loadDispatch, orderId, type DispatchSize } from './load-dispatch.ts';
import { childrenOf, processorSeconds } from './memory.ts';
import { keepWaiting, mix, openAsk, poll } from './polling.ts';
import { startBarePolls, startDatabase, startWaybill, type Started } from './processes.ts';
import { createTally, percentile, type Tally } from './statistics.ts';
import { grouped } from './table.ts';

/** The load of the design, a second. */
const POLLS = 4200;
const ASSIGNS = 300;
const CANCELS = 120;
const EXECUTORS = 250_000;
const LIVE = 100_000;
/** Executors at the end who wait, and whom nobody else polls for. */
const WAITING = 200;
const CONNECTIONS = [64, 128];
/** Over which the mix comes, so that no poll waits for a connection. */
const MIX_CONNECTIONS = 256;
/** How many times the load of the design is tried; ended by the first that is not held. */
const FACTORS = [1, 2, 4, 6, 8, 10];
const HELD_MS = 20;
const WARM_UP_S = 2;

interface Dispatch {
  readonly size: DispatchSize;
  readonly waybill: Started;
  readonly databaseUrl: string;
  readonly databasePid: number;
  /** The next order that nobody has assigned. */
  nextOrder: number;
}

export async function measureDispatch(run: Run): Promise<readonly Figure[]> {
  const { stack, rounds, seconds, say } = run;
  const most = FACTORS.reduce((sum, factor) => sum + factor, rounds) * ASSIGNS * (seconds + 2);
  const size = { executors: EXECUTORS, live: LIVE, past: 0, orders: most + rounds * 50_000 };
  const dispatch = await prepare(run, 'dispatch', size);
  const bare = await startBarePolls(stack, dispatch.databaseUrl);
  const tally = createTally();
  const subjects = { waybill: dispatch.waybill.url, constant: bare.url, single: bare.url };
  const pollFor = (subject: string, url: string, connections: number, duration: number) =>
    poll({
      url,
      around: subject === 'waybill' ? AROUND : [`/${subject}/`, '/acquire'],
      ...idleOf(size),
      connections,
      seconds: duration,
    });
  for (const [subject, url] of Object.entries(subjects)) await pollFor(subject, url, 64, WARM_UP_S);
  for (let round = 1; round <= rounds; round++) {
    for (const connections of CONNECTIONS)
      for (const [subject, url] of Object.entries(subjects)) {
        const polls = await pollFor(subject, url, connections, seconds);
        tally.add(`${subject} ${connections}`, polls.rate);
        tally.add(`${subject} ${connections} p99`, polls.p99);
        say(`dispatch ${round}/${rounds}: ${subject}, ${connections}: ${Math.round(polls.rate)}/s`);
      }
    await measureMix(run, dispatch, tally, 1, `mix`);
    await measureWaiting(run, dispatch, tally);
  }
  await findMost(run, dispatch, tally);
  return [...pollFigures(tally), ...mixFigures(tally), mostFigure(tally), ...waitFigures(tally)];
}

async function prepare(run: Run, name: string, size: DispatchSize): Promise<Dispatch> {
  const { stack } = run;
  const server = await startDatabase(stack);
  const secret = readOrCreateSecret(server.dataDir);
  const services = await loadServices([]);
  const configuration = configure(services, {
    DATABASE_URL: server.url,
    WAYBILL_SECRET: secret,
    SANDBOX_URL: 'http://127.0.0.1',
  });
  await migrate(services, configuration, openLogger('silent'));
  const client = await connect(stack, server.url);
  await loadDispatch(client, size, (text) => run.say(`${name}: ${text}`));
  const names = ['gateway', 'orders', 'dispatch'];
  const waybill = await startWaybill(stack, server.dataDir, names, server.url);
  const { url } = waybill;
  const warming = { url, ...idleOf(size), connections: MIX_CONNECTIONS, seconds: WARM_UP_S };
  const rates = { polls: POLLS, assigns: ASSIGNS, cancels: CANCELS };
  const { assigned } = await mix({ ...warming, ...rates, firstOrder: 1 });
  const nextOrder = assigned + 1;
  return { size, waybill, databaseUrl: server.url, databasePid: server.pid, nextOrder };
}

/** Executors of whom nobody waits, and who have nothing unless the mix assigns it to them. */
function idleOf({ live, executors }: DispatchSize) {
  return { from: live + 1, to: executors - WAITING };
}

/** Polls, assignments and cancellations at so many times the load of the design. */
async function measureMix(
  run: Run,
  dispatch: Dispatch,
  tally: Tally,
  factor: number,
  key: string,
): Promise<{ held: boolean; polls: number }> {
  const { size, waybill } = dispatch;
  const { seconds } = run;
  const before = processorUse(dispatch);
  const { polls, assigns, cancels, ...generator } = await mix({
    url: waybill.url,
    ...idleOf(size),
    connections: MIX_CONNECTIONS,
    seconds,
    polls: POLLS * factor,
    assigns: ASSIGNS * factor,
    cancels: CANCELS * factor,
    firstOrder: dispatch.nextOrder,
  });
  dispatch.nextOrder += generator.assigned;
  const after = processorUse(dispatch);
  const shareOf = (used: number) => (used / seconds) * 100;
  const used = {
    waybill: shareOf(after.waybill - before.waybill),
    database: shareOf(after.database - before.database),
    generator: shareOf(generator.processorSeconds),
  };
  tally.add(`${key} rate`, polls.rate);
  for (const [name, served] of Object.entries({ polls, assigns, cancels })) {
    tally.add(`${key} ${name}`, served.p99);
    tally.add(`${key} ${name} p50`, served.p50);
  }
  for (const [name, share] of Object.entries(used)) tally.add(`${key} ${name}`, share);
  tally.add(`${key} late`, generator.late);
  const times = ({ p50, p99, most }: Served) =>
    `${p50.toFixed(1)}/${p99.toFixed(1)}/${most.toFixed(0)}`;
  run.say(
    `dispatch: ${factor} × the design: ${Math.round(polls.rate)} polls, ` +
      `${Math.round(assigns.answered / seconds)} assigns, ` +
      `${Math.round(cancels.answered / seconds)} cancels/s; p50/p99/most of polls ` +
      `${times(polls)}, assigns ${times(assigns)}, cancels ${times(cancels)} ms, sent late by ` +
      `p99 ${generator.late.toFixed(1)} ms; ${polls.statuses[200] ?? 0} acquired; processor ` +
      `${Object.entries(used)
        .map(([name, share]) => `${name} ${Math.round(share)}%`)
        .join(', ')}`,
  );
  const worst = Math.max(polls.p99, assigns.p99, cancels.p99);
  return { held: worst < HELD_MS && polls.rate > POLLS * factor * 0.97, polls: polls.rate };
}

function processorUse({ waybill, databasePid }: Dispatch) {
  const database = [databasePid, ...childrenOf(databasePid)].reduce((sum, pid) => {
    try {
      return sum + processorSeconds(pid);
    } catch {
      return sum;
    }
  }, 0);
  return { waybill: processorSeconds(waybill.pid), database };
}

async function findMost(run: Run, dispatch: Dispatch, tally: Tally): Promise<void> {
  let most = 0;
  for (const factor of FACTORS) {
    const { held, polls } = await measureMix(run, dispatch, tally, factor, `most ${factor}`);
    if (!held) break;
    most = polls;
  }
  tally.add('most', most);
}

/** From the sending of an assignment to the answer of a poll that waits for it. */
async function measureWaiting(run: Run, dispatch: Dispatch, tally: Tally): Promise<void> {
  const ask = openAsk(dispatch.waybill.url);
  const { executors } = dispatch.size;
  const names = Array.from({ length: WAITING }, (_, index) => executorId(executors - index));
  const waiting = keepWaiting(ask, names);
  const sent = new Map<string, number>();
  await pause(500);
  await steadily(50, run.seconds, async () => {
    const order = orderId(dispatch.nextOrder++);
    const executor_id = names[Math.floor(Math.random() * names.length)] as string;
    sent.set(order, performance.now());
    await ask('POST', '/assignments', { order_id: order, executor_id });
  });
  await pause(500);
  await waiting.stop();
  const latencies = [...sent].map(
    ([order, at]) => (waiting.got.get(order) ?? Number.POSITIVE_INFINITY) - at,
  );
  tally.add('waiting p50', percentile(latencies, 0.5));
  tally.add('waiting p99', percentile(latencies, 0.99));
  const p99 = percentile(latencies, 0.99);
  run.say(`dispatch: a poll that waits has its order after p99 ${p99.toFixed(1)} ms`);
}

function pollFigures(tally: Tally): Figure[] {
  return CONNECTIONS.flatMap((connections) => {
    const peers = (suffix: string): Peer[] => [
      {
        name: 'a constant answer of Fastify',
        values: tally.values(`constant ${connections}${suffix}`),
      },
      {
        name: 'a statement for each poll',
        values: tally.values(`single ${connections}${suffix}`),
      },
    ];
    const name = `polls for nothing, ${connections} connections`;
    return [
      { name, unit: '/s', values: tally.values(`waybill ${connections}`), peers: peers('') },
      {
        name: `${name}, p99`,
        unit: 'ms',
        values: tally.values(`waybill ${connections} p99`),
        peers: peers(' p99'),
      },
    ] satisfies Figure[];
  });
}

function mixFigures(tally: Tally): Figure[] {
  const load = `${grouped(POLLS)} polls, ${ASSIGNS} assigns, ${CANCELS} cancels a second`;
  const figure = (name: string, unit: Figure['unit'], key: string): Figure => ({
    name,
    unit,
    values: tally.values(key),
    peers: [],
  });
  return [
    figure(`${load}: polls answered`, '/s', 'mix rate'),
    ...['polls', 'assigns', 'cancels'].flatMap((name) => [
      figure(`${load}: ${name}, p50`, 'ms', `mix ${name} p50`),
      figure(`${load}: ${name}, p99`, 'ms', `mix ${name}`),
    ]),
    figure(`${load}: requests sent later than they were due, p99`, 'ms', 'mix late'),
    figure(`${load}: processor time of Waybill`, '%', 'mix waybill'),
    figure(`${load}: processor time of PostgreSQL`, '%', 'mix database'),
    figure(`${load}: processor time of the generator`, '%', 'mix generator'),
  ];
}

function mostFigure(tally: Tally): Figure {
  const name = `the same mix, the most polls with a p99 under ${HELD_MS} ms`;
  return { name, unit: '/s', values: tally.values('most'), peers: [] };
}

function waitFigures(tally: Tally): Figure[] {
  return ['p50', 'p99'].map((share) => ({
    name: `from an assignment to the answer of who waits for it, ${share}`,
    unit: 'ms',
    values: tally.values(`waiting ${share}`),
    peers: [],
  }));
}

/** The load of the design alone, for as long as one likes: `dispatch-load --seconds 300`. */
export async function measureDispatchLoad(run: Run): Promise<readonly Figure[]> {
  const { rounds, seconds } = run;
  const orders = (rounds * seconds + WARM_UP_S) * ASSIGNS;
  const size = { executors: EXECUTORS, live: LIVE, past: 0, orders };
  const dispatch = await prepare(run, 'dispatch-load', size);
  const tally = createTally();
  for (let round = 1; round <= rounds; round++) await measureMix(run, dispatch, tally, 1, 'mix');
  return mixFigures(tally);
}

/** The same on a database of a quarter of a million executors, and on one of far more. */
export async function measureDispatchGrowth(run: Run): Promise<readonly Figure[]> {
  const orders = run.rounds * (run.seconds + 2) * ASSIGNS * 2;
  const sizes = [
    { executors: EXECUTORS, live: LIVE, past: 0, orders },
    { executors: Math.max(EXECUTORS, run.orders), live: LIVE, past: run.orders * 10, orders },
  ];
  const all: Dispatch[] = [];
  for (const size of sizes) all.push(await prepare(run, 'dispatch-growth', size));
  const tally = createTally();
  for (let round = 1; round <= run.rounds; round++)
    for (const [index, dispatch] of all.entries()) {
      const { size, waybill } = dispatch;
      const polls = await poll({
        url: waybill.url,
        around: AROUND,
        ...idleOf(size),
        connections: 64,
        seconds: run.seconds,
      });
      tally.add(`polls ${index}`, polls.rate);
      await measureMix(run, dispatch, tally, 1, `mix ${index}`);
    }
  const small = `at ${grouped(EXECUTORS)} executors and no past`;
  const executors = grouped(sizes[1]?.executors ?? 0);
  const past = grouped(sizes[1]?.past ?? 0);
  const large = `at ${executors} executors and ${past} past assignments`;
  const compare = (name: string, unit: Figure['unit'], key: (index: number) => string): Figure => ({
    name: `${name}, ${large}`,
    unit,
    values: tally.values(key(1)),
    peers: [{ name: small, values: tally.values(key(0)) }],
  });
  return [
    compare('polls for nothing', '/s', (index) => `polls ${index}`),
    compare('the mix: polls, p99', 'ms', (index) => `mix ${index} polls`),
    compare('the mix: assigns, p99', 'ms', (index) => `mix ${index} assigns`),
    compare('the mix: cancels, p99', 'ms', (index) => `mix ${index} cancels`),
  ];
}
