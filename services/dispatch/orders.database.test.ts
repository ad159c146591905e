/** Dispatch and the real orders, each following the other; payments say what they are told to. */
import { beforeAll, describe, expect, test } from 'vitest';
import { emit } from '@waybill/kit/eventlog.ts';
import { newId } from '@waybill/kit/ids.ts';
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { orders } from '@waybill/orders/index.ts';
import { queryRows } from '../../tests/support/database.ts';
import { dispatchDoors } from '../../tests/support/dispatch.ts';
import { startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { dispatch } from './index.ts';

let running: Running;
let doors: ReturnType<typeof dispatchDoors>;
let payments: ServiceContext;

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
  running = await startServices([orders, dispatch, teller]);
  doors = dispatchDoors(running);
});

async function place(): Promise<string> {
  const items = [{ item_id: 'item_001', item_name: 'Burger', quantity: 2, price: 12.99 }];
  const { body } = await running.call('POST', '/api/v1/orders', {
    body: { customer_id: 'ada', items, fulfillment: { method: 'courier', address: '1 Main St' } },
  });
  return String(body['id']);
}

async function pay(orderId: string): Promise<void> {
  for (const [index, news] of ['STARTED', 'CAPTURED'].entries())
    await payments.db.transaction((tx) =>
      emit(tx, 'payments', [
        {
          key: orderId,
          version: index + 1,
          type: `PAYMENT_${news}`,
          data: { order_id: orderId, attempts: [], failure_code: null },
        },
      ]),
    );
}

const read = async (id: string) => (await running.call('GET', `/api/v1/orders/${id}`)).body;

async function reaches(id: string, status: string, fulfillmentStatus: string): Promise<void> {
  await until(async () => {
    const order = await read(id);
    return order['status'] === status && order['fulfillment_status'] === fulfillmentStatus;
  });
}

async function moves(id: string) {
  const rows = await queryRows<{ version: number; to: string }>(
    running.databaseUrl,
    `select version, data->>'to' as to from orders.log where key = $1 order by version`,
    [id],
  );
  expect(rows.map((row) => row.version)).toEqual(rows.map((_row, index) => index + 1));
  return rows.map((row) => row.to);
}

describe('an order that is carried', () => {
  test('is in fulfilment, shipped, back, and delivered with its assignment', async () => {
    const id = await place();
    await pay(id);
    await reaches(id, 'CONFIRMED', 'UNFULFILLED');
    const executor = await doors.register();
    const { number } = await read(id);
    const assigned = await doors.assign(String(number), executor);
    expect(assigned.body).toMatchObject({ order_id: id, number, cost: 25.98, currency: 'USD' });
    await reaches(id, 'IN_FULFILLMENT', 'IN_PROGRESS');
    const { body } = await doors.acquire(executor);
    expect(body).toMatchObject({ order_id: id, order: { address: '1 Main St', number } });
    await doors.report(executor, id, 'picked-up', 1);
    await reaches(id, 'SHIPPED', 'SHIPPED');
    await doors.report(executor, id, 'failed', 1, { reason: 'nobody at home' });
    await reaches(id, 'IN_FULFILLMENT', 'IN_PROGRESS');
    await doors.assign(id, executor);
    expect((await doors.acquire(executor, '?next=true')).body['epoch']).toBe(2);
    await doors.report(executor, id, 'delivered', 2);
    await reaches(id, 'DELIVERED', 'DELIVERED');
    expect((await doors.read(id)).body).toMatchObject({ state: 'DELIVERED', order_ended: null });
    expect((await doors.assign(id, executor)).body['code']).toBe('order_finished');
  });

  test('catches up when it is paid after its goods were on their way', async () => {
    const id = await place();
    const executor = await doors.register();
    await doors.assign(id, executor);
    await reaches(id, 'PENDING', 'IN_PROGRESS');
    await doors.acquire(executor);
    await doors.report(executor, id, 'picked-up', 1);
    await reaches(id, 'PENDING', 'SHIPPED');
    await pay(id);
    await reaches(id, 'SHIPPED', 'SHIPPED');
    expect((await moves(id)).slice(-3)).toEqual(['CONFIRMED', 'IN_FULFILLMENT', 'SHIPPED']);
  });

  test('and is cancelled takes its assignment with it', async () => {
    const id = await place();
    await pay(id);
    await reaches(id, 'CONFIRMED', 'UNFULFILLED');
    const executor = await doors.register();
    await doors.assign(id, executor);
    await reaches(id, 'IN_FULFILLMENT', 'IN_PROGRESS');
    await running.call('POST', `/api/v1/orders/${id}/cancel`, { body: {} });
    await until(async () => (await doors.read(id)).body['state'] === 'CANCELLED');
    expect((await doors.acquire(executor)).status).toBe(204);
  });
});

test('an order is found by its number wherever its id is asked for', async () => {
  const id = await place();
  const { number } = await read(id);
  const executor = await doors.register();
  const at = `/assignments/${String(number)}`;
  expect((await doors.call('DELETE', at)).body['code']).toBe('assignment_not_found');
  const assigned = await doors.call('POST', '/assignments', {
    body: { order_id: number, executor_id: executor },
  });
  expect(assigned.body).toMatchObject({ order_id: id, number, epoch: 1 });
  expect((await doors.call('GET', at)).body).toEqual((await doors.read(id)).body);
  const taken = await doors.call('DELETE', at);
  expect([taken.status, taken.body['order_id'], taken.body['state']]).toEqual([
    200,
    id,
    'CANCELLED',
  ]);
  await doors.assign(id, executor);
  const given = await doors.call('PUT', at, { body: { executor_id: executor } });
  expect(given.body).toMatchObject({ order_id: id, epoch: 3 });
  await doors.acquire(executor);
  const told = await doors.report(executor, String(number), 'delivered', 3);
  expect(told.body).toMatchObject({ order_id: id, state: 'DELIVERED' });
  const unknown = await doors.call('GET', '/assignments/1999999999');
  expect([unknown.status, unknown.body['code']]).toEqual([404, 'assignment_not_found']);
});

test('orders that are not there, or have no usable id, are unknown', async () => {
  const executor = await doors.register();
  const unknown = [newId(), '0', '999', 'x y', '%00', '9'.repeat(40), 'export', '%2e%2e'];
  for (const id of unknown) {
    const answer = await doors.assign(id, executor);
    expect([id, answer.status, answer.body['code']]).toEqual([id, 404, 'unknown_order']);
  }
  // Under these nobody could ever ask for it again.
  for (const id of ['.', '..', '../orders', 'a/b', ' a', 'x'.repeat(129)]) {
    const answer = await doors.assign(id, executor);
    expect([id, answer.status, answer.body['code']]).toEqual([id, 422, 'invalid_body']);
  }
});
