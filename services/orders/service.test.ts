/** The orders service through its routes, on PostgreSQL; payments say what they are told to. */
import { beforeAll, describe, expect, test } from 'vitest';
import { emit } from '@waybill/kit/eventlog.ts';
import { newId } from '@waybill/kit/ids.ts';
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  someone,
  startServices,
  type CallOptions,
  type Running,
} from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { orders } from './index.ts';

let running: Running;
let payments: ServiceContext;

/** Stands where payments stands, and tells only what a test lets it tell. */
const teller = defineService({
  name: 'payments',
  description: 'Payments that a test speaks for.',
  paths: ['/api/v1/payments'],
  settings: {},
  migrations: {},
  create: (base) => (payments = base),
  routes: [],
  consumers: [],
  tasks: [],
  sweeps: [],
});

beforeAll(async () => {
  running = await startServices([orders, teller]);
});

const item = { item_id: 'item_001', item_name: 'Burger', quantity: 2, price: 12.99 };
const ada = someone('ada');

function place(changes: object = {}, options: CallOptions = {}) {
  const body = { customer_id: 'ada', items: [item], ...changes };
  return running.call('POST', '/api/v1/orders', { body, ...options });
}

function read(id: unknown, as = someone('olga', 'operator')) {
  return running.call('GET', `/api/v1/orders/${String(id)}`, { as });
}

function cancel(id: unknown, options: CallOptions = {}) {
  return running.call('POST', `/api/v1/orders/${String(id)}/cancel`, { body: {}, ...options });
}

const attempt = {
  attempt_number: 1,
  status: 'SUCCEEDED',
  amount_minor: 2598,
  error_message: null,
  created_at: '2026-01-02T03:04:05.678Z',
};

/** Tells news of an order's payment; version after version. */
function tell(orderId: unknown, version: number, news: string, attempts: object[] = []) {
  const data = { order_id: String(orderId), attempts, failure_code: null };
  return payments.db.transaction((tx) =>
    emit(tx, 'payments', [
      { key: String(orderId), version, type: `PAYMENT_${news}`, data: data as never },
    ]),
  );
}

async function untilStatus(id: unknown, status: string) {
  await until(async () => (await read(id)).body['status'] === status);
  return (await read(id)).body;
}

describe('an accepted order', () => {
  test('is answered with its place, and is a row with its event', async () => {
    const { status, headers, body } = await place({ reference: 'table 7' }, { as: ada });
    expect(status).toBe(202);
    expect(headers['location']).toBe(`/api/v1/orders/${String(body['id'])}`);
    expect(body).toMatchObject({
      channel: 'delivery',
      customer_id: 'ada',
      currency: 'USD',
      total_amount: 25.98,
      status: 'PENDING',
      payment_status: 'PENDING',
      fulfillment_status: 'UNFULFILLED',
      reference: 'table 7',
      items: [item],
      payment_attempts: [],
    });
    expect(body['number']).toBeGreaterThanOrEqual(1_000_000_000);
    const [row] = await queryRows<{ total_minor: string; number: string }>(
      running.databaseUrl,
      'select total_minor, number from orders.orders where id = $1',
      [body['id']],
    );
    expect(row).toEqual({ total_minor: '2598', number: String(body['number']) });
    const events = await queryRows(
      running.databaseUrl,
      'select version, type from orders.log where key = $1',
      [body['id']],
    );
    expect(events).toEqual([{ version: 1, type: 'ORDER_CREATED' }]);
    expect((await read(body['id'])).body).toEqual(body);
    expect((await read(body['number'])).body).toEqual(body);
  });

  test('has a number of its own among many that came at once', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => place()));
    expect(new Set(answers.map(({ body }) => body['number'])).size).toBe(200);
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(200);
  });

  test.each([
    [{ items: [] }, '/items'],
    [{ items: [{ ...item, quantity: 0 }] }, '/items/0/quantity'],
    [{ items: [{ ...item, quantity: 1.5 }] }, '/items/0/quantity'],
    [{ items: [{ ...item, price: 0 }] }, '/items/0/price'],
    [{ items: [{ ...item, price: 1.999 }] }, '/items/0/price'],
    [{ currency: 'XXX' }, '/currency'],
    [{ colour: 'red' }, '/colour'],
  ])('is none when it says %j', async (changes, pointer) => {
    const { status, body } = await place(changes);
    expect(status).toBe(422);
    const errors = body['errors'] as unknown as { pointer: string }[];
    expect(errors.map((error) => error.pointer)).toContain(pointer);
  });

  test('is refused in the name of somebody else', async () => {
    const { status, body } = await place({ customer_id: 'bob' }, { as: ada });
    expect([status, body['code']]).toEqual([403, 'foreign_customer']);
    expect(body['errors']).toMatchObject([{ pointer: '/customer_id' }]);
  });

  test('is none of anybody’s who does not say who it is', async () => {
    expect((await place({}, { as: null })).status).toBe(401);
  });
});

describe('an idempotency key', () => {
  const keyed = (key: string) => ({ headers: { 'idempotency-key': key } });

  test('gives the first answer again, and one order', async () => {
    const key = newId();
    const first = await place({}, keyed(key));
    await tell(first.body['id'], 1, 'STARTED');
    await untilStatus(first.body['id'], 'PAYMENT_PROCESSING');
    const again = await place({}, keyed(key));
    expect(again.body).toEqual(first.body);
    expect(again.status).toBe(202);
    expect(again.headers).toMatchObject({
      location: first.headers['location'],
      'idempotent-replayed': 'true',
    });
  });

  test('used fifty times at once makes one order', async () => {
    const key = newId();
    const answers = await Promise.all(Array.from({ length: 50 }, () => place({}, keyed(key))));
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(answers.filter(({ headers }) => headers['idempotent-replayed'] !== 'true')).toHaveLength(
      1,
    );
  });

  test('with another body is refused; of another caller it is another key', async () => {
    const key = newId();
    const first = await place({}, { ...keyed(key), as: ada });
    const other = await place({ reference: 'x' }, { ...keyed(key), as: ada });
    expect([other.status, other.body['code']]).toEqual([422, 'idempotency_key_reused']);
    const bob = await place({ customer_id: 'bob' }, { ...keyed(key), as: someone('bob') });
    expect(bob.status).toBe(202);
    expect(bob.body['id']).not.toBe(first.body['id']);
  });
});

describe('news of the payment', () => {
  test('move an order in the order in which they were told', async () => {
    const { body } = await place();
    const faulted = { ...attempt, status: 'FAILED', error_message: 'the gateway answered 500' };
    const succeeded = { ...attempt, attempt_number: 2 };
    await tell(body['id'], 1, 'STARTED');
    await tell(body['id'], 2, 'ATTEMPT_FAILED', [faulted]);
    await tell(body['id'], 3, 'CAPTURED', [faulted, succeeded]);
    const order = await untilStatus(body['id'], 'CONFIRMED');
    expect(order).toMatchObject({ payment_status: 'CAPTURED', version: 4 });
    expect(order['payment_attempts']).toEqual([
      { ...faulted, amount: 25.98, amount_minor: undefined },
      { ...succeeded, amount: 25.98, amount_minor: undefined },
    ]);
    const events = await queryRows<{ type: string }>(
      running.databaseUrl,
      'select type from orders.log where key = $1 order by version',
      [body['id']],
    );
    expect(events.map(({ type }) => type)).toEqual([
      'ORDER_CREATED',
      'ORDER_PAYMENT_PROCESSING',
      'ORDER_PAYMENT_UPDATED',
      'ORDER_CONFIRMED',
    ]);
  });

  test('of a failure end the order', async () => {
    const { body } = await place();
    await tell(body['id'], 1, 'STARTED');
    await tell(body['id'], 2, 'FAILED', [{ ...attempt, status: 'DECLINED' }]);
    const order = await untilStatus(body['id'], 'PAYMENT_FAILED');
    expect(order['payment_status']).toBe('FAILED');
  });
});

describe('a cancellation', () => {
  test('of a pending order ends it at once, for those who may see it alone', async () => {
    const { body } = await place();
    const foreign = await cancel(body['id'], { as: someone('bob') });
    expect([foreign.status, foreign.body['code']]).toEqual([404, 'order_not_found']);
    const mine = await cancel(body['id'], { as: ada, body: { reason: 'changed my mind' } });
    expect(mine).toMatchObject({
      status: 200,
      body: { status: 'CANCELLED', cancel_reason: 'changed my mind' },
    });
    expect((await cancel(body['id'])).status).toBe(200);
    const [{ n } = { n: '0' }] = await queryRows<{ n: string }>(
      running.databaseUrl,
      `select count(*) as n from orders.log where key = $1 and type = 'ORDER_CANCELLED'`,
      [body['id']],
    );
    expect(n).toBe('1');
  });

  test('while the charge is under way is recorded, and carried out when it is known', async () => {
    const { body } = await place();
    await tell(body['id'], 1, 'STARTED');
    await untilStatus(body['id'], 'PAYMENT_PROCESSING');
    const asked = await cancel(body['id']);
    expect(asked.status).toBe(202);
    expect(asked.body['cancel_requested_at']).not.toBeNull();
    await tell(body['id'], 2, 'CAPTURED', [attempt]);
    expect(await untilStatus(body['id'], 'CANCELLED')).toMatchObject({
      payment_status: 'CAPTURED',
    });
    await tell(body['id'], 3, 'REFUNDED', [attempt]);
    await until(async () => (await read(body['id'])).body['payment_status'] === 'REFUNDED');
    expect((await read(body['id'])).body['status']).toBe('CANCELLED');
  });

  test('while the charge is under way is answered with the end when that comes soon', async () => {
    const { body } = await place();
    await tell(body['id'], 1, 'STARTED');
    await untilStatus(body['id'], 'PAYMENT_PROCESSING');
    const answer = cancel(body['id']);
    await until(async () => (await read(body['id'])).body['cancel_requested_at'] !== null);
    await tell(body['id'], 2, 'VOIDED');
    expect(await answer).toMatchObject({
      status: 200,
      body: { status: 'CANCELLED', payment_status: 'NOT_REQUIRED' },
    });
  });

  test('of a confirmed order ends it; its money follows', async () => {
    const { body } = await place();
    await tell(body['id'], 1, 'STARTED');
    await tell(body['id'], 2, 'CAPTURED', [attempt]);
    await untilStatus(body['id'], 'CONFIRMED');
    expect((await cancel(body['id'])).body).toMatchObject({
      status: 'CANCELLED',
      payment_status: 'CAPTURED',
    });
  });

  test('of an order that failed is too late', async () => {
    const { body } = await place();
    await tell(body['id'], 1, 'STARTED');
    await tell(body['id'], 2, 'FAILED');
    await untilStatus(body['id'], 'PAYMENT_FAILED');
    const answer = await cancel(body['id']);
    expect([answer.status, answer.body['code']]).toEqual([409, 'not_cancellable']);
  });

  test('is repeated with its key word by word', async () => {
    const { body } = await place();
    const options = { headers: { 'idempotency-key': newId() } };
    const first = await cancel(body['id'], options);
    const again = await cancel(body['id'], options);
    expect(again.body).toEqual(first.body);
    expect(again.headers['idempotent-replayed']).toBe('true');
  });

  test.each(['/api/v1/orders/none', '/api/v1/orders/0'])('of %s is no address', async (path) => {
    expect((await running.call('POST', `${path}/cancel`, { body: {} })).status).toBe(400);
  });

  test('of an order that nobody placed is 404', async () => {
    expect((await cancel(newId())).status).toBe(404);
    expect((await cancel(999_999_999_999_999)).status).toBe(404);
  });
});
