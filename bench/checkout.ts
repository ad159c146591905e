/**
 * Checkouts: ordered, charged to a wallet, confirmed and told, while the caller waits – with all
 * services in one process, and with each in its own.
 */
import type { Figure, Run } from './figures.ts';
import { hammer, type Load } from './load.ts';
import { startApart, startBareRoute, startSystem } from './processes.ts';
import { ORDER_BODY } from './order-body.ts';
import { createTally, type Tally } from './statistics.ts';

const CONNECTIONS = [1, 8, 32];
const WARM_UP_S = 1;
/** Each has a wallet; the checkouts take turns. */
const CUSTOMERS = 64;
const DEPOSIT = 100_000_000;
const SERVICES = ['orders', 'payments', 'billing', 'customers', 'notifications'];

const subjects = {
  bare: 'a bare Fastify route',
  together: 'checkouts, all in one process',
  oneWallet: 'checkouts, all in one process, from one wallet',
  apart: 'checkouts, each service its own process',
} as const;
type Subject = keyof typeof subjects;

type Measure = (connections: number, seconds: number) => Promise<Load>;

export async function measureCheckout(run: Run): Promise<readonly Figure[]> {
  const measures = await measuresOf(run.stack);
  const names = Object.keys(measures) as Subject[];
  const tally = createTally();
  for (const subject of names) await measures[subject](8, WARM_UP_S);
  for (let round = 1; round <= run.rounds; round++)
    for (const connections of CONNECTIONS)
      for (const subject of names) {
        const load = await measures[subject](connections, run.seconds);
        for (const measure of ['rate', 'p50', 'p99'] as const)
          tally.add(`${subject} ${connections} ${measure}`, load[measure]);
        run.say(
          `checkout ${round}/${run.rounds}: ${connections} connections, ${subjects[subject]}: ` +
            `${Math.round(load.rate)}/s, p99 ${load.p99.toFixed(1)} ms`,
        );
      }
  return names
    .filter((subject) => subject !== 'bare')
    .flatMap((subject) =>
      CONNECTIONS.flatMap((connections) => figuresOf(tally, subject, connections)),
    );
}

async function measuresOf(stack: AsyncDisposableStack): Promise<Record<Subject, Measure>> {
  const bare = await startBareRoute(stack);
  const together = await startSystem(stack);
  const apart = await startApart(stack, SERVICES);
  const post = { body: ORDER_BODY, expect: 202 };
  for (const { url } of [together, apart])
    for (let customer = 0; customer < CUSTOMERS; customer++)
      await openWallet(url, nameOf(customer));
  return {
    bare: (connections, seconds) =>
      hammer(`${bare.url}/api/v1/orders`, { connections, seconds, ...post }),
    together: (connections, seconds) => checkOut(together.url, connections, seconds, CUSTOMERS),
    oneWallet: (connections, seconds) => checkOut(together.url, connections, seconds, 1),
    apart: (connections, seconds) => checkOut(apart.url, connections, seconds, CUSTOMERS),
  };
}

function nameOf(customer: number): string {
  return `bench-${customer}`;
}

async function openWallet(url: string, username: string): Promise<void> {
  const deposit = { type: 'DEPOSIT', amount: DEPOSIT, account: { username } };
  const contact = { email: `${username}@example.com`, phone: '+15550100' };
  for (const [path, body] of [
    ['/api/v1/user', { username, ...contact }],
    ['/api/v1/billing/account/new', { username }],
    ['/api/v1/billing/account/operate', deposit],
  ] as const) {
    const reply = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!reply.ok) throw new Error(`${path} was answered with ${reply.status}`);
  }
}

function checkOut(
  url: string,
  connections: number,
  seconds: number,
  customers: number,
): Promise<Load> {
  const bodies = Array.from({ length: customers }, (_, customer) => bodyOf(nameOf(customer)));
  let turn = 0;
  const next = () => bodies[turn++ % bodies.length] as string;
  const options = { connections, seconds, body: next(), bodyOf: next, expect: 200 };
  return hammer(`${url}/api/v1/order`, options);
}

function bodyOf(username: string): string {
  const orderPositions = [{ productId: 'sku-1', price: 0.01, quantity: 2 }];
  return JSON.stringify({ username, shopId: 1, totalCost: 0.02, orderPositions });
}

function figuresOf(tally: Tally, subject: Subject, connections: number): Figure[] {
  const over = `${connections} connection${connections === 1 ? '' : 's'}`;
  return (['rate', 'p50', 'p99'] as const).map((measure) => ({
    name: `${subjects[subject]}, ${over}${measure === 'rate' ? '' : `, ${measure}`}`,
    unit: measure === 'rate' ? '/s' : 'ms',
    values: tally.values(`${subject} ${connections} ${measure}`),
    peers: [{ name: subjects.bare, values: tally.values(`bare ${connections} ${measure}`) }],
  }));
}
