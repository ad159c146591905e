/**
 * A database as a faultless day leaves it, with the journals of the provider and of a client: what
 * `waybill verify` must have nothing to say about.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { openLogger } from '@waybill/kit/logger.ts';
import { migrate } from '@waybill/kit/run.ts';
import { configure } from '@waybill/kit/settings.ts';
import { loadServices } from '../../apps/server/services.ts';
import { writeAssignments } from './clean-dispatch.ts';
import { writeNotices } from './clean-notices.ts';
import { writePets, type PetOrder } from './clean-pets.ts';
import { writeUsers } from './clean-users.ts';
import { transferOf, writeWallets, type WalletOrder } from './clean-wallets.ts';

/** One order's whole life, told once; every table is written from it. */
interface Life {
  readonly id: string;
  readonly daysAgo: number;
  readonly total: number;
  readonly channel?: string;
  /** Each state that it was in, with its payment's status: a version and an event each. */
  readonly states: readonly (readonly [status: string, paymentStatus: string])[];
  readonly attempts: readonly ('SUCCEEDED' | 'DECLINED' | 'FAILED')[];
  readonly payment?: {
    readonly state: string;
    readonly events: readonly string[];
    readonly refunded?: boolean;
    readonly failure?: string;
  };
  /** Paid from the wallet, or not; left out: by card. */
  readonly wallet?: WalletOrder['outcome'];
  /** It is an order for a pet, which is held for it, or was. */
  readonly hold?: PetOrder['hold'];
}

const id = (last: number) => `01980000-0000-7000-8000-${String(last).padStart(12, '0')}`;

/** The orders by what they went through. */
export const lives = {
  confirmed: {
    id: id(1),
    daysAgo: 40,
    total: 1250,
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['CONFIRMED', 'CAPTURED'],
    ],
    attempts: ['FAILED', 'SUCCEEDED'],
    payment: { state: 'CAPTURED', events: ['STARTED', 'ATTEMPT_FAILED', 'CAPTURED'] },
  },
  withdrawn: {
    id: id(4),
    daysAgo: 40,
    total: 99,
    states: [
      ['PENDING', 'PENDING'],
      ['CANCELLED', 'PENDING'],
      ['CANCELLED', 'NOT_REQUIRED'],
    ],
    attempts: [],
    payment: { state: 'VOIDED', events: ['VOIDED'] },
  },
  declined: {
    id: id(2),
    daysAgo: 0,
    total: 700,
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['PAYMENT_FAILED', 'FAILED'],
    ],
    attempts: ['DECLINED'],
    payment: { state: 'FAILED', events: ['STARTED', 'FAILED'], failure: 'card_declined' },
  },
  refunded: {
    id: id(3),
    daysAgo: 0,
    total: 4200,
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['CONFIRMED', 'CAPTURED'],
      ['CANCELLED', 'CAPTURED'],
      ['CANCELLED', 'REFUNDED'],
    ],
    attempts: ['SUCCEEDED'],
    payment: { state: 'REFUNDED', events: ['STARTED', 'CAPTURED', 'REFUNDED'], refunded: true },
  },
  capturedTooLate: {
    id: id(5),
    daysAgo: 0,
    total: 333,
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['PAYMENT_FAILED', 'FAILED'],
      ['PAYMENT_FAILED', 'CAPTURED'],
      ['PAYMENT_FAILED', 'REFUNDED'],
    ],
    attempts: ['SUCCEEDED'],
    payment: {
      state: 'REFUNDED',
      events: ['STARTED', 'FAILED', 'CAPTURED', 'REFUNDED'],
      refunded: true,
      failure: 'deadline_passed',
    },
  },
  reserved: {
    id: id(6),
    daysAgo: 0,
    total: 0,
    channel: 'petstore',
    states: [['PENDING', 'NOT_REQUIRED']],
    attempts: [],
    hold: 'held',
  },
  sold: {
    id: id(11),
    daysAgo: 0,
    total: 0,
    channel: 'petstore',
    states: [
      ['PENDING', 'NOT_REQUIRED'],
      ['CONFIRMED', 'NOT_REQUIRED'],
    ],
    attempts: [],
    hold: 'sold',
  },
  unwanted: {
    id: id(12),
    daysAgo: 0,
    total: 0,
    channel: 'petstore',
    states: [
      ['PENDING', 'NOT_REQUIRED'],
      ['CANCELLED', 'NOT_REQUIRED'],
    ],
    attempts: [],
    hold: 'released',
  },
  walletPaid: {
    id: id(7),
    daysAgo: 0,
    total: 1900,
    channel: 'checkout',
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['CONFIRMED', 'CAPTURED'],
    ],
    attempts: ['SUCCEEDED'],
    payment: { state: 'CAPTURED', events: ['STARTED', 'CAPTURED'] },
    wallet: 'captured',
  },
  walletRefunded: {
    id: id(8),
    daysAgo: 0,
    total: 500,
    channel: 'checkout',
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['CONFIRMED', 'CAPTURED'],
      ['CANCELLED', 'CAPTURED'],
      ['CANCELLED', 'REFUNDED'],
    ],
    attempts: ['SUCCEEDED'],
    payment: { state: 'REFUNDED', events: ['STARTED', 'CAPTURED', 'REFUNDED'], refunded: true },
    wallet: 'refunded',
  },
  walletDeclined: {
    id: id(9),
    daysAgo: 0,
    total: 1_920_000,
    channel: 'checkout',
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['PAYMENT_FAILED', 'FAILED'],
    ],
    attempts: ['DECLINED'],
    payment: { state: 'FAILED', events: ['STARTED', 'FAILED'], failure: 'insufficient_funds' },
    wallet: 'declined',
  },
  walletGivenUp: {
    id: id(10),
    daysAgo: 0,
    total: 700,
    channel: 'checkout',
    states: [
      ['PENDING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['PAYMENT_PROCESSING', 'PENDING'],
      ['PAYMENT_FAILED', 'FAILED'],
    ],
    attempts: ['FAILED'],
    payment: {
      state: 'FAILED',
      events: ['STARTED', 'ATTEMPT_FAILED', 'FAILED'],
      failure: 'attempts_used_up',
    },
    wallet: 'voided',
  },
} as const satisfies Record<string, Life>;

const all: readonly Life[] = Object.values(lives);

/** What the provider's journal says of them. */
export function cleanJournal(): Record<string, unknown>[] {
  return all
    .filter(({ wallet }) => wallet === undefined)
    .flatMap((life) => {
      const money = { order_id: life.id, charge_id: `ch_${life.id}`, currency: 'USD' };
      const entry = { ...money, amount_minor: life.total, key: `${life.id}:charge` };
      return [
        ...(life.attempts.includes('SUCCEEDED') ? [{ ...entry, kind: 'charge' }] : []),
        ...(life.attempts.includes('DECLINED') ? [{ ...entry, kind: 'decline' }] : []),
        ...(life.payment?.refunded ? [{ ...entry, kind: 'refund', key: `${life.id}:refund` }] : []),
      ];
    })
    .map((entry, index) => ({ seq: index + 1, ...entry }));
}

/** What a client saw: each order created, read twice, the cancelled ones cancelled. */
export function cleanCalls(): Record<string, unknown>[] {
  return all
    .flatMap((life) => {
      const about = { client: 'one', outcome: 'ok', order_id: life.id };
      return [
        { ...about, op: 'create', http: 202, idem_key: `key-${life.id}` },
        { ...about, op: 'get', http: 200, version: 1 },
        { ...about, op: 'get', http: 200, version: life.states.length },
        ...(life.states.at(-1)?.[0] === 'CANCELLED' ? [{ ...about, op: 'cancel', http: 200 }] : []),
      ];
    })
    .map((call, index) => ({ ...call, seq: index + 1 }));
}

/** Makes the tables in an empty database and writes the faultless day into them. */
export async function writeCleanBooks(databaseUrl: string): Promise<void> {
  const services = await loadServices([]);
  const configuration = configure(services, {
    DATABASE_URL: databaseUrl,
    // Roles belong to the whole server, on which other tests have roles of their own.
    DATABASE_ROLE_PREFIX: `books_${process.pid}`,
    DATA_DIR: mkdtempSync(join(tmpdir(), 'waybill-books-')),
    SANDBOX_URL: 'http://127.0.0.1:1',
  });
  await migrate(services, configuration, openLogger('silent'));
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    for (const life of all) await writeLife(client, life);
    await writeWallets(
      client,
      all.flatMap(({ id, total, wallet }) =>
        wallet === undefined ? [] : [{ id, total, outcome: wallet }],
      ),
    );
    await writePets(
      client,
      all.flatMap(({ id, hold }) => (hold === undefined ? [] : [{ id, hold }])),
    );
    await writeAssignments(client);
    await writeUsers(client);
    await writeNotices(client);
    for (const service of services.filter(({ migrations }) => migrations !== undefined))
      await client.query(sequenced(service.name));
    for (const { name, consumers } of services)
      for (const { topic } of consumers)
        if (services.some((service) => service.name === topic))
          await client.query(followed(name, topic));
  } finally {
    await client.end();
  }
}

async function writeLife(client: pg.Client, life: Life): Promise<void> {
  const { total, states, attempts, payment } = life;
  const [status, paymentStatus] = states.at(-1) as Life['states'][0];
  const attemptRows = attempts.map((outcome, index) => ({
    attempt_number: index + 1,
    status: outcome,
    amount_minor: total,
  }));
  const items = [{ item_id: 'a', item_name: 'A', quantity: 1, unit_minor: total }];
  await client.query(
    `insert into orders.orders (id, number, channel, customer_id, currency, total_minor, status,
       payment_status, fulfillment_status, payment_method, items, payment_attempts,
       cancel_requested_at, version, created_at, updated_at)
     values ($1, nextval('orders.order_numbers'), $2, 'anna', 'USD', $3, $4, $5, 'UNFULFILLED',
       $10, $6, $7, case when $4 = 'CANCELLED' then now() end, $8,
       now() - make_interval(days => $9), now())`,
    [
      life.id,
      life.channel ?? 'delivery',
      total,
      status,
      paymentStatus,
      JSON.stringify(items),
      JSON.stringify(attemptRows),
      states.length,
      life.daysAgo,
      life.wallet === undefined ? 'card' : 'wallet',
    ],
  );
  for (const [index, [to]] of states.entries())
    await writeEvent(client, 'orders', life, index + 1, {
      from: states[index - 1]?.[0] ?? null,
      to,
    });
  await client.query(
    `insert into orders.idempotency_keys (scope, key, fingerprint, status, response)
     values ('anna POST', 'key-' || $1::text, 'x', 202, $1::text)`,
    [life.id],
  );
  if (payment === undefined) return;
  const captured = attempts.includes('SUCCEEDED') ? total : 0;
  await client.query(
    `insert into payments.payments (order_id, state, amount_minor, currency, provider,
       provider_reference, captured_minor, refunded_minor, attempts, failure_code, version,
       deadline_at, created_at)
     values ($1::text::uuid, $2, $3, 'USD', $10, $11, $4, $5, $6, $7, $8, now(),
       now() - make_interval(days => $9))`,
    [
      life.id,
      payment.state,
      total,
      captured,
      payment.refunded ? captured : 0,
      attempts.length,
      payment.failure ?? null,
      payment.events.length,
      life.daysAgo,
      life.wallet === undefined ? 'sandbox' : 'wallet',
      life.wallet === undefined ? `ch_${life.id}` : transferOf(life.id),
    ],
  );
  for (const row of attemptRows)
    await client.query(
      `insert into payments.attempts (order_id, attempt_number, status, amount_minor)
       values ($1, $2, $3, $4)`,
      [life.id, row.attempt_number, row.status, row.amount_minor],
    );
  for (const index of payment.events.keys())
    await writeEvent(client, 'payments', life, index + 1, {});
}

function writeEvent(client: pg.Client, topic: string, life: Life, version: number, data: object) {
  return client.query(
    `insert into ${topic}.log (key, version, type, data, time)
     values ($1, $2, 'SOMETHING', $3, now() - make_interval(days => $4))`,
    [life.id, version, JSON.stringify(data), life.daysAgo],
  );
}

/** Everything has its position, and is published. */
function sequenced(service: string): string {
  return `set search_path = ${service}; select sequence_log(1000);
    update log_head set published = position; reset search_path;`;
}

/** Everything of a topic was seen by who follows it. */
function followed(service: string, topic: string): string {
  return `insert into ${service}.inbox (topic, key, version)
    select '${topic}', key, max(version) from ${topic}.log group by key`;
}
