/**
 * Orders for pets while something breaks: at every step from the claim to the order's birth the
 * process is killed, the step throws, hangs or is done twice; inventory is away for a while; the
 * broker restarts or loses everything. Afterwards every reservation is an order, or was released.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { PrivateServer } from '../bus/servers.ts';
import { until } from '../support/waybill.ts';
import type { FailpointName } from '../../kit/failpoints.ts';
import type { Engine } from './harness/brokers.ts';
import { EVERYBODY, type Cluster, type Service, type Topology } from './harness/cluster.ts';
import { keepEvidence, withRun } from './harness/run.ts';
import { settle } from './harness/settle.ts';
import { openPetshop, type Petshop } from './petshop.ts';

export type PetAction = 'kill' | 'throw' | 'hang' | 'duplicate';

export interface PetCell {
  readonly service: Service;
  readonly point: FailpointName;
  readonly action: PetAction;
}

/** The steps between the claim of an order and its end, and whose process takes them. */
const STEPS: readonly (readonly [Service, FailpointName])[] = [
  ['orders', 'orders.place.claimed'],
  ['orders', 'orders.place.asked'],
  ['orders', 'orders.place.reserved'],
  ['orders', 'consumer.before_handle'],
  ['orders', 'consumer.before_commit'],
  ['orders', 'consumer.after_commit'],
  ['orders', 'log.sequence.after_commit'],
  ['orders', 'log.publish.before'],
  ['orders', 'log.publish.after'],
  ['orders', 'orders.expire.before_commit'],
  ['pets', 'log.sequence.after_commit'],
  ['pets', 'log.publish.before'],
  ['pets', 'log.publish.after'],
  ['pets', 'consumer.before_commit'],
  ['pets', 'consumer.after_commit'],
  ['inventory', 'consumer.before_commit'],
  ['inventory', 'consumer.after_commit'],
];

const REPEATED: readonly FailpointName[] = [
  'orders.place.asked',
  'log.publish.after',
  'consumer.after_commit',
];

/** Every cell; in one process a point that all services pass is any service's. */
export function allPetCells(topology: Topology): PetCell[] {
  return STEPS.filter(([, point]) => topology === 'many' || point.startsWith('orders.')).flatMap(
    ([service, point]) =>
      (['kill', 'throw', 'hang', 'duplicate'] as const)
        .filter((action) => action !== 'duplicate' || REPEATED.includes(point))
        .map((action) => ({ service, point, action })),
  );
}

export function nameOfPetCell({ service, point, action }: PetCell): string {
  return `${action} at ${point} in ${service}`;
}

export interface PetFaultsOptions {
  readonly engine: Engine;
  readonly topology: Topology;
  readonly cells: readonly PetCell[];
  /** Also takes inventory and the broker away. */
  readonly outages: boolean;
  readonly awayMs: number;
  readonly root?: string | undefined;
  readonly done?: (name: string, violations: readonly string[]) => void;
}

/** Runs the cells, then the outages, on one cluster. Returns what was violated, by name. */
export function runPetFaults(options: PetFaultsOptions): Promise<Map<string, readonly string[]>> {
  const { engine, topology, cells, outages, awayMs, root, done = () => {} } = options;
  return withRun({ engine, topology, runs: EVERYBODY, root }, async ({ cluster, broker }) => {
    const results = new Map<string, readonly string[]>();
    const record = async (name: string, work: (shop: Petshop) => Promise<void>) => {
      const violations = await judged(cluster, work);
      if (violations.length > 0) keepEvidence(cluster, `${name}\n${violations.join('\n')}`);
      results.set(name, violations);
      done(name, violations);
    };
    for (const cell of cells)
      await record(nameOfPetCell(cell), (shop) => walkCell(cluster, shop, cell));
    if (!outages) return results;
    if (topology === 'many')
      await record('inventory away', (shop) => withoutInventory(cluster, shop, awayMs));
    if (broker !== undefined)
      for (const how of ['restart', 'wipe'] as const)
        await record(`broker ${how}`, (shop) => withoutBroker(broker, shop, how));
    return results;
  });
}

async function judged(cluster: Cluster, work: (shop: Petshop) => Promise<void>) {
  const shop = openPetshop(cluster);
  try {
    await work(shop).catch((error: unknown) => {
      throw new Error(`the buyers: ${String(error)}`, { cause: error });
    });
    const { violations } = await settle(cluster, { ...shop, expected: new Map() });
    return [...shop.troubles, ...violations.filter((one) => !isOfEarlierCell(one))];
  } catch (error) {
    return [...shop.troubles, String(error)];
  } finally {
    await shop.close();
  }
}

/** Each cell has buyers of its own, who know nothing of the orders of the ones before. */
function isOfEarlierCell(violation: string): boolean {
  return violation.startsWith('order-unasked');
}

async function walkCell(cluster: Cluster, shop: Petshop, { service, point, action }: PetCell) {
  const member = cluster.member(service);
  const before = member.fired(point);
  const deaths = member.deaths;
  await member.stop();
  await member.start(`${point}=${action}`);
  const bought = buyAFew(shop);
  try {
    await until(() => member.fired(point) > before, 30_000, 20);
    if (action === 'hang') {
      // Longer than a lease lives.
      await pause(3800);
      await member.kill9();
    }
    if (action === 'hang' || action === 'kill') {
      await until(() => member.deaths > deaths, 5000);
      await member.untilReady();
    }
  } finally {
    await bought;
  }
}

/** Races, an approval, a cancellation, and orders that nobody approved; until all have ended. */
async function buyAFew(shop: Petshop): Promise<void> {
  const pets = await Promise.all([1, 2, 3, 4].map(() => shop.addPet()));
  const numbers = await Promise.all(pets.map((pet) => shop.race(pet, 6)));
  const [sold = 0, forgotten = 0, unwanted = 0] = numbers;
  await Promise.all([shop.step(sold, 'approve'), shop.step(unwanted, 'cancel')]);
  await shop.follow(pets[2] as number, 'available');
  await shop.expire([forgotten]);
  await shop.race(pets[2] as number, 6);
  await shop.follow(pets[0] as number, 'sold');
  await shop.follow(pets[1] as number, 'available');
}

async function withoutInventory(cluster: Cluster, shop: Petshop, awayMs: number) {
  await cluster.member('inventory').stop();
  const end = performance.now() + awayMs;
  do await buyAFew(shop);
  while (performance.now() < end);
  await cluster.member('inventory').start();
}

async function withoutBroker(broker: PrivateServer, shop: Petshop, how: 'restart' | 'wipe') {
  const bought = buyAFew(shop);
  await pause(200);
  if (how === 'wipe') await broker.wipe();
  else {
    await broker.kill9();
    await pause(1500);
    await broker.restart();
  }
  await bought;
  await buyAFew(shop);
}
