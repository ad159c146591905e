/** The list of orders: who sees what, by which filters, page after page. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId, timeOfId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { operator, someone, startServices, type Running } from '../../tests/support/service.ts';
import { orders } from './index.ts';

let running: Running;

interface Listed {
  readonly id: string;
  readonly number: number;
  readonly customer_id: string;
  readonly reference: string | null;
  readonly status: string;
}

beforeAll(async () => {
  running = await startServices([orders]);
});

async function place(customer: string, reference?: string, extra: object = {}): Promise<Listed> {
  const items = [{ item_id: 'a', item_name: 'A', quantity: 1, price: 1 }];
  const { status, body } = await running.call('POST', '/api/v1/orders', {
    body: {
      customer_id: customer,
      items,
      ...(reference === undefined ? {} : { reference }),
      ...extra,
    },
  });
  expect(status).toBe(202);
  return body as unknown as Listed;
}

async function list(query: Record<string, string | number>, as = operator) {
  const text = new URLSearchParams(
    Object.entries(query).map(([name, value]) => [name, String(value)]),
  ).toString();
  const answer = await running.call('GET', `/api/v1/orders?${text}`, { as });
  const body = answer.body as unknown as {
    orders: Listed[];
    total: number;
    total_is_estimate?: boolean;
    next_cursor: string | null;
    code?: string;
    errors?: { pointer: string }[];
  };
  return { ...answer, body };
}

const idsOf = ({ body }: Awaited<ReturnType<typeof list>>) => body.orders.map(({ id }) => id);

describe('a customer', () => {
  test('sees their own orders alone, whatever they ask for', async () => {
    const mine = await place('carla');
    const theirs = await place('dora');
    const carla = someone('carla');
    expect(idsOf(await list({}, carla))).toEqual([mine.id]);
    expect(idsOf(await list({ customer_id: 'dora' }, carla))).toEqual([]);
    expect(idsOf(await list({ q: theirs.number }, carla))).toEqual([]);
    expect(idsOf(await list({ q: theirs.id }, carla))).toEqual([]);
    const path = `/api/v1/orders/${theirs.id}`;
    const foreign = await running.call('GET', path, { as: carla });
    expect([foreign.status, foreign.body['code']]).toEqual([404, 'order_not_found']);
    const byNumber = await running.call('GET', `/api/v1/orders/${theirs.number}`, { as: carla });
    expect(byNumber.status).toBe(404);
    expect((await running.call('GET', path, { as: someone('dora') })).status).toBe(200);
  });

  test('cannot go on with a cursor of another’s list', async () => {
    for (let n = 0; n < 3; n++) await place('emma');
    const { body } = await list({ page_size: 1 }, someone('emma'));
    const answer = await list({ page_size: 1, cursor: body.next_cursor ?? '' }, someone('fred'));
    expect([answer.status, answer.body.code]).toEqual([422, 'invalid_cursor']);
  });
});

describe('a filter', () => {
  test.each(['pending', 'PENDING', 'Pending'])('by the status %s in any case', async (status) => {
    const order = await place(`by status ${status}`);
    const cancelled = await place(order.customer_id);
    await running.call('POST', `/api/v1/orders/${cancelled.id}/cancel`, { body: {} });
    expect(idsOf(await list({ customer_id: order.customer_id, status }))).toEqual([order.id]);
  });

  test.each([
    [{ status: 'lost' }, '?status'],
    [{ created_from: '2026-02-30' }, '?created_from'],
    [{ created_to: 'tomorrow' }, '?created_to'],
    [{ created_to: 'infinity' }, '?created_to'],
    [{ colour: 'red' }, '?colour'],
    [{ page: 0 }, '?page'],
    [{ page_size: 101 }, '?page_size'],
    [{ q: '' }, '?q'],
  ])('%j is refused', async (query, pointer) => {
    const { status, body } = await list(query);
    expect([status, body.code]).toEqual([422, 'invalid_query']);
    expect(body.errors?.map((error) => error.pointer)).toEqual([pointer]);
  });

  test('by a customer whose name can be written in two ways finds both', async () => {
    const composed = await place('zo\u00eb');
    const decomposed = await place('zoe\u0308');
    expect(idsOf(await list({ customer_id: 'zoe\u0308' }))).toEqual([decomposed.id, composed.id]);
  });

  test('by time includes the millisecond at either end', async () => {
    const order = await place('by time');
    const at = timeOfId(order.id);
    const iso = (shift: number) => new Date(at + shift).toISOString();
    const found = async (query: Record<string, string>) =>
      idsOf(await list({ customer_id: 'by time', ...query })).length;
    expect(await found({ created_from: iso(0), created_to: iso(0) })).toBe(1);
    expect(await found({ created_from: iso(1) })).toBe(0);
    expect(await found({ created_to: iso(-1) })).toBe(0);
    expect(await found({ created_from: '2020-01-01', created_to: '2100-01-01T00:00Z' })).toBe(1);
    const shifted = new Date(at + 2 * 3600_000).toISOString().replace('Z', '+02:00');
    expect(await found({ created_from: shifted, created_to: shifted })).toBe(1);
  });
});

describe('a search', () => {
  test('takes its text literally', async () => {
    const percent = await place('gus', '100% cotton');
    const plain = await place('gus', '100 cottons');
    const underscore = await place('gus', 'a_b');
    const other = await place('gus', 'axb');
    const backslash = await place('gus', String.raw`a\b`);
    const found = async (q: string) => idsOf(await list({ customer_id: 'gus', q }));
    expect(await found('100%')).toEqual([percent.id]);
    expect(await found('100')).toEqual([plain.id, percent.id]);
    expect(await found('%')).toEqual([]);
    expect(await found('a_')).toEqual([underscore.id]);
    expect(await found('ax')).toEqual([other.id]);
    expect(await found(String.raw`a\ `.trim())).toEqual([backslash.id]);
    expect(await found(`' or true --`)).toEqual([]);
  });

  test('finds an order by number, by id, and by how reference or customer begin', async () => {
    const order = await place('hanna-9', 'ref-17');
    for (const q of [String(order.number), order.id, 'ref-1', 'hanna-'])
      expect(idsOf(await list({ q })), q).toEqual([order.id]);
    expect(idsOf(await list({ q: 'ef-17' }))).toEqual([]);
  });

  test('finds references that look like numbers and ids of ours', async () => {
    const numeric = await place('ivan', '4711');
    const reference = newId();
    const unique = await place('ivan', reference);
    expect(idsOf(await list({ q: '4711' }))).toEqual([numeric.id]);
    expect(idsOf(await list({ q: reference }))).toEqual([unique.id]);
  });
});

describe('pages', () => {
  test('by number and by cursor show every order once, newest first', async () => {
    const placed: string[] = [];
    for (let n = 0; n < 7; n++) placed.unshift((await place('jane')).id);
    const byNumber: string[] = [];
    for (let page = 1; page <= 4; page++)
      byNumber.push(...idsOf(await list({ customer_id: 'jane', page, page_size: 2 })));
    expect(byNumber).toEqual(placed);
    const byCursor: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query = { customer_id: 'jane', page_size: 3, ...(cursor === '' ? {} : { cursor }) };
      const answer = await list(query);
      expect(answer.body.total).toBe(7);
      byCursor.push(...idsOf(answer));
      cursor = answer.body.next_cursor;
    }
    expect(byCursor).toEqual(placed);
  });

  test('do not repeat an order when another comes in between', async () => {
    for (let n = 0; n < 4; n++) await place('kim');
    const first = await list({ customer_id: 'kim', page_size: 2 });
    await place('kim');
    const second = await list({
      customer_id: 'kim',
      page_size: 2,
      cursor: first.body.next_cursor ?? '',
    });
    expect(new Set([...idsOf(first), ...idsOf(second)]).size).toBe(4);
  });

  test('refuse a cursor that was changed, or made for other filters', async () => {
    for (let n = 0; n < 2; n++) await place('lea');
    const { body } = await list({ customer_id: 'lea', page_size: 1 });
    const cursor = body.next_cursor ?? '';
    const other = Buffer.from(newId()).toString('base64url');
    const changed = `${other}.${cursor.split('.')[1]}`;
    for (const bad of [changed, `${cursor}x`, cursor.slice(0, -1), 'x', '.', `${cursor}.x`]) {
      const answer = await list({ customer_id: 'lea', page_size: 1, cursor: bad });
      expect([answer.status, answer.body.code], bad).toEqual([422, 'invalid_cursor']);
    }
    expect((await list({ customer_id: 'kim', page_size: 1, cursor })).body.code).toBe(
      'invalid_cursor',
    );
    expect((await list({ customer_id: 'lea', page_size: 5, cursor })).status).toBe(200);
  });

  test('reach ten thousand rows by number', async () => {
    expect((await list({ page: 101, page_size: 100 })).status).toBe(200);
    const deeper = await list({ page: 102, page_size: 100 });
    expect([deeper.status, deeper.body.code]).toEqual([422, 'page_too_deep']);
  });
});

test('a total is exact to ten thousand, and says when it is an estimate', async () => {
  const insert = (customer: string, count: number) =>
    queryRows(
      running.databaseUrl,
      `insert into orders.orders (id, number, channel, customer_id, currency, total_minor, status,
         payment_status, fulfillment_status, payment_method, items, version, created_at, updated_at)
       select gen_random_uuid(), nextval('orders.order_numbers'), 'delivery', $1, 'USD', 100,
         'PENDING', 'PENDING', 'UNFULFILLED', 'card', '[]', 1, now(), now()
       from generate_series(1, $2)`,
      [customer, count],
    );
  await insert('many', 10_000);
  const exact = await list({ customer_id: 'many', page_size: 1 });
  expect(exact.body).toMatchObject({ total: 10_000 });
  expect(exact.body.total_is_estimate).toBeUndefined();
  await insert('many', 2000);
  await queryRows(running.databaseUrl, 'analyze orders.orders');
  const estimate = await list({ customer_id: 'many', page_size: 1 });
  expect(estimate.body.total_is_estimate).toBe(true);
  expect(estimate.body.total).toBeGreaterThan(10_000);
  expect(estimate.body.total).toBeLessThan(14_000);
});
