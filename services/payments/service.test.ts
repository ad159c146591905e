/** Orders and payments through their routes, with the sandbox gateway over real HTTP. */
import { createHmac } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { orders } from '@waybill/orders/index.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  CALLBACK_SECRET,
  portForCallbacks,
  sandboxSettings,
  someone,
  startServices,
  startTestSandbox,
  type Running,
  type SandboxInTest,
} from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { payments } from './index.ts';

let running: Running;
let sandbox: SandboxInTest;

beforeAll(async () => {
  const { port, callbackUrl } = await portForCallbacks();
  sandbox = await startTestSandbox({ callbackUrl });
  running = await startServices([orders, payments], {
    ...sandboxSettings(sandbox),
    PAYMENT_TIMEOUT: '3',
    PORT: port,
  });
});

async function place(token?: string): Promise<string> {
  const items = [{ item_id: 'a', item_name: 'A', quantity: 3, price: 4.5 }];
  const payment = { method: 'card', ...(token === undefined ? {} : { token }) };
  const body = { customer_id: 'ada', items, payment };
  const answer = await running.call('POST', '/api/v1/orders', { body });
  expect(answer.status).toBe(202);
  return String(answer.body['id']);
}

const orderOf = async (id: string) => (await running.call('GET', `/api/v1/orders/${id}`)).body;
const paymentOf = async (id: string) => (await running.call('GET', `/api/v1/payments/${id}`)).body;
const cancel = (id: string) => running.call('POST', `/api/v1/orders/${id}/cancel`, { body: {} });

async function untilOrder(id: string, wanted: Record<string, unknown>) {
  await until(async () => {
    const order = await orderOf(id);
    return Object.entries(wanted).every(([name, value]) => order[name] === value);
  });
  return orderOf(id);
}

async function movements(id: string): Promise<string[]> {
  const entries = await sandbox.journal();
  return entries.filter((entry) => entry.order_id === id).map(({ kind }) => kind);
}

describe('an order is charged', () => {
  test('once, and shows its attempt', async () => {
    const id = await place();
    const order = await untilOrder(id, { status: 'CONFIRMED', payment_status: 'CAPTURED' });
    expect(order['payment_attempts']).toEqual([
      {
        attempt_number: 1,
        status: 'SUCCEEDED',
        amount: 13.5,
        error_message: null,
        created_at: expect.any(String) as string,
      },
    ]);
    expect(await paymentOf(id)).toMatchObject({
      status: 'CAPTURED',
      amount: 13.5,
      captured_amount: 13.5,
      refunded_amount: 0,
      provider: 'sandbox',
      provider_reference: expect.stringMatching(/^ch_/) as string,
      failure_code: null,
      waiting_for: null,
    });
    const rows = await queryRows(
      running.databaseUrl,
      'select attempt_number, status, amount_minor from payments.attempts where order_id = $1',
      [id],
    );
    expect(rows).toEqual([{ attempt_number: 1, status: 'SUCCEEDED', amount_minor: '1350' }]);
    expect(await movements(id)).toEqual(['charge']);
  });

  test.each(['tok_timeout_after_charge', 'tok_reset_after_charge', 'tok_double_callback'])(
    'once with %s',
    async (token) => {
      const id = await place(token);
      const order = await untilOrder(id, { status: 'CONFIRMED' });
      expect(order['payment_attempts']).toHaveLength(1);
      expect(await movements(id)).toEqual(['charge']);
    },
  );

  test.each([
    ['tok_decline', 'card_declined'],
    ['tok_insufficient_funds', 'insufficient_funds'],
  ])('in vain and once only when the answer is %s', async (token, code) => {
    const id = await place(token);
    const order = await untilOrder(id, { status: 'PAYMENT_FAILED', payment_status: 'FAILED' });
    expect(order['payment_attempts']).toMatchObject([{ attempt_number: 1, status: 'DECLINED' }]);
    expect(await paymentOf(id)).toMatchObject({ status: 'FAILED', failure_code: code, calls: 1 });
  });

  test('three times when the gateway answers 500, and then never again', async () => {
    const id = await place('tok_500');
    const order = await untilOrder(id, { status: 'PAYMENT_FAILED' });
    expect(order['payment_attempts']).toMatchObject(
      [1, 2, 3].map((attempt_number) => ({
        attempt_number,
        status: 'FAILED',
        error_message: expect.stringContaining('500') as string,
      })),
    );
    expect(await paymentOf(id)).toMatchObject({ failure_code: 'attempts_used_up' });
    expect(await movements(id)).toEqual(['void']);
  });
});

describe('while the gateway is away', () => {
  test('an order waits, uses up no attempt, and is charged when it is back', async () => {
    await sandbox.control({ mode: 'down' });
    const id = await place();
    await until(async () => typeof (await paymentOf(id))['waiting_for'] === 'string');
    const waiting = await untilOrder(id, { status: 'PAYMENT_PROCESSING' });
    expect(waiting['payment_attempts']).toEqual([]);
    await sandbox.control({ mode: 'up' });
    const order = await untilOrder(id, { status: 'CONFIRMED' });
    expect(order['payment_attempts']).toHaveLength(1);
    expect((await paymentOf(id))['waiting_for']).toBeNull();
  });

  test('an order that is cancelled ends when the gateway was asked, uncharged', async () => {
    await sandbox.control({ mode: 'reset' });
    const id = await place();
    await until(async () => (await paymentOf(id))['status'] === 'UNKNOWN');
    expect((await cancel(id)).status).toBe(202);
    await sandbox.control({ mode: 'up' });
    await untilOrder(id, { status: 'CANCELLED', payment_status: 'NOT_REQUIRED' });
    expect(await movements(id)).toEqual(['void']);
  });
});

describe('a cancelled order', () => {
  test('that was charged is refunded', async () => {
    const id = await place();
    await untilOrder(id, { status: 'CONFIRMED' });
    expect((await cancel(id)).body['status']).toBe('CANCELLED');
    await untilOrder(id, { status: 'CANCELLED', payment_status: 'REFUNDED' });
    expect(await paymentOf(id)).toMatchObject({ status: 'REFUNDED', refunded_amount: 13.5 });
    expect(await movements(id)).toEqual(['charge', 'refund']);
  });

  test('is never left charged, whenever the cancellation comes', async () => {
    const ids = await Promise.all(Array.from({ length: 30 }, () => place()));
    await Promise.all(
      ids.map(async (id, index) => {
        await new Promise((resolve) => setTimeout(resolve, index * 7));
        await cancel(id);
      }),
    );
    for (const id of ids) {
      await until(async () => {
        const { status } = (await paymentOf(id)) as { status?: string };
        return status === 'VOIDED' || status === 'REFUNDED';
      });
      const moved = (await movements(id)).toSorted().join();
      expect(['', 'void', 'charge,refund']).toContain(moved);
      expect((await untilOrder(id, { status: 'CANCELLED' }))['status']).toBe('CANCELLED');
    }
  });
});

describe('a callback', () => {
  const path = '/api/v1/payments/callbacks';
  const sign = (body: string, ageS = 0, secret = CALLBACK_SECRET) => {
    const seconds = Math.floor(Date.now() / 1000) - ageS;
    const mac = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
    return { 'sandbox-signature': `t=${seconds},v1=${mac}` };
  };
  const eventOf = (orderId: string, charge: object = {}) =>
    JSON.stringify({
      id: `evt_${newId()}`,
      type: 'charge.captured',
      charge: { id: 'ch_none', order_id: orderId, amount_minor: 1350, ...charge },
    });
  const send = (raw: string, headers: Record<string, string>) =>
    running.call('POST', path, { as: null, raw, headers });

  test('is refused unless it was signed over these bytes a moment ago', async () => {
    const id = await place('tok_decline');
    await untilOrder(id, { status: 'PAYMENT_FAILED' });
    const body = eventOf(id);
    const spaced = body.replace('{', '{ ');
    const none: Record<string, string> = {};
    for (const headers of [
      none,
      { 'sandbox-signature': 'v1=00' },
      sign(body, 0, 'a secret of a stranger'),
      sign(body, 400),
      sign(body, -400),
      sign(spaced),
    ]) {
      const answer = await send(body, headers);
      expect([answer.status, answer.body['code']]).toEqual([401, 'invalid_signature']);
    }
    expect((await send('{', sign('{'))).status).toBe(400);
    expect((await orderOf(id))['payment_status']).toBe('FAILED');
  });

  test('settles a payment whose call has no answer yet', async () => {
    await sandbox.control({ mode: 'up', hostile: { timeout_after_charge: 1 } });
    const ids = await Promise.all([place(), place(), place()]);
    for (const id of ids) await untilOrder(id, { status: 'CONFIRMED' });
    await sandbox.control({ mode: 'up' });
    // One call each, and that one is still waiting for its answer.
    for (const id of ids) expect((await paymentOf(id))['calls']).toBe(1);
    for (const id of ids) expect(await movements(id)).toEqual(['charge']);
  });

  test('that tells late of a charge for an order that failed sends the money back', async () => {
    const id = await place('tok_decline');
    await untilOrder(id, { status: 'PAYMENT_FAILED' });
    const reply = await fetch(`${sandbox.url}/v1/charges`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': `${id}:late` },
      body: JSON.stringify({
        amount_minor: 1350,
        currency: 'USD',
        order_id: id,
        callback_url: 'http://127.0.0.1:9/',
      }),
    });
    const charge = (await reply.json()) as { id: string };
    const body = eventOf(id, { id: charge.id });
    expect((await send(body, sign(body))).status).toBe(200);
    await until(async () => (await paymentOf(id))['status'] === 'REFUNDED');
    expect((await send(body, sign(body))).status).toBe(200);
    expect((await untilOrder(id, { payment_status: 'REFUNDED' }))['status']).toBe('PAYMENT_FAILED');
    expect((await movements(id)).filter((kind) => kind !== 'decline')).toEqual([
      'charge',
      'refund',
    ]);
  });

  test('of an order that is not known is taken and changes nothing', async () => {
    const body = eventOf(newId());
    expect((await send(body, sign(body))).status).toBe(200);
  });
});

describe('a payment', () => {
  test('is shown to staff alone', async () => {
    const id = await place();
    const path = `/api/v1/payments/${id}`;
    expect((await running.call('GET', path, { as: someone('ada') })).status).toBe(403);
    expect((await running.call('GET', path, { as: null })).status).toBe(401);
    const none = await running.call('GET', `/api/v1/payments/${newId()}`);
    expect([none.status, none.body['code']]).toEqual([404, 'payment_not_found']);
  });
});
