/** Stripe at its worst, through the whole payments service: no order is charged twice. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '@waybill/kit/db.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { orders } from '@waybill/orders/index.ts';
import { createDraw } from '@waybill/sandbox/chance.ts';
import {
  startStripeDouble,
  type Call,
  type Fault,
  type StripeDouble,
} from '@waybill/sandbox/stripe/double.ts';
import { createTestDatabase, queryRows } from '../../tests/support/database.ts';
import { portForCallbacks, startServices, type Running } from '../../tests/support/service.ts';
import { newCharge, webhookSecret } from '../../tests/support/stripe.ts';
import { until } from '../../tests/support/waybill.ts';
import { payments } from './index.ts';
import { openStripeProvider } from './providers/stripe.ts';

const secretKey = 'sk_test_double';
let double: StripeDouble;
let running: Running;

beforeAll(async () => {
  double = await startStripeDouble({ secretKey, webhookSecret, latencyMs: 2 });
  const { port, callbackUrl } = await portForCallbacks();
  double.sendTo(callbackUrl, 2);
  running = await startServices([orders, payments], {
    PORT: port,
    PAYMENT_PROVIDER: 'stripe',
    STRIPE_SECRET_KEY: secretKey,
    STRIPE_WEBHOOK_SECRET: webhookSecret,
    STRIPE_API_URL: double.url,
    PAYMENT_TIMEOUT: '0.3',
    PAYMENT_RETRY_DELAY: '0.01',
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: '100000',
  });
});
afterAll(() => double.close());

const TOKENS = [
  ...Array<string>(16).fill('pm_card_visa'),
  'pm_card_chargeDeclined',
  'pm_card_authenticationRequired',
  'pm_action_all_the_same',
  'pm_of_nobody',
];

async function place(token: string, price: number): Promise<string> {
  const items = [{ item_id: 'a', item_name: 'A', quantity: 1, price }];
  const body = { customer_id: 'ada', items, payment: { method: 'card', token } };
  const answer = await running.call('POST', '/api/v1/orders', { body });
  expect(answer.status).toBe(202);
  return String(answer.body['id']);
}

/** About every third call goes wrong, in every way there is. */
function hostile(seed: number): (call: Call) => Fault | undefined {
  const draw = createDraw(seed, 1);
  const faults: Fault[] = [
    'error_before',
    'error_after',
    'unsaved',
    'timeout_before',
    'timeout_after',
    'reset_before',
    'reset_after',
    'cut',
    'html_502',
    'unavailable',
    'rate_limited',
  ];
  return () => (draw() < 0.3 ? faults[Math.floor(draw() * faults.length)] : undefined);
}

interface Ended {
  readonly id: string;
  readonly status: string;
  readonly payment_status: string;
  readonly total_minor: string;
}

function readOrders(): Promise<Ended[]> {
  return queryRows<Ended>(
    running.databaseUrl,
    'select id, status, payment_status, total_minor from orders.orders',
  );
}

/** What Stripe took and gave back for an order. */
function movedFor(orderId: string) {
  const own = double.ledger.movements.filter((movement) => movement.order_id === orderId);
  const of = (kind: string) => own.filter((movement) => movement.kind === kind);
  return { charges: of('charge'), refunds: of('refund') };
}

test('no order is charged twice, and none is left in doubt', { timeout: 120_000 }, async () => {
  const draw = createDraw(7, 2);
  double.behave(hostile(7));
  const ids: string[] = [];
  for (let batch = 0; batch < 10; batch++) {
    const placed = Array.from({ length: 30 }, (_, index) =>
      place(TOKENS[Math.floor(draw() * TOKENS.length)] ?? '', 1 + index),
    );
    ids.push(...(await Promise.all(placed)));
    const unwanted = ids[Math.floor(draw() * ids.length)] ?? '';
    await running.call('POST', `/api/v1/orders/${unwanted}/cancel`, { body: {} });
  }
  await new Promise((resolve) => setTimeout(resolve, 3000));
  double.behave(() => undefined);
  const settled = (order: Ended) =>
    order.status === 'CONFIRMED' ||
    order.status === 'PAYMENT_FAILED' ||
    (order.status === 'CANCELLED' && order.payment_status !== 'CAPTURED');
  await until(async () => (await readOrders()).every(settled), 90_000, 250);

  const ended = await readOrders();
  expect(ended).toHaveLength(300);
  for (const { id, status, total_minor } of ended) {
    const { charges, refunds } = movedFor(id);
    expect(charges.length, id).toBeLessThanOrEqual(1);
    for (const { amount } of [...charges, ...refunds]) expect(amount).toBe(Number(total_minor));
    expect(charges.length - refunds.length, `${id} ${status}`).toBe(status === 'CONFIRMED' ? 1 : 0);
  }
  const count = (status: string) => ended.filter((order) => order.status === status).length;
  expect(count('CONFIRMED')).toBeGreaterThan(100);
  expect(count('PAYMENT_FAILED')).toBeGreaterThan(10);
  expect(count('CANCELLED')).toBeGreaterThan(0);
  // The worst was there: a first answer that was lost after the money had moved.
  const asked = double.calls.filter(({ operation }) => operation === 'retrieve');
  expect(asked.length).toBeGreaterThan(20);
});

test('a call to Stripe is refused while a transaction is open', async () => {
  const url = await createTestDatabase();
  const db = openDatabase({ url, service: 'payments', poolSize: 2, onError: () => {} });
  const provider = openStripeProvider({
    secretKey,
    webhookSecret,
    apiUrl: double.url,
    timeoutMs: 1000,
    log: openLogger('silent'),
  });
  await expect(db.transaction(() => provider.charge(newCharge()))).rejects.toThrow(
    'while a transaction is open',
  );
  await provider.close();
  await db.close();
});
