/** Dispatch through its routes, on PostgreSQL; orders say what they are told to. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { createStandInOrders, dispatchDoors } from '../../tests/support/dispatch.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { dispatch } from './index.ts';

const orders = createStandInOrders();
let running: Running;
let doors: ReturnType<typeof dispatchDoors>;

beforeAll(async () => {
  running = await startServices([dispatch, orders.service]);
  doors = dispatchDoors(running);
});

const minute = 60_000;
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

describe('an assignment', () => {
  test('is priced, stored and told', async () => {
    const executor = await doors.register();
    const order = orders.place();
    const { status, body } = await doors.assign(order.id, executor);
    expect(status).toBe(201);
    expect(body).toMatchObject({
      order_id: order.id,
      number: order.number,
      executor_id: executor,
      cost: 4.4,
      currency: 'USD',
      state: 'ASSIGNED',
      epoch: 1,
      version: 1,
      acquired_at: null,
      replaces: null,
    });
    const { assigned_at: at, cancellable_until: until } = body as Record<string, string>;
    expect(Date.parse(until as string) - Date.parse(at as string)).toBe(10 * minute);
    expect((await doors.read(order.id)).body).toEqual(body);
    expect(await events(order.id)).toEqual(['CREATED']);
  });

  test('costs 4.40 × min(42.2, 1.8) + 300 = 307.92, line by line', async () => {
    const zone = `zone-${newId()}`;
    const zoneBody = { display_name: 'Centre', coin_coeff: 42.2, bonus_amount: 300 };
    await doors.call('PUT', `/zones/${zone}`, { body: zoneBody });
    await doors.call('PUT', '/config', { body: { max_coin_coeff: 1.8 } });
    const executor = await doors.register(undefined, { zone_id: zone });
    const { body } = await doors.assign(orders.place().id, executor);
    expect(body['cost']).toBe(307.92);
    const lines = body['cost_breakdown'] as unknown as { line: string; amount: number }[];
    expect(lines.map(({ line, amount }) => [line, amount])).toEqual([
      ['base', 4.4],
      ['coefficient', 3.52],
      ['bonus', 300],
    ]);
  });

  test('of an unknown order or executor there is none', async () => {
    const executor = await doors.register();
    for (const unknown of [newId(), 'no-order', '12345'])
      expect(codeOf(await doors.assign(unknown, executor))).toEqual([404, 'unknown_order']);
    const { id } = orders.place();
    expect(codeOf(await doors.assign(id, 'nobody'))).toEqual([422, 'unknown_executor']);
    expect((await doors.read(id)).status).toBe(404);
  });

  test.each(['CANCELLED', 'DELIVERED', 'COMPLETED', 'RETURNED', 'PAYMENT_FAILED'])(
    'of an order that is %s there is none',
    async (status) => {
      const executor = await doors.register();
      const answer = await doors.assign(orders.place({ status }).id, executor);
      expect(codeOf(answer)).toEqual([409, 'order_finished']);
    },
  );

  test('is not stored when orders are down', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    orders.down(true);
    const answer = await doors.assign(id, executor);
    orders.down(false);
    expect(codeOf(answer)).toEqual([503, 'temporarily_unavailable']);
    expect((await doors.read(id)).status).toBe(404);
  });

  test('replaces one that nobody has acquired, and keeps it among the past', async () => {
    const [one, two] = [await doors.register(), await doors.register()];
    const { id } = orders.place();
    await doors.assign(id, one);
    const again = await doors.assign(id, two);
    expect(again.status).toBe(201);
    expect(again.body).toMatchObject({ executor_id: two, epoch: 2, version: 2, replaces: one });
    expect((await doors.acquire(one)).status).toBe(204);
    expect((await doors.acquire(two)).body).toMatchObject({ order_id: id, epoch: 2 });
    const listed = await doors.call('GET', `/assignments?executor_id=${one}&state=replaced`);
    expect(listed.body['total']).toBe(1);
    expect(await events(id)).toEqual(['CREATED', 'REPLACED', 'ACQUIRED']);
  });

  test('under a key is one, however often it is asked for', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    const options = { headers: { 'idempotency-key': newId() } };
    const first = await doors.assign(id, executor, {}, options);
    orders.down(true);
    const again = await doors.assign(id, executor, {}, options);
    orders.down(false);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect([again.status, again.body]).toEqual([201, first.body]);
    const other = await doors.assign(orders.place().id, executor, {}, options);
    expect(codeOf(other)).toEqual([422, 'idempotency_key_reused']);
  });
});

describe('acquiring', () => {
  test('gives the order with what is known of it, and shuts out cancel and reassign', async () => {
    const [executor, other] = [await doors.register(), await doors.register()];
    const order = orders.place();
    await doors.assign(order.id, executor);
    const { status, body } = await doors.acquire(executor);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      order_id: order.id,
      number: order.number,
      executor_id: executor,
      epoch: 1,
      cost: 4.4,
      currency: 'USD',
      order: { order_id: order.id, address: '1 Main Street' },
      sources: { executor_profile: { origin: 'call', data: { executor_id: executor } } },
    });
    expect(codeOf(await doors.cancel(order.id))).toEqual([409, 'already_acquired']);
    expect(codeOf(await doors.reassign(order.id, other))).toEqual([409, 'already_acquired']);
    expect(codeOf(await doors.assign(order.id, other))).toEqual([409, 'already_acquired']);
    expect(await events(order.id)).toEqual(['CREATED', 'ACQUIRED']);
  });

  test('gives nothing to whom nothing is assigned, also to nobody who was registered', async () => {
    const answer = await doors.acquire('never-heard-of');
    expect(answer.status).toBe(204);
    const hint = Number(answer.headers['retry-after']);
    expect(hint).toBeGreaterThanOrEqual(48);
    expect(hint).toBeLessThanOrEqual(72);
    const hints = new Set<unknown>();
    for (let turn = 0; turn < 50; turn++)
      hints.add((await doors.acquire('never-heard-of')).headers['retry-after']);
    expect(hints.size).toBeGreaterThan(5);
  });

  test('goes by age: the oldest assignment first', async () => {
    const executor = await doors.register();
    const [one, two, three] = [orders.place(), orders.place(), orders.place()];
    for (const order of [one, two, three]) await doors.assign(order.id, executor);
    await doors.age(three.id, '1 minute');
    const got: unknown[] = [];
    for (let turn = 0; turn < 3; turn++)
      got.push((await doors.acquire(executor, '?next=true')).body['order_id']);
    expect(got).toEqual([three.id, one.id, two.id]);
    expect((await doors.acquire(executor, '?next=true')).status).toBe(204);
  });

  test('again within 5 s gives the same; later, or with next=true, another', async () => {
    const executor = await doors.register();
    const [one, two, three] = [orders.place(), orders.place(), orders.place()];
    for (const order of [one, two, three]) await doors.assign(order.id, executor);
    const first = await doors.acquire(executor);
    const again = await doors.acquire(executor);
    expect(again.body).toEqual(first.body);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect((await doors.acquire(executor, '?next=true')).body['order_id']).toBe(two.id);
    await doors.age(one.id, '6 seconds');
    await doors.age(two.id, '6 seconds');
    expect((await doors.acquire(executor)).body['order_id']).toBe(three.id);
  });

  test('under a key is one order, also long after; without an order nothing is kept', async () => {
    const executor = await doors.register();
    const options = { headers: { 'idempotency-key': newId() } };
    expect((await doors.acquire(executor, '', options)).status).toBe(204);
    const [one, two] = [orders.place(), orders.place()];
    await doors.assign(one.id, executor);
    await doors.assign(two.id, executor);
    const first = await doors.acquire(executor, '', options);
    expect(first.body['order_id']).toBe(one.id);
    await doors.age(one.id, '1 hour');
    const again = await doors.acquire(executor, '?wait=1s', options);
    expect([again.status, again.body]).toEqual([200, first.body]);
    const other = { headers: { 'idempotency-key': newId() } };
    expect((await doors.acquire(executor, '', other)).body['order_id']).toBe(two.id);
  });

  test('under a key is that order also with next=true; another key is for another', async () => {
    const executor = await doors.register();
    const [one, two] = [orders.place(), orders.place()];
    for (const order of [one, two]) await doors.assign(order.id, executor);
    const key = () => ({ headers: { 'idempotency-key': newId() } });
    const [first, second] = [key(), key()];
    const got = await doors.acquire(executor, '?next=true', first);
    expect(got.body['order_id']).toBe(one.id);
    const again = await doors.acquire(executor, '?next=true', first);
    expect([again.headers['idempotent-replayed'], again.body]).toEqual(['true', got.body]);
    expect((await doors.acquire(executor, '', second)).body['order_id']).toBe(two.id);
    expect((await doors.acquire(executor, '', first)).body).toEqual(got.body);
  });

  test('at once and many times by one executor gives one order, by many one each', async () => {
    const executor = await doors.register();
    const placed = Array.from({ length: 5 }, () => orders.place());
    for (const order of placed) await doors.assign(order.id, executor);
    const same = await Promise.all(Array.from({ length: 20 }, () => doors.acquire(executor)));
    expect(new Set(same.map(({ body }) => body['order_id']))).toEqual(new Set([placed[0]?.id]));
    const rest = await Promise.all(
      Array.from({ length: 10 }, () => doors.acquire(executor, '?next=true')),
    );
    const given = rest.flatMap(({ status, body }) => (status === 200 ? [body['order_id']] : []));
    expect(given).toHaveLength(4);
    expect(new Set(given)).toEqual(new Set(placed.slice(1).map(({ id }) => id)));
  });

  test('goes on while the sources are down', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    await doors.assign(id, executor);
    orders.down(true);
    expect((await doors.acquire(executor)).body['order_id']).toBe(id);
    orders.down(false);
  });
});

describe('cancelling', () => {
  test('gives back what was removed, keeps it, and lets nobody acquire it', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    const made = await doors.assign(id, executor);
    const { status, body } = await doors.cancel(id);
    expect(status).toBe(200);
    const { state, version, ended_at, ...rest } = body as Record<string, unknown>;
    expect([state, version, typeof ended_at]).toEqual(['CANCELLED', 2, 'string']);
    expect(made.body).toMatchObject(rest);
    expect((await doors.acquire(executor)).status).toBe(204);
    expect((await doors.read(id)).body['state']).toBe('CANCELLED');
    expect(codeOf(await doors.cancel(id))).toEqual([404, 'assignment_not_found']);
    expect(codeOf(await doors.reassign(id, executor))).toEqual([404, 'assignment_not_found']);
  });

  test('is refused ten minutes after assigning, by the database’s clock', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    await doors.assign(id, executor);
    await doors.age(id, '9 minutes 50 seconds');
    expect((await doors.read(id)).body['state']).toBe('ASSIGNED');
    await doors.age(id, '10 seconds');
    expect(codeOf(await doors.cancel(id))).toEqual([409, 'cancel_window_closed']);
    await doors.reassign(id, executor);
    expect((await doors.cancel(id)).status).toBe(200);
  });

  test('of what was never assigned is refused', async () => {
    expect(codeOf(await doors.cancel(newId()))).toEqual([404, 'assignment_not_found']);
  });

  test('by many at once is done once', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    await doors.assign(id, executor);
    const answers = await Promise.all(Array.from({ length: 10 }, () => doors.cancel(id)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await events(id)).toEqual(['CREATED', 'CANCELLED']);
  });

  test('leaves the order free to be assigned again, under the next epoch', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    await doors.assign(id, executor);
    await doors.cancel(id);
    await doors.age(id, '2 minutes');
    await until(async () => {
      const rows = await queryRows(
        running.databaseUrl,
        'select from dispatch.assignments where order_id = $1',
        [id],
      );
      return rows.length === 0;
    });
    expect((await doors.read(id)).body).toMatchObject({ state: 'CANCELLED', epoch: 1 });
    const again = await doors.assign(id, executor);
    expect(again.body).toMatchObject({ epoch: 2, version: 3, replaces: null });
    expect(await events(id)).toEqual(['CREATED', 'CANCELLED', 'CREATED']);
  });
});

describe('an executor', () => {
  test('sees what is theirs alone', async () => {
    const [one, two] = [await doors.register(), await doors.register()];
    const { id } = orders.place();
    await doors.assign(id, one);
    const as = { ...someone('ada', 'executor'), executorId: two };
    const foreign = [
      await doors.acquire(one, '', { as }),
      await doors.call('GET', `/executors/${one}`, { as }),
      await doors.call('PUT', `/executors/${one}/location`, {
        as,
        body: { latitude: 1, longitude: 2 },
      }),
      await doors.call('GET', `/assignments/${id}`, { as }),
      await doors.call('GET', `/assignments?executor_id=${one}`, { as }),
      await doors.call('POST', `/executors/${one}/orders/${id}/delivered`, {
        as,
        body: { epoch: 1 },
      }),
    ];
    expect(foreign.map(({ status }) => status)).toEqual(foreign.map(() => 404));
    const nobody = someone('eve', 'executor');
    expect((await doors.acquire(one, '', { as: nobody })).status).toBe(404);
    const own = { as: { ...as, executorId: one } };
    const listed = await doors.call('GET', '/assignments', own);
    expect(listed.body['total']).toBe(1);
    expect((await doors.acquire(one, '', own)).body['order_id']).toBe(id);
    expect((await doors.assign(id, one, {}, own)).status).toBe(403);
  });
});

test('assigning, acquiring and reporting go on while the broker is down', async () => {
  const here = createStandInOrders();
  const alone = await startServices([dispatch, here.service], { BUS_URL: 'amqp://127.0.0.1:1' });
  const at = dispatchDoors(alone);
  const executor = await at.register();
  const { id } = here.place();
  expect((await at.assign(id, executor)).status).toBe(201);
  expect((await at.acquire(executor)).body['order_id']).toBe(id);
  expect((await at.report(executor, id, 'delivered', 1)).status).toBe(200);
  await alone.stop();
});
