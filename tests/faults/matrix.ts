/**
 * The kill matrix: at every step boundary the process is killed, the step throws, the step hangs,
 * the whole process freezes, or the step is done twice, while a handful of orders flows through
 * it; afterwards everything must have settled as if nothing had happened.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { FAILPOINTS, REPEATABLE, type FailpointName } from '../../kit/failpoints.ts';
import { until } from '../support/waybill.ts';
import type { Engine } from './harness/brokers.ts';
import type { Cluster, Service, Topology } from './harness/cluster.ts';
import { queryAsOwner } from './harness/postgres.ts';
import { keepEvidence, withRun, type Run } from './harness/run.ts';
import { settle } from './harness/settle.ts';
import { placeHandful } from './mix.ts';

export const ACTIONS = ['kill', 'throw', 'hang', 'freeze', 'duplicate'] as const;
export type Action = (typeof ACTIONS)[number];

export interface Cell {
  readonly engine: Engine;
  readonly topology: Topology;
  readonly point: FailpointName;
  readonly action: Action;
  /** Whose process is armed. */
  readonly service: Service;
  /** Passes that come first; in one process the first pass is any service's. */
  readonly skip: number;
}

export interface CellResult {
  readonly cell: Cell;
  readonly violations: readonly string[];
  readonly tookMs: number;
}

/** Every cell there is for an engine and a topology. */
export function allCells(engine: Engine, topology: Topology): Cell[] {
  return FAILPOINTS.filter((point) => isPassed(point, engine, topology)).flatMap((point) =>
    ACTIONS.filter((action) => action !== 'duplicate' || REPEATABLE.includes(point)).flatMap(
      (action) =>
        placesOf(point, topology).map((place) => ({ engine, topology, point, action, ...place })),
    ),
  );
}

/** Passed only where the bus has lost something, which only the bus in PostgreSQL does to order. */
const LOSS: FailpointName = 'consumer.pull.before';

/** No order passes these; registration.test.ts walks them. */
export const OF_REGISTRATIONS = FAILPOINTS.filter((point) => point.startsWith('auth.'));

/** Orders for pets alone pass these; pets.test.ts walks them. */
const OF_PETS = FAILPOINTS.filter((point) => /^orders\.(place|expire)\./.test(point));

/** What nothing passes that is ordered here. */
export const WALKED_ELSEWHERE = [...OF_REGISTRATIONS, ...OF_PETS];

/** In one process the bus in PostgreSQL shares the services' database: there are no copies. */
function isPassed(point: FailpointName, engine: Engine, topology: Topology): boolean {
  if (WALKED_ELSEWHERE.includes(point)) return false;
  if (engine !== 'postgres') return point !== LOSS;
  return topology === 'many' || (point !== LOSS && !point.startsWith('log.publish.'));
}

/** Log and consumer are passed in both services. */
function placesOf(point: FailpointName, topology: Topology): Pick<Cell, 'service' | 'skip'>[] {
  if (point.startsWith('orders.')) return [{ service: 'orders', skip: 0 }];
  if (point.startsWith('billing.')) return [{ service: 'billing', skip: 0 }];
  if (!/^(log|consumer)\./.test(point)) return [{ service: 'payments', skip: 0 }];
  if (topology === 'many')
    return [
      { service: 'orders', skip: 0 },
      { service: 'payments', skip: 0 },
    ];
  return [
    { service: 'orders', skip: 0 },
    { service: 'orders', skip: 2 },
  ];
}

export function nameOf({ engine, topology, point, action, service, skip }: Cell): string {
  const where = topology === 'many' ? ` in ${service}` : skip > 0 ? ` after ${skip} passes` : '';
  return `${engine} ${topology}: ${action} at ${point}${where}`;
}

/** How long orders may take to settle, and everything to come to rest. */
export interface Patience {
  readonly followMs: number;
  readonly waitSeconds: number;
}

const PATIENT: Patience = { followMs: 60_000, waitSeconds: 60 };

export interface CellsOptions {
  readonly root?: string;
  readonly done?: (result: CellResult) => void;
  readonly patience?: Patience;
}

/** Runs cells of one engine and topology, one after the other, on one cluster. */
export function runCells(
  cells: readonly Cell[],
  { root, done = () => {}, patience = PATIENT }: CellsOptions = {},
): Promise<CellResult[]> {
  const [first] = cells;
  if (first === undefined) return Promise.resolve([]);
  const { engine, topology } = first;
  const doubled: Service[] = topology === 'many' ? ['orders', 'payments', 'billing'] : [];
  return withRun({ engine, topology, doubled, root }, async (run) => {
    const results: CellResult[] = [];
    for (const cell of cells) {
      const begun = performance.now();
      const violations = await runCell(run, cell, patience).catch((error: unknown) => [
        String(error),
      ]);
      if (violations.length > 0)
        keepEvidence(run.cluster, `${nameOf(cell)}\n${violations.join('\n')}`);
      const result = { cell, violations, tookMs: Math.round(performance.now() - begun) };
      results.push(result);
      done(result);
    }
    return results;
  });
}

async function runCell(
  { cluster, shopper }: Run,
  cell: Cell,
  { followMs, waitSeconds }: Patience,
): Promise<string[]> {
  const { point, action, service } = cell;
  const member = cluster.member(service);
  const before = member.fired(point);
  await member.stop();
  await member.start(armingOf(cell));
  if (point === LOSS) await swallow(cluster, true);
  const flow = placeHandful(shopper, followMs).then(
    () => [],
    (error: unknown) => [`client: ${String(error)}`],
  );
  try {
    await until(() => member.fired(point) > before, 20_000, 20);
    if (point === LOSS) await swallow(cluster, false);
    await AFTERMATH[action](cluster, service);
    const troubles = await flow;
    return [...(await settle(cluster, shopper, { waitSeconds })).violations, ...troubles];
  } finally {
    if (point === LOSS) await swallow(cluster, false);
    member.thaw();
    await flow;
    if (cluster.topology === 'many') await cluster.second(service).stop();
  }
}

function armingOf({ point, action, skip }: Cell): string {
  const arming = `${point}=${action}${skip > 0 ? `@${skip}` : ''}`;
  // Events are handled one by one only after a batch has failed.
  return point === 'consumer.singly.before_handle'
    ? `consumer.before_handle=throw${skip > 0 ? `@${skip}` : ''};${point}=${action}`
    : arming;
}

/** Longer than a lease lives. */
const LEASE_MS = 3800;

const AFTERMATH: Readonly<Record<Action, (cluster: Cluster, service: Service) => Promise<void>>> = {
  async kill(cluster, service) {
    await until(() => cluster.member(service).deaths > 0, 5000);
    await cluster.member(service).untilReady();
  },
  async throw() {},
  async duplicate() {},
  async hang(cluster, service) {
    await pause(LEASE_MS);
    await cluster.member(service).kill9();
    await cluster.member(service).untilReady();
  },
  async freeze(cluster, service) {
    // The second process takes everything over; the first one wakes up and does not know.
    if (cluster.topology === 'many') await cluster.second(service).start();
    await pause(LEASE_MS);
    cluster.member(service).thaw();
  },
};

/** A bus that accepts everything and keeps nothing. */
async function swallow(cluster: Cluster, on: boolean): Promise<void> {
  await queryAsOwner(
    cluster.busUrl(),
    on
      ? `create or replace function bus.swallow() returns trigger language plpgsql
           as 'begin return null; end';
         create or replace trigger swallow before insert on bus.events
           for each row execute function bus.swallow()`
      : 'drop trigger if exists swallow on bus.events',
  );
}
