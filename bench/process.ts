/** What the processes take: the time to start, memory idle and under load, processor when idle. */
import { setTimeout as pause } from 'node:timers/promises';
import { startEmbeddedDatabase } from '@waybill/server/embedded-database.ts';
import { postOrders } from './accept.ts';
import type { Figure, Peer, Run, Unit } from './figures.ts';
import { canMeasureMemory, childrenOf, familyMb, processorSeconds, residentMb } from './memory.ts';
import { startBareRoute, startWaybill, temporaryFolder, type Started } from './processes.ts';
import { createTally, type Tally } from './statistics.ts';

const CONNECTIONS = 32;
const SETTLE_MS = 3000;
const SAMPLE_MS = 100;

/** Who is looked at, and how much memory it takes now. */
type Watched = Readonly<Record<string, () => number>>;

export async function measureProcess(run: Run): Promise<readonly Figure[]> {
  const tally = createTally();
  for (let round = 1; round <= run.rounds; round++) {
    const stack = run.stack.use(new AsyncDisposableStack());
    await measureOnce(run, stack, tally, round);
    await stack.disposeAsync();
  }
  const start = (name: string, key: string) =>
    figure(tally, name, 's', key, [['a bare Fastify process', 'bare start']]);
  const starts = [
    start('first start, database set up, until /readyz', 'first start'),
    start('later start, until /readyz', 'later start'),
  ];
  return canMeasureMemory() ? [...starts, ...memoryFigures(tally)] : starts;
}

function memoryFigures(tally: Tally): Figure[] {
  const bare = (when: string): [string, string] => ['a bare Fastify process', `bare ${when}`];
  return [
    ...['idle', 'loaded'].flatMap((when) => {
      const title = when === 'idle' ? 'idle' : `accepting over ${CONNECTIONS} connections, most`;
      return [
        figure(tally, `memory of Waybill, ${title}`, 'MB', `waybill ${when}`, [bare(when)]),
        figure(tally, `memory of the sandbox, ${title}`, 'MB', `sandbox ${when}`, [bare(when)]),
        figure(tally, `memory of PostgreSQL, ${title}`, 'MB', `database ${when}`, [bare(when)]),
      ];
    }),
    figure(tally, 'processor time of Waybill, idle', '%', 'waybill processor', []),
  ];
}

function figure(
  tally: Tally,
  name: string,
  unit: Unit,
  key: string,
  peers: readonly [string, string][],
): Figure {
  return {
    name,
    unit,
    values: tally.values(key),
    peers: peers.map(([title, peer]): Peer => ({ name: title, values: tally.values(peer) })),
  };
}

async function measureOnce(
  run: Run,
  stack: AsyncDisposableStack,
  tally: Tally,
  round: number,
): Promise<void> {
  const bare = await startBareRoute(stack);
  tally.add('bare start', bare.startMs / 1000);
  const dataDir = temporaryFolder(stack);
  // Should Waybill be killed, its database is left over; it is adopted here to be stopped.
  stack.defer(async () => (await startEmbeddedDatabase(dataDir)).stop());
  const first = await startWaybill(stack, dataDir);
  tally.add('first start', first.startMs / 1000);
  await first.stop();
  const later = await startWaybill(stack, dataDir);
  tally.add('later start', later.startMs / 1000);
  run.say(
    `process ${round}/${run.rounds}: first start ${Math.round(first.startMs)} ms, ` +
      `later ${Math.round(later.startMs)} ms, bare ${Math.round(bare.startMs)} ms`,
  );
  if (canMeasureMemory()) await measureMemory(run, tally, bare, later, dataDir);
}

async function measureMemory(
  run: Run,
  tally: Tally,
  bare: Started,
  waybill: Started,
  dataDir: string,
): Promise<void> {
  const { pid: databasePid } = await startEmbeddedDatabase(dataDir);
  const sandboxPid = childrenOf(waybill.pid).find((child) => child !== databasePid);
  if (sandboxPid === undefined) throw new Error('Waybill has no sandbox');
  const watched: Watched = {
    waybill: () => residentMb(waybill.pid),
    sandbox: () => residentMb(sandboxPid),
    database: () => familyMb(databasePid),
  };
  await pause(SETTLE_MS);
  const used = processorSeconds(waybill.pid);
  await pause(SETTLE_MS);
  const share = (processorSeconds(waybill.pid) - used) / (SETTLE_MS / 1000);
  tally.add('waybill processor', share * 100);
  for (const [name, measure] of Object.entries(watched)) tally.add(`${name} idle`, measure());
  tally.add('bare idle', residentMb(bare.pid));
  await watchLoad(tally, { bare: () => residentMb(bare.pid) }, bare.url, run.seconds);
  await watchLoad(tally, watched, waybill.url, run.seconds);
  run.say(`process: memory is measured`);
}

/** The most that each took while orders were accepted as fast as they go. */
async function watchLoad(tally: Tally, watched: Watched, url: string, seconds: number) {
  const most = new Map<string, number>();
  const sample = () => {
    for (const [name, measure] of Object.entries(watched))
      most.set(name, Math.max(most.get(name) ?? 0, measure()));
  };
  const timer = setInterval(sample, SAMPLE_MS);
  try {
    await postOrders(url, CONNECTIONS, seconds);
  } finally {
    clearInterval(timer);
  }
  sample();
  for (const [name, value] of most) tally.add(`${name} loaded`, value);
}
