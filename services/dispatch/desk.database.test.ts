/** Held orders, bulk, news of orders, executors, lists: dispatch through its routes. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { createStandInOrders, dispatchDoors } from '../../tests/support/dispatch.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { Executor } from './contract.ts';
import { dispatch } from './index.ts';

const orders = createStandInOrders();
let running: Running;
let doors: ReturnType<typeof dispatchDoors>;

beforeAll(async () => {
  running = await startServices([dispatch, orders.service]);
  doors = dispatchDoors(running);
});

const codeOf = ({ status, body }: { status: number; body: Record<string, unknown> }) => [
  status,
  body['code'],
];

async function events(orderId: string) {
  const rows = await queryRows<{ version: number; type: string }>(
    running.databaseUrl,
    'select version, type from dispatch.log where key = $1 order by version',
    [orderId],
  );
  expect(rows.map((row) => row.version)).toEqual(rows.map((_row, index) => index + 1));
  return rows.map((row) => row.type.replace('ASSIGNMENT_', ''));
}

describe('a held order', () => {
  async function held() {
    const executor = await doors.register();
    const { id } = orders.place();
    await doors.assign(id, executor);
    await doors.acquire(executor);
    return { executor, id };
  }

  test('is picked up, then delivered; the same report again is answered alike', async () => {
    const { executor, id } = await held();
    const picked = await doors.report(executor, id, 'picked-up', 1);
    expect([picked.status, picked.body['state']]).toEqual([200, 'PICKED_UP']);
    expect((await doors.report(executor, id, 'picked-up', 1)).body).toEqual(picked.body);
    const delivered = await doors.report(executor, id, 'delivered', 1);
    expect([delivered.status, delivered.body['state']]).toEqual([200, 'DELIVERED']);
    expect((await doors.report(executor, id, 'delivered', 1)).body).toEqual(delivered.body);
    expect(codeOf(await doors.report(executor, id, 'failed', 1))).toEqual([409, 'wrong_state']);
    expect(await events(id)).toEqual(['CREATED', 'ACQUIRED', 'PICKED_UP', 'DELIVERED']);
  });

  test('a report has one outcome under its key', async () => {
    const { executor, id } = await held();
    const path = `/executors/${executor}/orders/${id}/delivered`;
    const headers = { 'idempotency-key': 'at-the-door' };
    const first = await doors.call('POST', path, { body: { epoch: 1 }, headers });
    const again = await doors.call('POST', path, { body: { epoch: 1 }, headers });
    expect([first.status, again.body]).toEqual([200, first.body]);
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    expect(again.headers['idempotent-replayed']).toBe('true');
    const other = await doors.call('POST', path, { body: { epoch: 2 }, headers });
    expect(codeOf(other)).toEqual([422, 'idempotency_key_reused']);
    expect(await events(id)).toEqual(['CREATED', 'ACQUIRED', 'DELIVERED']);
  });

  test('that failed may be assigned anew', async () => {
    const { executor, id } = await held();
    const failed = await doors.report(executor, id, 'failed', 1, { reason: 'nobody at home' });
    expect(failed.body).toMatchObject({ state: 'FAILED', reason: 'nobody at home' });
    const again = await doors.assign(id, executor);
    expect(again.body).toMatchObject({ state: 'ASSIGNED', epoch: 2, replaces: null, reason: null });
  });

  test('is taken from its holder by an operator alone, who is late from then on', async () => {
    const { executor, id } = await held();
    const other = await doors.register();
    const service = { as: someone('fulfillment', 'service') };
    const replace = { replace_acquired: true };
    const refused = await doors.assign(id, other, replace, service);
    expect(codeOf(refused)).toEqual([403, 'replace_not_allowed']);
    const taken = await doors.assign(id, other, replace);
    expect(taken.body).toMatchObject({ executor_id: other, epoch: 2, replaces: executor });
    for (const word of ['picked-up', 'delivered', 'failed'])
      expect(codeOf(await doors.report(executor, id, word, 1))).toEqual([409, 'old_epoch']);
    expect((await doors.acquire(other)).body).toMatchObject({ order_id: id, epoch: 2 });
    expect(codeOf(await doors.report(other, id, 'delivered', 1))).toEqual([409, 'old_epoch']);
    expect((await doors.report(other, id, 'delivered', 2)).status).toBe(200);
  });

  test('of somebody else, or not acquired yet, is not reported on', async () => {
    const { id } = await held();
    const stranger = await doors.register();
    const answer = await doors.report(stranger, id, 'delivered', 1);
    expect(codeOf(answer)).toEqual([404, 'assignment_not_found']);
    const waiting = orders.place();
    await doors.assign(waiting.id, stranger);
    const early = await doors.report(stranger, waiting.id, 'delivered', 1);
    expect(codeOf(early)).toEqual([409, 'not_acquired']);
  });
});

describe('many at once', () => {
  test('are assigned each with its own outcome', async () => {
    const executor = await doors.register();
    const [good, taken, finished] = [
      orders.place(),
      orders.place(),
      orders.place({ status: 'CANCELLED' }),
    ];
    await doors.assign(taken.id, executor);
    await doors.acquire(executor);
    const asked = [
      [good.id, executor],
      [good.id, executor],
      [taken.id, executor],
      [finished.id, executor],
      [newId(), executor],
      [orders.place().id, 'nobody'],
    ].map(([order_id, executor_id]) => ({ order_id, executor_id }));
    const options = { headers: { 'idempotency-key': newId() }, body: { assignments: asked } };
    const { status, body } = await doors.call('POST', '/assignments/bulk', options);
    expect(status).toBe(200);
    const results = body['results'] as unknown as Record<string, unknown>[];
    expect(results.map((one) => [one['status'], one['code']])).toEqual([
      [201, undefined],
      [409, 'repeated_order'],
      [409, 'already_acquired'],
      [409, 'order_finished'],
      [404, 'unknown_order'],
      [422, 'unknown_executor'],
    ]);
    expect(results[0]?.['assignment']).toEqual((await doors.read(good.id)).body);
    const again = await doors.call('POST', '/assignments/bulk', options);
    expect([again.headers['idempotent-replayed'], again.body]).toEqual(['true', body]);
    expect(await events(good.id)).toEqual(['CREATED']);
  });

  test('are a hundred at most', async () => {
    const one = { order_id: newId(), executor_id: 'nobody' };
    for (const count of [0, 101]) {
      const body = { assignments: Array.from({ length: count }, () => one) };
      expect((await doors.call('POST', '/assignments/bulk', { body })).status).toBe(422);
    }
  });
});

describe('news of an order', () => {
  const stateOf = async (id: string) => (await doors.read(id)).body['state'];

  test('that it was cancelled withdraws what nobody has acquired', async () => {
    const executor = await doors.register();
    const order = orders.place();
    await doors.assign(order.id, executor);
    await orders.tell(order, 'ORDER_CANCELLED');
    await until(async () => (await stateOf(order.id)) === 'CANCELLED');
    const { body } = await doors.read(order.id);
    expect(body).toMatchObject({ reason: 'the order is cancelled', order_ended: 'CANCELLED' });
    expect((await doors.acquire(executor)).status).toBe(204);
    // What was fetched before the news is not stored after them.
    expect(codeOf(await doors.assign(order.id, executor))).toEqual([409, 'order_finished']);
    expect(await events(order.id)).toEqual(['CREATED', 'CANCELLED']);
  });

  test('that it was cancelled flags what somebody has, once', async () => {
    const executor = await doors.register();
    const order = orders.place();
    await doors.assign(order.id, executor);
    await doors.acquire(executor);
    await orders.tell(order, 'ORDER_CANCELLED');
    await until(async () => (await doors.read(order.id)).body['order_ended'] === 'CANCELLED');
    await orders.tell(order, 'ORDER_RETURNED');
    expect(await stateOf(order.id)).toBe('ACQUIRED');
    const returned = await doors.report(executor, order.id, 'failed', 1);
    expect(returned.body).toMatchObject({ state: 'FAILED', order_ended: 'CANCELLED' });
    expect(await events(order.id)).toEqual(['CREATED', 'ACQUIRED', 'FLAGGED', 'FAILED']);
  });

  test('that it was cancelled flags also what was picked up', async () => {
    const executor = await doors.register();
    const order = orders.place();
    await doors.assign(order.id, executor);
    await doors.acquire(executor);
    await doors.report(executor, order.id, 'picked-up', 1);
    await orders.tell(order, 'ORDER_CANCELLED');
    await until(async () => (await doors.read(order.id)).body['order_ended'] === 'CANCELLED');
    expect(await stateOf(order.id)).toBe('PICKED_UP');
    expect(await events(order.id)).toEqual(['CREATED', 'ACQUIRED', 'PICKED_UP', 'FLAGGED']);
  });

  test('that it has changed prices an assignment anew that nobody has acquired', async () => {
    const executor = await doors.register();
    const [waiting, held] = [orders.place(), orders.place()];
    await doors.assign(held.id, executor);
    await doors.acquire(executor);
    await doors.assign(waiting.id, executor);
    for (const order of [held, waiting])
      await orders.tell(order, 'ORDER_UPDATED', { total_amount: 9.9 });
    await until(async () => (await doors.read(waiting.id)).body['cost'] === 9.9);
    expect((await doors.read(waiting.id)).body).toMatchObject({ state: 'ASSIGNED', epoch: 1 });
    expect((await doors.read(held.id)).body['cost']).toBe(4.4);
    expect(await events(waiting.id)).toEqual(['CREATED', 'REPRICED']);
  });
});

describe('an assignment that changes while its sources are asked', () => {
  test('is priced by those who asked them last', async () => {
    const executor = await doors.register();
    const order = orders.place();
    await doors.assign(order.id, executor);
    orders.meanwhile(async () => {
      order.total_amount = 12;
      await queryRows(
        running.databaseUrl,
        'update dispatch.assignments set version = version + 1 where order_id = $1',
        [order.id],
      );
    });
    await orders.tell(order, 'ORDER_UPDATED', { total_amount: 9.9 });
    await until(async () => (await doors.read(order.id)).body['version'] === 3);
    const { body } = await doors.read(order.id);
    expect([body['cost'], body['epoch']]).toEqual([12, 1]);
  });

  test('and is taken back is not reassigned', async () => {
    const [executor, other] = [await doors.register(), await doors.register()];
    const { id } = orders.place();
    await doors.assign(id, executor);
    orders.meanwhile(() => doors.cancel(id));
    expect(codeOf(await doors.reassign(id, other))).toEqual([404, 'assignment_not_found']);
    await doors.assign(id, executor);
    orders.meanwhile(() => doors.acquire(executor));
    expect(codeOf(await doors.reassign(id, other))).toEqual([409, 'already_acquired']);
  });
});

describe('an assignment that nobody has acquired', () => {
  test('is reassigned at what it costs now, with a window of its own', async () => {
    const [executor, other] = [await doors.register(), await doors.register()];
    const order = orders.place();
    const first = await doors.assign(order.id, executor);
    await doors.age(order.id, '11 minutes');
    order.total_amount = 6.6;
    const { status, body } = await doors.reassign(order.id, other);
    expect(status).toBe(200);
    expect(body).toMatchObject({ executor_id: other, cost: 6.6, epoch: 2, replaces: executor });
    const at = (member: string) => Date.parse(String(body[member]));
    expect(at('assigned_at')).toBeGreaterThan(Date.parse(String(first.body['assigned_at'])));
    expect(at('cancellable_until') - at('assigned_at')).toBe(600_000);
    expect((await doors.cancel(order.id)).status).toBe(200);
  });

  test('stays with whom it is when the other is unknown, or a source is down', async () => {
    const [executor, other] = [await doors.register(), await doors.register()];
    const { id } = orders.place();
    const { body } = await doors.assign(id, executor);
    expect(codeOf(await doors.reassign(id, 'nobody'))).toEqual([422, 'unknown_executor']);
    orders.down(true);
    expect(codeOf(await doors.reassign(id, other))).toEqual([503, 'temporarily_unavailable']);
    orders.down(false);
    expect((await doors.read(id)).body).toEqual(body);
  });
});

describe('executors and zones', () => {
  test('are registered, changed and located', async () => {
    const body = { name: 'Bo', tags: ['van', 'cold'], rating: 5 };
    const made = await doors.call('POST', '/executors', { body });
    expect(made.status).toBe(201);
    const { executor_id: id } = made.body as Record<string, string>;
    expect(made.headers['location']).toBe(`/api/v1/dispatch/executors/${id}`);
    expect(made.body).toMatchObject({ ...body, zone_id: null, available: true, location: null });
    // The desk's configuration is looked up with it, and is no part of it.
    expect(Object.keys(made.body as object).toSorted()).toEqual(
      Object.keys(Executor.properties).toSorted(),
    );
    const twin = await doors.call('POST', '/executors', { body: { ...body, executor_id: id } });
    expect(codeOf(twin)).toEqual([409, 'executor_exists']);
    await doors.call('PATCH', `/executors/${id}`, { body: { available: false, rating: 4 } });
    const place = { latitude: 52.5, longitude: 13.4 };
    await doors.call('PUT', `/executors/${id}/location`, { body: place });
    const { body: now } = await doors.call('GET', `/executors/${id}`);
    expect(now).toMatchObject({ ...body, rating: 4, available: false, location: place });
    expect((await doors.call('GET', '/executors/nobody')).status).toBe(404);
    expect((await doors.call('PATCH', '/executors/nobody', { body: { rating: 1 } })).status).toBe(
      404,
    );
  });

  test('live in zones that exist', async () => {
    const body = { name: 'Cy', tags: [], rating: 3, zone_id: 'nowhere' };
    expect(codeOf(await doors.call('POST', '/executors', { body }))).toEqual([422, 'unknown_zone']);
    const id = await doors.register();
    const moved = await doors.call('PATCH', `/executors/${id}`, { body: { zone_id: 'nowhere' } });
    expect(codeOf(moved)).toEqual([422, 'unknown_zone']);
  });

  test.each([
    ['/zones/z', { display_name: 'Z', coin_coeff: -1, bonus_amount: 0 }, '/coin_coeff'],
    ['/zones/z', { display_name: 'Z', coin_coeff: 1.0000001, bonus_amount: 0 }, '/coin_coeff'],
    ['/zones/z', { display_name: 'Z', coin_coeff: 1, bonus_amount: 1e300 }, '/bonus_amount'],
    ['/zones/z', { display_name: 'Z', coin_coeff: '1', bonus_amount: 0 }, '/coin_coeff'],
    ['/config', { max_coin_coeff: -0.5 }, '/max_coin_coeff'],
    ['/config', { maximum: 1 }, '/maximum'],
  ])('%s is not described by %j', async (path, body, pointer) => {
    const answer = await doors.call('PUT', path, { body });
    expect(answer.status).toBe(422);
    const errors = answer.body['errors'] as unknown as { pointer: string }[];
    expect(errors.map((error) => error.pointer)).toContain(pointer);
  });
});

describe('the list of assignments', () => {
  test('goes by executor and state, through live and past ones, by cursor', async () => {
    const executor = await doors.register();
    const placed = Array.from({ length: 5 }, () => orders.place());
    for (const { id } of placed) {
      await doors.assign(id, executor);
      await doors.assign(id, executor);
    }
    await doors.cancel(placed[0]?.id as string);
    const seen: string[] = [];
    let cursor = '';
    for (let page = 0; page < 5; page++) {
      const path = `/assignments?executor_id=${executor}&page_size=3${cursor}`;
      const { body } = await doors.call('GET', path);
      expect(body['total']).toBe(10);
      const rows = body['assignments'] as unknown as { order_id: string; epoch: number }[];
      seen.push(...rows.map((row) => `${row.order_id} ${row.epoch}`));
      if (body['next_cursor'] === null) break;
      cursor = `&cursor=${String(body['next_cursor'])}`;
    }
    expect(seen).toHaveLength(10);
    expect(new Set(seen).size).toBe(10);
    const count = async (state: string) =>
      (await doors.call('GET', `/assignments?executor_id=${executor}&state=${state}`)).body[
        'total'
      ];
    expect([await count('assigned'), await count('REPLACED'), await count('Cancelled')]).toEqual([
      4, 5, 1,
    ]);
    expect((await doors.call('GET', '/assignments?state=lost')).status).toBe(422);
    expect((await doors.call('GET', `/assignments?cursor=${cursor.slice(8)}`)).status).toBe(422);
  });
});
