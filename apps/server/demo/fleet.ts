/** A simulated fleet: executors who wait for orders, fetch them and deliver them. */
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';
import { newToken, random } from '@waybill/kit/ids.ts';
import { renderTable } from '../text-table.ts';
import { refused, type Api } from '../api.ts';
import type { Following } from './customers.ts';
import { isSettled, spread, type Figures } from './figures.ts';
import type { Shown } from './show.ts';

export interface FleetFigures {
  readonly executors: number;
  readonly orders: Figures;
  polls: number;
  /** When each order was last assigned. */
  readonly assigned: Map<string, number>;
  readonly acquired: Set<string>;
  readonly delivered: Set<string>;
  /** Rides that ended without a delivery; their orders are assigned anew. */
  failedRides: number;
  /** From the answer to the assigning to the executor's own, in milliseconds. */
  readonly waits: number[];
}

export function newFleetFigures(executors: number, orders: Figures): FleetFigures {
  return {
    executors,
    orders,
    polls: 0,
    assigned: new Map(),
    acquired: new Set(),
    delivered: new Set(),
    failedRides: 0,
    waits: [],
  };
}

const BASE = '/api/v1/dispatch';
const WAIT = '10s';
const LOOK_MS = 100;
/** Orders that one call assigns. */
const MOST_AT_ONCE = 100;
const UNLUCKY = 0.03;
const REGISTERED_AT_ONCE = 16;

/** Registers the fleet, and drives until every paid order is delivered or the signal aborts. */
export async function driveFleet(
  api: Api,
  figures: FleetFigures,
  { placing, patienceMs, signal }: Following,
): Promise<void> {
  const names = await registerFleet(api, figures.executors);
  const home = new AbortController();
  const goHome = () => home.abort();
  signal.addEventListener('abort', goHome, { once: true });
  const waiting = new Set<string>();
  const drivers = names.map((name) => drive(api, figures, name, waiting, home.signal));
  try {
    await dispatchOrders(api, figures, { names, waiting, placing, patienceMs, signal });
  } finally {
    signal.removeEventListener('abort', goHome);
    goHome();
    await Promise.all(drivers);
  }
}

async function registerFleet(api: Api, count: number): Promise<string[]> {
  const run = `demo-${newToken(4).replaceAll(/\W/g, '')}`;
  const names = Array.from({ length: count }, (_, index) => `${run}-${index + 1}`);
  let next = 0;
  const clerk = async () => {
    for (let name = names[next++]; name !== undefined; name = names[next++])
      await api.ask('POST', `${BASE}/executors`, {
        executor_id: name,
        name: `Courier ${name}`,
        tags: [random() < 0.7 ? 'bike' : 'van'],
        rating: 3 + Math.round(random() * 20) / 10,
      });
  };
  await Promise.all(Array.from({ length: REGISTERED_AT_ONCE }, clerk));
  return names;
}

interface Desk extends Following {
  readonly names: readonly string[];
  /** Orders that came back undelivered. */
  readonly waiting: Set<string>;
}

/** The desk: whatever is paid and not carried yet is given to somebody. */
async function dispatchOrders(
  api: Api,
  figures: FleetFigures,
  { names, waiting, placing, patienceMs, signal }: Desk,
): Promise<void> {
  let deadlineMs: number | undefined;
  const placed = () => void (deadlineMs = monotonicMs() + patienceMs);
  placing.then(placed, placed);
  while (!signal.aborted) {
    const paid = [...figures.orders.orders].flatMap(([id, status]) =>
      status === 'CONFIRMED' && !figures.assigned.has(id) ? [id] : [],
    );
    const next = [...paid, ...waiting].slice(0, MOST_AT_ONCE);
    if (next.length > 0) await assignAll(api, figures, next, names, waiting);
    const open = [...figures.orders.orders].some(
      ([id, status]) => !isSettled(status) || (status === 'CONFIRMED' && !isOver(figures, id)),
    );
    if (deadlineMs !== undefined && (!open || monotonicMs() > deadlineMs)) return;
    if (next.length < MOST_AT_ONCE) await sleep(LOOK_MS, signal);
  }
}

function isOver({ delivered }: FleetFigures, id: string): boolean {
  return delivered.has(id);
}

interface BulkAnswer {
  readonly results: readonly { readonly order_id: string; readonly status: number }[];
}

async function assignAll(
  api: Api,
  figures: FleetFigures,
  orders: readonly string[],
  names: readonly string[],
  waiting: Set<string>,
): Promise<void> {
  const assignments = orders.map((order_id) => ({
    order_id,
    executor_id: names[Math.floor(random() * names.length)] as string,
  }));
  // A key, so that an answer that is lost does not replace what executors are about to acquire.
  const key = { 'idempotency-key': newToken() };
  const reply = await api
    .send('POST', `${BASE}/assignments/bulk`, { assignments }, key)
    .catch(() => undefined);
  if (reply === undefined || reply.status >= 500 || reply.status === 429) return;
  if (reply.status !== 200) throw refused(reply);
  for (const { order_id, status } of (reply.body as BulkAnswer).results) {
    if (status >= 500) continue;
    waiting.delete(order_id);
    // Refused: somebody else is at it already.
    figures.assigned.set(order_id, monotonicMs());
    if (status !== 201) figures.delivered.add(order_id);
  }
}

/** One executor's day. */
async function drive(
  api: Api,
  figures: FleetFigures,
  name: string,
  waiting: Set<string>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const path = `${BASE}/executors/${name}/acquire?next=true&wait=${WAIT}`;
    const reply = await Promise.race([
      api.send('POST', path).catch(() => undefined),
      aborted(signal),
    ]);
    if (signal.aborted) return;
    figures.polls++;
    if (reply?.status === 200) await ride(api, figures, name, reply.body as Ride, waiting);
    else if (reply?.status !== 204) await sleep((reply?.retryAfterSeconds ?? 1) * 1000, signal);
  }
}

interface Ride {
  readonly order_id: string;
  readonly epoch: number;
}

async function ride(
  api: Api,
  figures: FleetFigures,
  name: string,
  { order_id: order, epoch }: Ride,
  waiting: Set<string>,
): Promise<void> {
  figures.acquired.add(order);
  const since = figures.assigned.get(order);
  if (since !== undefined) figures.waits.push(Math.max(0, monotonicMs() - since));
  const report = async (word: string, more: object = {}) => {
    const path = `${BASE}/executors/${name}/orders/${order}/${word}`;
    // Reports may be repeated: the same one is answered as before.
    for (let attempt = 0; attempt < 5; attempt++) {
      const reply = await api.send('POST', path, { epoch, ...more }).catch(() => undefined);
      if (reply !== undefined && reply.status < 500) return;
      await sleep(200 * 2 ** attempt);
    }
  };
  await sleep(100 + random() * 400);
  await report('picked-up');
  await sleep(100 + random() * 400);
  if (random() < UNLUCKY) {
    await report('failed', { reason: 'nobody at home' });
    figures.failedRides++;
    waiting.add(order);
  } else {
    await report('delivered');
    figures.delivered.add(order);
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** What is shown while the fleet is out. */
export function fleetShown(figures: FleetFigures): Shown {
  const { orders } = figures;
  return {
    title: `a fleet of ${figures.executors}`,
    most: orders.wanted,
    beganMs: orders.beganMs,
    done: () => figures.delivered.size,
    describe: () =>
      `${orders.accepted} of ${orders.wanted} ordered, ${figures.assigned.size} assigned, ` +
      `${figures.acquired.size} acquired, ${figures.delivered.size} delivered · ` +
      `${figures.polls} polls · acquired after p50 ${spread(figures.waits)[0]}`,
  };
}

/** The summary at the end. */
export function renderFleet(figures: FleetFigures): string {
  return [
    renderTable(
      ['fleet', 'count', ''],
      [
        ['executors', String(figures.executors), `${figures.polls} polls`],
        ['orders assigned', String(figures.assigned.size), ''],
        ['acquired', String(figures.acquired.size), ''],
        ['delivered', String(figures.delivered.size), ''],
        ['came back', String(figures.failedRides), 'and were assigned anew'],
      ],
    ),
    renderTable(
      ['time', 'p50', 'p95', 'p99', 'max'],
      [['from assigned to acquired', ...spread(figures.waits)]],
    ),
  ].join('\n\n');
}
