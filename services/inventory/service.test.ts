/** Stock through its routes: held once, never twice, and never more than there is. */
import { beforeAll, describe, expect, test } from 'vitest';
import { queryRows } from '../../tests/support/database.ts';
import { operator, someone, startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { inventory } from './index.ts';

const shop = someone('orders', 'service');
const stockOf = (sku: string) => `/api/v1/inventory/stock/${encodeURIComponent(sku)}`;

let running: Running;

beforeAll(async () => {
  running = await startServices([inventory]);
});

async function setStock(sku: string, onHand: number) {
  const answer = await running.call('PUT', stockOf(sku), { body: { on_hand: onHand } });
  expect(answer.status).toBe(200);
}

const reserve = (id: string, lines: Record<string, number>, seconds = 600) =>
  running.call('POST', '/internal/inventory/reservations', {
    as: shop,
    body: {
      reservation_id: id,
      lines: Object.entries(lines).map(([sku, quantity]) => ({ sku, quantity })),
      expires_in_seconds: seconds,
    },
  });

const act = (id: string, action: 'release' | 'deduct', body?: unknown) =>
  running.call('POST', `/internal/inventory/reservations/${id}/${action}`, {
    as: shop,
    ...(body === undefined ? {} : { body }),
  });

async function standing(sku: string) {
  const { body } = await running.call('GET', stockOf(sku));
  return [body['on_hand'], body['reserved'], body['available']];
}

describe('the desk', () => {
  test('sets, adjusts and lists', async () => {
    await setStock('desk-a', 5);
    const adjust = (by: number, key: string) =>
      running.call('POST', `${stockOf('desk-a')}/adjust`, {
        body: { by },
        headers: { 'idempotency-key': key },
      });
    const first = await adjust(3, 'k1');
    expect(first).toMatchObject({ status: 200, body: { on_hand: 8, version: 2 } });
    const again = await adjust(3, 'k1');
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(again.body).toEqual(first.body);
    expect((await adjust(4, 'k1')).body['code']).toBe('idempotency_key_reused');
    expect((await adjust(-9, 'k2')).body['code']).toBe('below_reserved');
    expect((await running.call('GET', stockOf('nobody'))).body['code']).toBe('sku_not_found');
    expect(
      (await running.call('POST', `${stockOf('nobody')}/adjust`, { body: { by: 1 } })).status,
    ).toBe(404);
  });

  test('pages by cursor through SKUs of any spelling', async () => {
    for (const sku of ['list/é 1', 'list/%', 'list/_', 'list/z']) await setStock(sku, 1);
    const seen: string[] = [];
    for (let cursor = ''; ;) {
      const page = await running.call(
        'GET',
        `/api/v1/inventory/stock?q=list/&page_size=3${cursor}`,
      );
      expect(page).toMatchObject({ status: 200, body: { total: 4 } });
      seen.push(...(page.body['stock'] as unknown as { sku: string }[]).map(({ sku }) => sku));
      if (page.body['next_cursor'] === null) break;
      cursor = `&cursor=${page.body['next_cursor']}`;
    }
    expect(seen.toSorted()).toEqual(['list/%', 'list/_', 'list/z', 'list/é 1']);
    const literal = await running.call('GET', '/api/v1/inventory/stock?q=list/%25');
    expect(literal.body['total']).toBe(1);
  });

  test('is counted exactly to 10 000, then estimated', async () => {
    const insert = (from: number, to: number) =>
      queryRows(
        running.databaseUrl,
        `insert into inventory.stock (sku) select 'many-' || n from generate_series($1::int, $2) n`,
        [from, to],
      );
    const total = async () =>
      (await running.call('GET', '/api/v1/inventory/stock?q=many-&page_size=1')).body;
    await insert(1, 10_000);
    expect(await total()).toMatchObject({ total: 10_000 });
    expect(await total()).not.toHaveProperty('total_is_estimate');
    await insert(10_001, 12_000);
    await queryRows(running.databaseUrl, 'analyze inventory.stock');
    const { total: estimate, total_is_estimate } = await total();
    expect(total_is_estimate).toBe(true);
    expect(estimate).toBeGreaterThan(10_000);
    expect(estimate).toBeLessThan(14_000);
  });

  test('is the operator’s alone, and reservations are for services alone', async () => {
    const customer = await running.call('GET', stockOf('desk-a'), { as: someone('anna') });
    expect(customer.status).toBe(403);
    const asOperator = await running.call('POST', '/internal/inventory/reservations', {
      as: operator,
      body: {},
    });
    expect(asOperator.status).toBe(403);
  });
});

describe('a reservation', () => {
  test('holds, is deducted in parts and gives the rest back', async () => {
    await setStock('life', 10);
    expect(await reserve('life-1', { life: 4 })).toMatchObject({
      status: 200,
      body: { state: 'reserved', lines: [{ sku: 'life', quantity: 4, deducted: 0 }] },
    });
    expect(await standing('life')).toEqual([10, 4, 6]);
    const shipment = { deduction_id: 'shipment-1', lines: [{ sku: 'life', quantity: 1 }] };
    for (const _repeat of [1, 2])
      expect((await act('life-1', 'deduct', shipment)).body).toMatchObject({
        state: 'reserved',
        lines: [{ deducted: 1 }],
      });
    expect(await standing('life')).toEqual([9, 3, 6]);
    expect((await act('life-1', 'release')).body['state']).toBe('released');
    expect(await standing('life')).toEqual([9, 0, 9]);
    expect((await act('life-1', 'release')).status).toBe(200);
    expect((await reserve('life-1', { life: 4 })).body['code']).toBe('reservation_released');
    expect((await act('life-1', 'deduct', { deduction_id: 's' })).status).toBe(409);
  });

  test('that was given up before it came never comes', async () => {
    await setStock('late', 1);
    expect((await act('late-1', 'release')).status).toBe(200);
    expect((await reserve('late-1', { late: 1 })).body['code']).toBe('reservation_released');
    expect(await standing('late')).toEqual([1, 0, 1]);
  });

  test('ends when its time is up', async () => {
    await setStock('brief', 2);
    expect((await reserve('brief-1', { brief: 2 }, 1)).status).toBe(200);
    expect((await reserve('brief-2', { brief: 1 })).body['code']).toBe('insufficient_stock');
    await until(async () => (await standing('brief'))[1] === 0);
    const known = await running.call('GET', '/internal/inventory/reservations/brief-1', {
      as: shop,
    });
    expect(known.body['state']).toBe('expired');
    expect((await act('brief-1', 'deduct', { deduction_id: 's' })).body['code']).toBe(
      'reservation_expired',
    );
    expect((await reserve('brief-2', { brief: 1 })).status).toBe(200);
  });

  test('asked for fifty times at once under one id is made once', async () => {
    await setStock('twin', 100);
    const answers = await Promise.all(Array.from({ length: 50 }, () => reserve('t', { twin: 2 })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await standing('twin')).toEqual([100, 2, 98]);
  });

  test('tells its changes, once each, with the state of the stock', async () => {
    await setStock('told', 3);
    await reserve('told-1', { told: 2 });
    await act('told-1', 'release');
    const events = await queryRows<{ version: number; data: Record<string, unknown> }>(
      running.databaseUrl,
      "select version, data from inventory.log where key = 'told' order by version",
    );
    expect(events.map(({ version }) => version)).toEqual([1, 2, 3]);
    expect(events.map(({ data }) => [data['on_hand'], data['reserved']])).toEqual([
      [3, 0],
      [3, 2],
      [3, 0],
    ]);
  });
});

test('a bad request is refused precisely and changes nothing', async () => {
  const bodies: [string, unknown][] = [
    ['/lines/0/quantity', { sku: 'desk-a', quantity: 0 }],
    ['/lines/0/quantity', { sku: 'desk-a', quantity: 1.5 }],
    ['/lines/0/sku', { sku: ' x', quantity: 1 }],
    ['/lines/0/colour', { sku: 'desk-a', quantity: 1, colour: 'red' }],
  ];
  for (const [pointer, line] of bodies) {
    const answer = await running.call('POST', '/internal/inventory/reservations', {
      as: shop,
      body: { reservation_id: 'bad', lines: [line], expires_in_seconds: 5 },
    });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  }
  expect((await reserve('bad', { nowhere: 1 })).body).toMatchObject({
    code: 'unknown_sku',
    errors: [{ pointer: '/lines/0/sku' }],
  });
  expect((await act('bad', 'deduct', { deduction_id: 's' })).status).toBe(404);
});

describe('what was given up', () => {
  test.each([
    ['/api/v1/dead-tasks/inventory/retry', { kind: 'gone', key: 'old' }, { retried: 1 }],
    ['/api/v1/dead-letters/inventory/replay', { topic: 'pets', key: '7' }, { replayed: 0 }],
  ])('%s has one outcome under its key', async (path, body, outcome) => {
    await queryRows(
      running.databaseUrl,
      `insert into inventory.tasks (id, kind, key, state)
       values (gen_random_uuid(), 'gone', 'old', 'dead') on conflict do nothing`,
      [],
    );
    const headers = { 'idempotency-key': 'twice' };
    const first = await running.call('POST', path, { body, headers });
    expect([first.status, first.body]).toEqual([200, outcome]);
    const again = await running.call('POST', path, { body, headers });
    expect([again.status, again.body]).toEqual([200, outcome]);
    expect(again.headers['idempotent-replayed']).toBe('true');
    const other = { ...body, key: 'another' };
    const refused = await running.call('POST', path, { body: other, headers });
    expect([refused.status, refused.body['code']]).toEqual([422, 'idempotency_key_reused']);
  });
});
