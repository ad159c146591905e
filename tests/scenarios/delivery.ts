/**
 * Scenarios of chapter A, over the wire, as a client meets them. One file, run in every topology:
 * together.test.ts and apart.test.ts.
 */
import { beforeAll, afterAll, expect, it } from 'vitest';
import { until } from '../support/waybill.ts';
import type { Platform } from './topologies.ts';

interface Order {
  id: string;
  number: number;
  status: string;
  payment_status: string;
  total_amount: number;
  customer_id: string;
  payment_attempts: { attempt_number: number; status: string; error_message: string | null }[];
}

interface List {
  orders: Order[];
  total: number;
  page: number;
  page_size: number;
  next_cursor: string | null;
}

const BURGER = { item_id: 'item_001', item_name: 'Burger', quantity: 2, price: 12.99 };

/** Declares the scenarios; `start` brings the platform up. */
export function deliveryScenarios(start: () => Promise<Platform>): void {
  let platform: Platform;
  beforeAll(async () => {
    platform = await start();
  });
  afterAll(() => platform?.stop());

  const send = (method: string, path: string, body?: unknown, headers = {}) =>
    fetch(platform.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const get = async <Reply>(path: string) => (await (await send('GET', path)).json()) as Reply;
  const place = async (customer: string, token?: string, headers = {}) => {
    const payment = token === undefined ? {} : { payment: { method: 'card', token } };
    const body = { customer_id: customer, items: [BURGER], ...payment };
    const reply = await send('POST', '/api/v1/orders', body, headers);
    expect(reply.status).toBe(202);
    return { reply, order: (await reply.json()) as Order };
  };
  const becomes = async (id: string, status: string) => {
    let order: Order | undefined;
    await until(async () => {
      order = await get<Order>(`/api/v1/orders/${id}`);
      return order.status === status;
    }, 15_000);
    return order as Order;
  };

  it('accepts an order at once and confirms it a moment later, with its attempt', async () => {
    const { reply, order } = await place('customer_123');
    expect(reply.headers.get('location')).toBe(`/api/v1/orders/${order.id}`);
    expect(order).toMatchObject({ status: 'PENDING', total_amount: 25.98, payment_attempts: [] });
    expect(order.number).toBeGreaterThanOrEqual(1_000_000_000);
    const confirmed = await becomes(order.id, 'CONFIRMED');
    expect(confirmed.payment_status).toBe('CAPTURED');
    expect(confirmed.payment_attempts).toMatchObject([{ attempt_number: 1, status: 'SUCCEEDED' }]);
    expect(await get(`/api/v1/orders/${order.number}`)).toEqual(confirmed);
  });

  it('lists by customer and status in any case, newest first, by page and by cursor', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) ids.unshift((await place('lister')).order.id);
    for (const id of ids) await becomes(id, 'CONFIRMED');
    const path = '/api/v1/orders?customer_id=lister&status=confirmed';
    const first = await get<List>(`${path}&page=1&page_size=2`);
    expect(first).toMatchObject({ total: 5, page: 1, page_size: 2 });
    const second = await get<List>(`${path}&page=2&page_size=2`);
    const rest = await get<List>(`${path}&page_size=4&cursor=${first.next_cursor}`);
    expect([...first.orders, ...second.orders].map((order) => order.id)).toEqual(ids.slice(0, 4));
    expect(rest.orders.map((order) => order.id)).toEqual(ids.slice(2));
    expect(rest.next_cursor).toBeNull();
    expect((await get<List>('/api/v1/orders?customer_id=nobody')).orders).toEqual([]);
  });

  it('answers a repeated request with the same order, and refuses another body', async () => {
    const key = { 'idempotency-key': `scenario-${Date.now()}` };
    const first = await place('repeater', undefined, key);
    await becomes(first.order.id, 'CONFIRMED');
    const again = await place('repeater', undefined, key);
    expect(again.reply.headers.get('idempotent-replayed')).toBe('true');
    expect(again.order).toEqual(first.order);
    const other = { customer_id: 'repeater', items: [{ ...BURGER, quantity: 3 }] };
    const refused = await send('POST', '/api/v1/orders', other, key);
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ code: 'idempotency_key_reused' });
  });

  it('ends in PAYMENT_FAILED at once when the card is declined', async () => {
    const { order } = await place('poor', 'tok_insufficient_funds');
    const failed = await becomes(order.id, 'PAYMENT_FAILED');
    expect(failed.payment_status).toBe('FAILED');
    expect(failed.payment_attempts).toMatchObject([{ attempt_number: 1, status: 'DECLINED' }]);
  });

  it('makes three attempts at a gateway that fails, each with its reason', async () => {
    const { order } = await place('unlucky', 'tok_500');
    const failed = await becomes(order.id, 'PAYMENT_FAILED');
    expect(failed.payment_attempts.map((attempt) => attempt.status)).toEqual(
      Array.from({ length: 3 }, () => 'FAILED'),
    );
    for (const attempt of failed.payment_attempts) expect(attempt.error_message).toMatch(/500/);
  });

  it('charges once when the answer of the charge is lost', async () => {
    for (const token of [
      'tok_timeout_after_charge',
      'tok_reset_after_charge',
      'tok_double_callback',
    ]) {
      const { order } = await place('lost-answer', token);
      const confirmed = await becomes(order.id, 'CONFIRMED');
      expect(confirmed.payment_attempts).toHaveLength(1);
    }
  });

  it('refunds what was charged when a confirmed order is cancelled', async () => {
    const { order } = await place('regretful');
    await becomes(order.id, 'CONFIRMED');
    const reply = await send('POST', `/api/v1/orders/${order.id}/cancel`, { reason: 'regret' });
    expect(reply.status).toBe(200);
    expect(await reply.json()).toMatchObject({ status: 'CANCELLED', cancel_reason: 'regret' });
    await until(
      async () => (await get<Order>(`/api/v1/orders/${order.id}`)).payment_status === 'REFUNDED',
    );
    const again = await send('POST', `/api/v1/orders/${order.id}/cancel`);
    expect(again.status).toBe(200);
  });

  it('ends an order that is cancelled right after it was placed, charged or not', async () => {
    const { order } = await place('hasty');
    const reply = await send('POST', `/api/v1/orders/${order.id}/cancel`);
    expect([200, 202]).toContain(reply.status);
    await becomes(order.id, 'CANCELLED');
    await until(async () =>
      ['NOT_REQUIRED', 'REFUNDED'].includes(
        (await get<Order>(`/api/v1/orders/${order.id}`)).payment_status,
      ),
    );
  });

  it('refuses to cancel what has failed, and finds no strange order', async () => {
    const { order } = await place('late', 'tok_decline');
    await becomes(order.id, 'PAYMENT_FAILED');
    const late = await send('POST', `/api/v1/orders/${order.id}/cancel`);
    expect(late.status).toBe(409);
    expect(late.headers.get('content-type')).toContain('application/problem+json');
    expect((await send('GET', '/api/v1/orders/00000000-0000-7000-8000-000000000000')).status).toBe(
      404,
    );
    expect((await send('GET', '/api/v1/orders/12')).status).toBe(404);
    expect([400, 404]).toContain((await send('GET', '/api/v1/orders/nonsense')).status);
  });

  it('shows the payment, no dead letters, its health, metrics and one API document', async () => {
    const { order } = await place('observer');
    await becomes(order.id, 'CONFIRMED');
    const payment = await get<{ status: string }>(`/api/v1/payments/${order.id}`);
    expect(payment.status).toBe('CAPTURED');
    for (const service of ['orders', 'payments'])
      expect(await get(`/api/v1/dead-letters/${service}`)).toMatchObject({ total: 0 });
    expect((await send('GET', '/health')).status).toBe(200);
    expect(await (await send('GET', '/metrics')).text()).toContain('waybill_');
    const document = await get<{ paths: Record<string, unknown> }>('/openapi.json');
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/api/v1/orders', '/api/v1/payments/{order_id}']),
    );
    expect(Object.keys(document.paths).filter((path) => path.startsWith('/internal'))).toEqual([]);
  });

  it('keeps its books true, by its own account and by the gateway’s', async () => {
    const { verifyDatabase } = await import('../../apps/server/verify/database.ts');
    const report = await verifyDatabase({
      databaseUrl: platform.databaseUrl,
      journal: platform.journal,
      waitSeconds: 20,
    });
    expect(
      report.verdicts.filter((verdict) => verdict.state !== 'ok' && verdict.rows.length > 0),
    ).toEqual([]);
    expect(report).toMatchObject({ ok: true, quiescent: true });
  });
}
