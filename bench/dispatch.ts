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
import { steadily } from './load.ts';
import { executorId, loadDispatch, orderId, type DispatchSize } from './load-dispatch.ts';
import { childrenOf, processorSeconds } from './memory.ts';
import { keepWaiting, openAsk, poll, type Ask } from './polling.ts';
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
/** How many times the load of the design is tried; ended by the first that is not held. */
const FACTORS = [1, 2, 4, 6, 8, 10];
const HELD_MS = 20;
const WARM_UP_S = 1;

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
    poll(url, {
      ...(subject === 'waybill' ? {} : { around: [`/${subject}/`, '/acquire'] as const }),
      from: size.live + 1,
      to: size.executors - WAITING,
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
  return [...pollFigures(tally), ...mixFigures(tally), ...waitFigures(tally)];
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
  return { size, waybill, databaseUrl: server.url, databasePid: server.pid, nextOrder: 1 };
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
  const ask = openAsk(waybill.url);
  const toCancel: string[] = [];
  const idle = { from: size.live + 1, to: size.executors - WAITING };
  const before = processorUse(dispatch);
  const [polls, assigns, cancels] = await Promise.all([
    poll(waybill.url, { ...idle, connections: 64, seconds, rate: POLLS * factor }),
    steadily(ASSIGNS * factor, seconds, () => assignNext(ask, dispatch, idle, toCancel)),
    pause(500).then(() =>
      steadily(CANCELS * factor, seconds - 0.5, async () => {
        const order = toCancel.shift();
        if (order !== undefined) await cancel(ask, order);
      }),
    ),
  ]);
  const after = processorUse(dispatch);
  const p99 = { assigns: percentile(assigns, 0.99), cancels: percentile(cancels, 0.99) };
  tally.add(`${key} rate`, polls.rate);
  tally.add(`${key} polls`, polls.p99);
  tally.add(`${key} assigns`, p99.assigns);
  tally.add(`${key} cancels`, p99.cancels);
  tally.add(`${key} waybill`, ((after.waybill - before.waybill) / seconds) * 100);
  tally.add(`${key} database`, ((after.database - before.database) / seconds) * 100);
  run.say(
    `dispatch: ${factor} × the design: ${Math.round(polls.rate)} polls/s, p99 of polls ` +
      `${polls.p99.toFixed(1)}, assigns ${p99.assigns.toFixed(1)}, cancels ` +
      `${p99.cancels.toFixed(1)} ms, ${polls.acquired} acquired`,
  );
  const worst = Math.max(polls.p99, p99.assigns, p99.cancels);
  return { held: worst < HELD_MS && polls.rate > POLLS * factor * 0.97, polls: polls.rate };
}

async function assignNext(
  ask: Ask,
  dispatch: Dispatch,
  { from, to }: { from: number; to: number },
  toCancel: string[],
): Promise<void> {
  const order = orderId(dispatch.nextOrder++);
  const executor = executorId(from + Math.floor(Math.random() * (to - from + 1)));
  const { status } = await ask('POST', '/assignments', { order_id: order, executor_id: executor });
  if (status !== 201) throw new Error(`assigning ${order} was answered ${status}`);
  if (Math.random() < (CANCELS / ASSIGNS) * 1.2) toCancel.push(order);
}

/** Somebody may have acquired it meanwhile. */
async function cancel(ask: Ask, order: string): Promise<void> {
  const { status } = await ask('DELETE', `/assignments/${order}`);
  if (status !== 200 && status !== 409) throw new Error(`cancelling was answered ${status}`);
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
    figure(`${load}: polls, p99`, 'ms', 'mix polls'),
    figure(`${load}: assigns, p99`, 'ms', 'mix assigns'),
    figure(`${load}: cancels, p99`, 'ms', 'mix cancels'),
    figure(`${load}: processor time of Waybill`, '%', 'mix waybill'),
    figure(`${load}: processor time of PostgreSQL`, '%', 'mix database'),
    figure(`the same mix, the most polls with a p99 under ${HELD_MS} ms`, '/s', 'most'),
  ];
}

function waitFigures(tally: Tally): Figure[] {
  return ['p50', 'p99'].map((share) => ({
    name: `from an assignment to the answer of who waits for it, ${share}`,
    unit: 'ms',
    values: tally.values(`waiting ${share}`),
    peers: [],
  }));
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
      const idle = { from: size.live + 1, to: size.executors - WAITING };
      const polls = await poll(waybill.url, { ...idle, connections: 64, seconds: run.seconds });
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
