/** What becomes of a payment that could not even be begun before its deadline. */
import { beforeAll, expect, test } from 'vitest';
import { orders } from '@waybill/orders/index.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  sandboxSettings,
  startServices,
  startTestSandbox,
  type Running,
} from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { payments } from './index.ts';

let running: Running;

beforeAll(async () => {
  const sandbox = await startTestSandbox();
  running = await startServices([orders, payments], {
    ...sandboxSettings(sandbox),
    PAYMENT_DEADLINE: '1',
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: '1',
    CIRCUIT_BREAKER_RECOVERY_TIMEOUT: '3',
  });
});

async function place(token: string): Promise<string> {
  const items = [{ item_id: 'a', item_name: 'A', quantity: 1, price: 1 }];
  const body = { customer_id: 'ada', items, payment: { method: 'card', token } };
  return String((await running.call('POST', '/api/v1/orders', { body })).body['id']);
}

const orderOf = async (id: string) => (await running.call('GET', `/api/v1/orders/${id}`)).body;

test('its order fails by the way that the lifecycle knows', async () => {
  const first = await place('tok_500');
  await until(
    async () => ((await orderOf(first))['payment_attempts'] as unknown as unknown[]).length > 0,
  );
  // The breaker is open now: this one is not begun before its deadline.
  const late = await place('tok_ok');
  await until(async () => (await orderOf(late))['status'] === 'PAYMENT_FAILED', 15_000);
  const events = await queryRows<{ type: string; data: { from: string; to: string } }>(
    running.databaseUrl,
    'select type, data from orders.log where key = $1 order by version',
    [late],
  );
  expect(events.map(({ data }) => `${data.from} ${data.to}`)).toEqual([
    'null PENDING',
    'PENDING PAYMENT_PROCESSING',
    'PAYMENT_PROCESSING PAYMENT_FAILED',
  ]);
  const payment = await running.call('GET', `/api/v1/payments/${late}`);
  expect(payment.body).toMatchObject({ failure_code: 'deadline_passed', calls: 0 });
});
