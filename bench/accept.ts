/**
 * Accepted orders: Waybill beside a route that does nothing, and beside the same rows written
 * without HTTP, one transaction each.
 */
import type { Figure, Run } from './figures.ts';
import { askNumber, connect, untilPublished } from './database.ts';
import { hammer, type Load } from './load.ts';
import { ORDER_BODY } from './order-body.ts';
import { startBareRoute, startSystem, type WaybillSystem } from './processes.ts';
import { openRowWriter, type RowWriter } from './rows.ts';
import { createTally, type Tally } from './statistics.ts';

const CONNECTIONS = [1, 8, 32];
const WARM_UP_S = 1;

const subjects = {
  bare: 'a bare Fastify route',
  rows: 'the same rows, a transaction each',
  keyedRows: 'the same rows and a key, a transaction each',
  idle: 'accepted, nobody charging',
  keyed: 'accepted with an Idempotency-Key, nobody charging',
  working: 'accepted, all in one process, charging',
} as const;
type Subject = keyof typeof subjects;

/** The figures, each with the floor that writes the same rows. */
const floors = { idle: 'rows', keyed: 'keyedRows', working: 'rows' } as const;

type Measure = (connections: number, seconds: number) => Promise<Load>;

export async function measureAcceptance(run: Run): Promise<readonly Figure[]> {
  const { stack, rounds, seconds, say } = run;
  const bare = await startBareRoute(stack);
  const idle = await startSystem(stack, ['gateway', 'orders']);
  const rows = await openRowWriter(stack, idle.databaseUrl, Math.max(...CONNECTIONS));
  const measures = await measuresOf(stack, bare.url, idle, rows);
  const tally = createTally();
  for (const subject of Object.keys(measures) as Subject[])
    if (subject !== 'working') await measures[subject](8, WARM_UP_S);
  for (let round = 1; round <= rounds; round++)
    for (const connections of CONNECTIONS)
      for (const subject of Object.keys(measures) as Subject[]) {
        const load = await measures[subject](connections, seconds);
        note(tally, subject, connections, load);
        say(
          `accept ${round}/${rounds}: ${connections} connections, ${subjects[subject]}: ` +
            `${Math.round(load.rate)}/s, p99 ${load.p99.toFixed(1)} ms`,
        );
      }
  return figuresOf(tally);
}

async function measuresOf(
  stack: AsyncDisposableStack,
  bareUrl: string,
  idle: WaybillSystem,
  rows: RowWriter,
): Promise<Record<Subject, Measure>> {
  const database = await connect(stack, idle.databaseUrl);
  const accept = async (keyed: boolean, connections: number, seconds: number) => {
    const before = await askNumber(database, 'select count(*) from orders.orders');
    const load = await postOrders(idle.url, connections, seconds, keyed);
    const stored = (await askNumber(database, 'select count(*) from orders.orders')) - before;
    if (stored < load.answered) throw new Error(`${load.answered} accepted, ${stored} stored`);
    await untilPublished(database);
    return load;
  };
  return {
    bare: (connections, seconds) => postOrders(bareUrl, connections, seconds),
    rows: (connections, seconds) => rows.write(connections, seconds, false),
    idle: (connections, seconds) => accept(false, connections, seconds),
    keyedRows: (connections, seconds) => rows.write(connections, seconds, true),
    keyed: (connections, seconds) => accept(true, connections, seconds),
    working: (connections, seconds) => acceptAndCharge(stack, connections, seconds),
  };
}

/** On a system of its own each time: what it has accepted takes long to be charged. */
async function acceptAndCharge(
  stack: AsyncDisposableStack,
  connections: number,
  seconds: number,
): Promise<Load> {
  const system = await startSystem(stack);
  await postOrders(system.url, connections, WARM_UP_S);
  const load = await postOrders(system.url, connections, seconds);
  await system.stop();
  return load;
}

export function postOrders(
  url: string,
  connections: number,
  seconds: number,
  keyed = false,
): Promise<Load> {
  const options = { connections, seconds, keyed, body: ORDER_BODY, expect: 202 };
  return hammer(`${url}/api/v1/orders`, options);
}

function note(tally: Tally, subject: Subject, connections: number, load: Load): void {
  tally.add(`${subject} ${connections} rate`, load.rate);
  tally.add(`${subject} ${connections} p50`, load.p50);
  tally.add(`${subject} ${connections} p99`, load.p99);
}

function figuresOf(tally: Tally): Figure[] {
  const figures: Figure[] = [];
  for (const [subject, floor] of Object.entries(floors) as [Subject, Subject][])
    for (const connections of CONNECTIONS)
      for (const measure of ['rate', 'p50', 'p99']) {
        const values = (of: Subject) => tally.values(`${of} ${connections} ${measure}`);
        const over = `${connections} connection${connections === 1 ? '' : 's'}`;
        figures.push({
          name: `${subjects[subject]}, ${over}${measure === 'rate' ? '' : `, ${measure}`}`,
          unit: measure === 'rate' ? '/s' : 'ms',
          values: values(subject),
          peers: [
            { name: subjects.bare, values: values('bare') },
            { name: subjects[floor], values: values(floor) },
          ],
        });
      }
  return figures;
}
