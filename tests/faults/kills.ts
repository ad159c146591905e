/**
 * Random kill -9 under load: of any process, of a database connection's server process, of the
 * whole PostgreSQL, of the broker, with and without its data. At the end everything settles, and
 * nothing was lost or charged twice.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { verifyDatabase } from '../../apps/server/verify/database.ts';
import type { PrivateServer } from '../bus/servers.ts';
import { describeTimes } from './figures.ts';
import type { Engine } from './harness/brokers.ts';
import type { Cluster, Service, Topology } from './harness/cluster.ts';
import { keepEvidence, withRun, type Run } from './harness/run.ts';
import { settle } from './harness/settle.ts';
import { SETTLED } from './harness/shopper.ts';
import { startLoad } from './load.ts';

export const KILLS = [
  'gateway',
  'orders',
  'payments',
  'billing',
  'sandbox',
  'connection',
  'postgres',
  'broker',
  'broker data',
] as const;
export type Kill = (typeof KILLS)[number];

/** How often each is chosen. */
const WEIGHTS: Readonly<Record<Kill, number>> = {
  gateway: 1,
  orders: 3,
  payments: 3,
  billing: 2,
  sandbox: 1,
  connection: 2,
  postgres: 2,
  broker: 2,
  'broker data': 1,
};

export interface KillsOptions {
  readonly engine: Engine;
  readonly topology?: Topology;
  /** What is killed in turn, or how many are chosen at random. */
  readonly kills: readonly Kill[] | number;
  readonly meanPauseMs: number;
  readonly ordersPerSecond: number;
  readonly root?: string;
}

export interface KillsReport {
  readonly violations: readonly string[];
  readonly orders: number;
  readonly killed: Readonly<Record<string, number>>;
  /** From each kill to an order that was placed after it and has settled. */
  readonly recoveries: readonly { readonly kill: Kill; readonly ms: number }[];
  readonly settledMs: number;
}

export function runKills(options: KillsOptions): Promise<KillsReport> {
  const { engine, topology = 'many', meanPauseMs, root } = options;
  const plan =
    typeof options.kills === 'number' ? draw(options.kills, engine, topology) : options.kills;
  const shopper = { patienceMs: 120_000 };
  return withRun({ topology, engine, shopper, root }, async (run) => {
    const { cluster } = run;
    const load = startLoad(run.shopper, { perSecond: options.ordersPerSecond });
    const probes: Promise<void>[] = [];
    const recoveries: { kill: Kill; ms: number }[] = [];
    const violations: string[] = [];
    for (const [index, kill] of plan.entries()) {
      await pause(Math.min(-Math.log(1 - Math.random()), 4) * meanPauseMs);
      const at = performance.now();
      await TO_KILL[kill](cluster, run.broker);
      probes.push(
        probe(run).then(
          () => void recoveries.push({ kill, ms: performance.now() - at }),
          (error: unknown) => void violations.push(`client: ${String(error)}`),
        ),
      );
      if (index % 10 === 9) violations.push(...(await judgeSafety(run)));
    }
    await pause(meanPauseMs);
    violations.push(...(await load.stop()));
    await Promise.all(probes);
    const judgement = await settle(cluster, run.shopper, { waitSeconds: 120 });
    violations.push(...judgement.violations);
    if (violations.length > 0) keepEvidence(cluster, violations.join('\n'));
    const killed: Record<string, number> = {};
    for (const kill of plan) killed[kill] = (killed[kill] ?? 0) + 1;
    const { orders, settledMs } = judgement;
    return { violations, orders, killed, recoveries, settledMs };
  });
}

function draw(count: number, engine: Engine, topology: Topology): Kill[] {
  // In one process the provider dies with the rest.
  const impossible = topology === 'one' ? ['gateway', 'orders', 'billing', 'sandbox'] : [];
  const possible = KILLS.filter(
    (kill) => !impossible.includes(kill) && (engine !== 'postgres' || !kill.startsWith('broker')),
  );
  const tickets = possible.flatMap((kill) => Array.from({ length: WEIGHTS[kill] }, () => kill));
  const chosen = () => tickets[Math.floor(Math.random() * tickets.length)] as Kill;
  return Array.from({ length: count }, chosen);
}

type ToKill = (cluster: Cluster, broker: PrivateServer | undefined) => Promise<void>;

const member =
  (name: Service | 'sandbox'): ToKill =>
  async (cluster) => {
    while (!cluster.member(name).running) await pause(20);
    await cluster.member(name).kill9();
  };

const TO_KILL: Readonly<Record<Kill, ToKill>> = {
  gateway: member('gateway'),
  orders: member('orders'),
  payments: member('payments'),
  billing: member('billing'),
  sandbox: member('sandbox'),
  connection: async ({ postgres }) => postgres.killBackend(),
  postgres: async ({ postgres }) => postgres.killAll(),
  async broker(_cluster, broker) {
    await broker?.kill9();
    await pause(Math.random() * 1500);
    await broker?.restart();
  },
  'broker data': async (_cluster, broker) => broker?.wipe(),
};

async function probe({ shopper }: Run): Promise<void> {
  const { id } = await shopper.place();
  await shopper.follow(id, SETTLED, 120_000);
}

/** What must hold at every moment, also between two kills. */
async function judgeSafety({ cluster, shopper }: Run): Promise<string[]> {
  const { verdicts } = await verifyDatabase({
    databaseUrl: cluster.databaseUrl(),
    journal: cluster.sandbox.journalFile(),
    // As of now: what is accepted after the judge's snapshot is not in it.
    client: [...shopper.journal.attempts],
    kinds: ['safety'],
    rowLimit: 1,
  }).catch(() => ({ verdicts: [] }));
  return verdicts
    .filter(({ state }) => state === 'violated')
    .map(({ id, rows }) => `during the run, ${id}: ${JSON.stringify(rows[0])}`);
}

export function describeKills(report: KillsReport): string[] {
  const kinds = Object.keys(report.killed);
  const killed = kinds.map((kind) => `${kind} ${report.killed[kind]}`).join(', ');
  const all = report.recoveries.map(({ ms }) => ms);
  return [
    `${report.orders} orders; killed: ${killed}`,
    `from a kill to the next order settled: ${describeTimes(all)}`,
    ...kinds.map((kind) => {
      const times = report.recoveries.filter(({ kill }) => kill === kind).map(({ ms }) => ms);
      return `  ${kind}: ${describeTimes(times)}`;
    }),
    `at rest ${report.settledMs} ms after the last answer`,
  ];
}
