/**
 * Random kill -9 of dispatch's processes and of PostgreSQL while orders are assigned and a fleet
 * polls: what was told as assigned is acquired, by one executor alone, and the processes are back
 * within seconds.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { startDispatchCluster, type DispatchCluster } from './dispatch-cluster.ts';
import { describeTimes } from './figures.ts';

export interface DispatchKills {
  readonly processes: number;
  readonly kills: number;
  readonly meanPauseMs: number;
  readonly assignsPerSecond: number;
  readonly executors: number;
  /** Every so many kills it is PostgreSQL's turn. */
  readonly postgresEvery: number;
  readonly root?: string | undefined;
}

export interface DispatchKillsReport {
  readonly violations: readonly string[];
  readonly assigned: number;
  readonly polls: number;
  readonly killed: Readonly<Record<string, number>>;
  /** From each kill to a poll that the killed process answered, and an order acquired. */
  readonly recoveries: readonly number[];
}

interface Fleet {
  /** Orders that were told as assigned, with their executor. */
  readonly assigned: Map<string, string>;
  /** Orders of which nobody knows whether they were. */
  readonly unclear: Set<string>;
  /** Who was told that they have it. */
  readonly holders: Map<string, Set<string>>;
  polls: number;
}

const SETTLE_MS = 30_000;

export async function runDispatchKills(options: DispatchKills): Promise<DispatchKillsReport> {
  const cluster = await startDispatchCluster(options.processes, options.root);
  const fleet: Fleet = {
    assigned: new Map(),
    unclear: new Set(),
    holders: new Map(),
    polls: 0,
  };
  const stop = new AbortController();
  const work = [
    assignSteadily(cluster, fleet, options, stop.signal),
    ...Array.from({ length: options.executors }, (_, index) =>
      keepPolling(cluster, fleet, `executor-${index}`, stop.signal),
    ),
  ];
  const recoveries: number[] = [];
  const killed: Record<string, number> = {};
  try {
    for (let kill = 1; kill <= options.kills; kill++) {
      await pause((0.5 + Math.random()) * options.meanPauseMs);
      const victim =
        kill % options.postgresEvery === 0
          ? 'postgres'
          : `dispatch-${Math.floor(Math.random() * options.processes)}`;
      killed[victim] = (killed[victim] ?? 0) + 1;
      const begun = performance.now();
      if (victim === 'postgres') await cluster.postgres.killAll();
      else await cluster.members.find(({ name }) => name === victim)?.kill9();
      await probe(cluster, `probe-${kill}`, Number(victim.split('-')[1] ?? 0));
      recoveries.push(performance.now() - begun);
    }
    await pause(options.meanPauseMs);
    const violations = await judge(cluster, fleet, stop, work);
    return { violations, assigned: fleet.assigned.size, polls: fleet.polls, killed, recoveries };
  } finally {
    stop.abort();
    await Promise.allSettled(work);
    await cluster.stop();
  }
}

async function assignSteadily(
  cluster: DispatchCluster,
  fleet: Fleet,
  { assignsPerSecond, executors }: DispatchKills,
  signal: AbortSignal,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const begun = performance.now();
  for (let index = 0; !signal.aborted; index++) {
    await pause(Math.max(0, begun + (index * 1000) / assignsPerSecond - performance.now()));
    const [order, executor] = [`kill-${index}`, `executor-${index % executors}`];
    const one = cluster
      .ask(index, 'POST', '/assignments', { order_id: order, executor_id: executor })
      .then((reply) => {
        if (reply?.status === 201) fleet.assigned.set(order, executor);
        else fleet.unclear.add(order);
      })
      .finally(() => running.delete(one));
    running.add(one);
  }
  await Promise.all(running);
}

/** An executor asks again and again, and reports what it got as delivered. */
async function keepPolling(
  cluster: DispatchCluster,
  fleet: Fleet,
  executor: string,
  signal: AbortSignal,
): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    await pollOnce(cluster, fleet, executor, turn);
    await pause(20 + Math.random() * 60);
  }
}

async function pollOnce(cluster: DispatchCluster, fleet: Fleet, executor: string, turn: number) {
  const reply = await cluster.ask(turn, 'POST', `/executors/${executor}/acquire`);
  if (reply !== undefined) fleet.polls++;
  if (reply?.status !== 200) return false;
  const { order_id: order, epoch } = reply.body as { order_id: string; epoch: number };
  const holders = fleet.holders.get(order) ?? new Set();
  fleet.holders.set(order, holders.add(executor));
  await cluster.ask(turn, 'POST', `/executors/${executor}/orders/${order}/delivered`, { epoch });
  return true;
}

/** Until the process that was killed answers, and an order assigned after the kill is acquired. */
async function probe(cluster: DispatchCluster, name: string, member: number): Promise<void> {
  const request = { order_id: name, executor_id: name };
  while ((await cluster.ask(member, 'POST', '/assignments', request))?.status !== 201)
    await pause(20);
  while ((await cluster.ask(member, 'POST', `/executors/${name}/acquire`))?.status !== 200)
    await pause(20);
}

/** Nothing more is assigned; the fleet gets what is left, and everything is compared. */
async function judge(
  cluster: DispatchCluster,
  fleet: Fleet,
  stop: AbortController,
  work: readonly Promise<void>[],
): Promise<string[]> {
  stop.abort();
  await Promise.all(work);
  const open = () => [...fleet.assigned].filter(([order]) => !fleet.holders.has(order));
  const deadline = performance.now() + SETTLE_MS;
  while (open().length > 0 && performance.now() < deadline) {
    const executors = [...new Set(open().map(([, executor]) => executor))];
    await Promise.all(executors.map((executor) => pollOnce(cluster, fleet, executor, 0)));
    await lostAnswers(cluster, fleet, open());
  }
  const lost = open().map(([order]) => `${order} was assigned and is lost`);
  const doubled = [...fleet.holders].flatMap(([order, holders]) =>
    holders.size > 1 ? [`${order} has ${[...holders].join(' and ')}`] : [],
  );
  const strange = [...fleet.holders.keys()].filter(
    (order) => !fleet.assigned.has(order) && !fleet.unclear.has(order),
  );
  return [
    ...lost.slice(0, 10),
    ...doubled.slice(0, 10),
    ...strange.slice(0, 10).map((order) => `${order} was never assigned`),
    ...(await cluster.judge()),
  ];
}

/**
 * An order whose answer was lost, and that was not asked for again in time, is in its executor's
 * list of acquired ones: that is where an executor finds what it holds.
 */
async function lostAnswers(
  cluster: DispatchCluster,
  fleet: Fleet,
  open: readonly (readonly [order: string, executor: string])[],
): Promise<void> {
  for (const [order, executor] of open) {
    const path = `/assignments?executor_id=${executor}&state=acquired&page_size=100`;
    const reply = await cluster.ask(0, 'GET', path);
    const held = (reply?.body['assignments'] ?? []) as { order_id: string }[];
    if (held.some(({ order_id }) => order_id === order))
      fleet.holders.set(order, new Set([executor]));
  }
}

export function describeDispatchKills(report: DispatchKillsReport): string[] {
  const { assigned, polls, recoveries } = report;
  const killed = Object.entries(report.killed).map(([name, count]) => `${name} ${count}`);
  return [
    `${assigned} orders assigned, ${polls} polls answered; killed: ${killed.join(', ')}`,
    `from a kill to an order assigned and acquired there: ${describeTimes(recoveries)}`,
  ];
}
