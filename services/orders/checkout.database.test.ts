/** The checkout with its neighbours, real ones, in one process on PostgreSQL. */
import { beforeAll, describe, expect, test } from 'vitest';
import { billing } from '@waybill/billing/index.ts';
import { customers } from '@waybill/customers/index.ts';
import { armFailpoints } from '@waybill/kit/failpoints.ts';
import { newId } from '@waybill/kit/ids.ts';
import { notifications } from '@waybill/notifications/index.ts';
import { payments } from '@waybill/payments/index.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  sandboxSettings,
  someone,
  startServices,
  startTestSandbox,
  type CallOptions,
  type Running,
} from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { orders } from './index.ts';

let running: Running;

beforeAll(async () => {
  const sandbox = await startTestSandbox();
  running = await startServices(
    [orders, payments, billing, customers, notifications],
    sandboxSettings(sandbox),
  );
});

const admin = someone('root', 'admin');

/** Somebody with a profile and so much in the wallet. */
async function somebody(balance: number): Promise<string> {
  const username = `u-${newId()}`;
  const profile = { username, email: `${username}@example.org`, phone: '+4912345678' };
  const steps: [string, object][] = [
    ['/api/v1/user', profile],
    ['/api/v1/billing/account/new', { username }],
  ];
  if (balance > 0) {
    const deposit = { type: 'DEPOSIT', amount: balance, account: { username } };
    steps.push(['/api/v1/billing/account/operate', deposit]);
  }
  for (const [path, body] of steps) {
    const { status } = await running.call('POST', path, { as: admin, body });
    expect([path, status < 300]).toEqual([path, true]);
  }
  return username;
}

async function balanceOf(username: string): Promise<unknown> {
  const path = '/api/v1/billing/account/balance';
  return (await running.call('GET', path, { as: someone(username) })).body['balance'];
}

function bodyOf(username: string, cost: number, changes: object = {}) {
  return {
    username,
    shopId: 7,
    totalCost: cost,
    orderPositions: [{ productId: 1, price: cost, quantity: 1 }],
    ...changes,
  };
}

function order(username: string, cost: number, changes: object = {}, options: CallOptions = {}) {
  const body = bodyOf(username, cost, changes);
  return running.call('POST', '/api/v1/order', { as: someone(username), body, ...options });
}

/** Type and order of the notices, oldest first. */
async function noticesOf(username: string): Promise<unknown[]> {
  const path = `/api/v1/notif?username=${username}`;
  const { body } = await running.call('GET', path, { as: someone(username) });
  const content = body['content'] as unknown as { notificationType: string; parentId: string }[];
  return content.map(({ notificationType, parentId }) => [notificationType, parentId]).reverse();
}

describe('the sequence of the design', () => {
  test('an order is paid, and one that is too dear is not', async () => {
    const ada = await somebody(150);
    const paid = await order(ada, 19);
    expect(paid.status).toBe(200);
    expect(paid.body).toEqual({
      id: expect.any(Number),
      username: ada,
      orderPositions: [{ productId: 1, price: 19, quantity: 1 }],
      totalCost: 19,
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      shopId: 7,
      status: 'PAID',
      deliveryId: null,
    });
    expect(await balanceOf(ada)).toBe(131);
    const refused = await order(ada, 19_200);
    expect([refused.status, refused.body['status']]).toEqual([200, 'INSUFFICIENT_FUNDS']);
    expect(await balanceOf(ada)).toBe(131);
    expect(await noticesOf(ada)).toEqual([
      ['SUCCESS', String(paid.body['id'])],
      ['FAIL', String(refused.body['id'])],
    ]);
    const list = await running.call('GET', '/api/v1/order', { as: someone(ada) });
    expect(list.body).toMatchObject([{ id: refused.body['id'] }, { id: paid.body['id'] }]);
    const engine = await running.call('GET', `/api/v1/orders/${paid.body['id']}`);
    expect(engine.body).toMatchObject({
      status: 'CONFIRMED',
      payment_status: 'CAPTURED',
      channel: 'checkout',
      payment_attempts: [{ attempt_number: 1, status: 'SUCCEEDED', amount: 19 }],
    });
  });

  test('what the checkout has recorded, events of the payment do not record again', async () => {
    const ada = await somebody(10);
    const { body } = await order(ada, 10);
    await until(async () => {
      const [row] = await queryRows<{ n: number }>(
        running.databaseUrl,
        `select count(*)::int as n from orders.inbox i join orders.orders o on o.id::text = i.key
         where o.number = ${body['id']} and i.version = 2`,
      );
      return row?.n === 1;
    });
    const rows = await queryRows<{ type: string }>(
      running.databaseUrl,
      `select l.type from orders.log l join orders.orders o on o.id::text = l.key
       where o.number = ${body['id']} order by l.version`,
    );
    expect(rows.map((row) => row.type)).toEqual([
      'ORDER_CREATED',
      'ORDER_PAYMENT_PROCESSING',
      'ORDER_CONFIRMED',
    ]);
    expect(await noticesOf(ada)).toHaveLength(1);
  });

  test('DELETE cancels and refunds', async () => {
    const ada = await somebody(50);
    const { body } = await order(ada, 20);
    const gone = await running.call('DELETE', `/api/v1/order/${body['id']}`, { as: someone(ada) });
    expect([gone.status, gone.body['status']]).toEqual([200, 'CANCELED']);
    expect(await balanceOf(ada)).toBe(50);
    const again = await running.call('DELETE', `/api/v1/order/${body['id']}`, { as: someone(ada) });
    expect([again.status, again.body['status']]).toEqual([200, 'CANCELED']);
    expect(await balanceOf(ada)).toBe(50);
  });

  test('respond-async answers at once, and the order is paid all the same', async () => {
    const ada = await somebody(50);
    const { status, body, headers } = await order(
      ada,
      20,
      {},
      {
        headers: { prefer: 'respond-async' },
      },
    );
    expect([status, body['status']]).toEqual([202, 'NEW']);
    expect(headers['preference-applied']).toBe('respond-async');
    await until(async () => (await read(ada, body['id'])).body['status'] === 'PAID');
    expect(await balanceOf(ada)).toBe(30);
    await until(async () => (await noticesOf(ada)).length === 1);
  });
});

function read(username: string, id: unknown) {
  return running.call('GET', `/api/v1/order/${String(id)}`, { as: someone(username) });
}

describe('what is asked for', () => {
  test('nobody orders for somebody else, or sees it', async () => {
    const [ada, eve] = [await somebody(50), await somebody(50)];
    const foreign = await order(ada, 10, {}, { as: someone(eve) });
    expect([foreign.status, foreign.body['code']]).toEqual([403, 'foreign_customer']);
    expect(foreign.body['errors']).toMatchObject([{ pointer: '/username' }]);
    const { body } = await order(ada, 10);
    expect((await read(eve, body['id'])).status).toBe(404);
    const path = `/api/v1/order/${body['id']}`;
    expect((await running.call('DELETE', path, { as: someone(eve) })).status).toBe(404);
    const list = await running.call('GET', `/api/v1/order?username=${ada}`, { as: someone(eve) });
    expect(list.status).toBe(403);
    expect([await balanceOf(ada), await balanceOf(eve)]).toEqual([40, 50]);
  });

  test('a total below the positions is refused, one above is an adjustment', async () => {
    const ada = await somebody(50);
    const low = await order(ada, 10, { totalCost: 9.99 });
    expect([low.status, low.body['errors']]).toEqual([
      422,
      [{ pointer: '/totalCost', detail: 'must be at least 10, the sum of the positions' }],
    ]);
    const tip = await order(ada, 10, { totalCost: 12.5 });
    expect(tip.body).toMatchObject({ totalCost: 12.5, status: 'PAID' });
    expect(tip.body['orderPositions']).toHaveLength(1);
    const engine = await running.call('GET', `/api/v1/orders/${tip.body['id']}`);
    expect(engine.body['items']).toContainEqual({
      item_id: 'adjustment',
      item_name: 'Adjustment',
      quantity: 1,
      price: 2.5,
    });
    expect(await balanceOf(ada)).toBe(37.5);
  });

  test('fields that published clients send are ignored, others are refused', async () => {
    const ada = await somebody(50);
    const sent = { createdAt: 'yesterday', status: 'PAID', deliveryId: 17 };
    const { body } = await order(ada, 10, sent);
    expect(body).toMatchObject({ status: 'PAID', deliveryId: null });
    const strange = await order(ada, 10, { discount: 5 });
    expect([strange.status, strange.body['errors']]).toMatchObject([
      422,
      [{ pointer: '/discount' }],
    ]);
    for (const wrong of [{ orderPositions: [] }, { totalCost: '10' }, { username: undefined }])
      expect((await order(ada, 10, wrong, { as: someone(ada) })).status).toBe(422);
    expect(await balanceOf(ada)).toBe(40);
  });

  test('who has no wallet is not charged, and told FAILED', async () => {
    const nobody = `u-${newId()}`;
    const { status, body } = await order(nobody, 10);
    expect([status, body['status']]).toEqual([200, 'FAILED']);
  });
});

describe('a ledger that fails', () => {
  test('as often as a payment is tried: FAILED, and the key never charges again', async () => {
    const ada = await somebody(50);
    armFailpoints('billing.charge.before=throw*3');
    const { status, body } = await order(ada, 20);
    expect([status, body['status']]).toEqual([200, 'FAILED']);
    const engine = await running.call('GET', `/api/v1/orders/${body['id']}`);
    expect(engine.body).toMatchObject({ status: 'PAYMENT_FAILED', payment_status: 'FAILED' });
    expect(engine.body['payment_attempts']).toHaveLength(3);
    const late = await running.call('POST', '/internal/billing/charges', {
      as: { subject: 'payments', roles: ['service'] },
      body: {
        key: `${engine.body['id']}:charge`,
        order_id: engine.body['id'],
        username: ada,
        amount_minor: 2000,
        currency: 'USD',
      },
    });
    expect(late.body).toMatchObject({ kind: 'declined', code: 'voided' });
    expect(await balanceOf(ada)).toBe(50);
  });

  test('after it has charged: it is asked, and the order is paid once', async () => {
    const ada = await somebody(50);
    armFailpoints('billing.charge.after_commit=throw');
    const { body } = await order(ada, 20);
    expect(body['status']).toBe('PAID');
    expect(await balanceOf(ada)).toBe(30);
  });
});

describe('the same key again', () => {
  test('is the same order and the same answer, however many ask at once', async () => {
    const ada = await somebody(100);
    const options = { headers: { 'idempotency-key': newId() } };
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => order(ada, 30, {}, options)),
    );
    const served = answers.filter(({ status }) => status === 200);
    expect(answers.map(({ status }) => status).filter((status) => status !== 200)).toEqual([]);
    expect(new Set(served.map(({ body }) => body['id'])).size).toBe(1);
    expect(new Set(served.map(({ body }) => body['status']))).toEqual(new Set(['PAID']));
    expect(await balanceOf(ada)).toBe(70);
    const later = await order(ada, 30, {}, options);
    expect(later.headers['idempotent-replayed']).toBe('true');
    const other = await order(ada, 31, {}, options);
    expect([other.status, other.body['code']]).toEqual([422, 'idempotency_key_reused']);
    expect(await noticesOf(ada)).toHaveLength(1);
  });
});
