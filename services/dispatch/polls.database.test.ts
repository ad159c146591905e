/** Polls over real connections, where the empty answer takes a shortcut past the framework. */
import { beforeAll, describe, expect, test } from 'vitest';
import { connectOwner } from '@waybill/kit/bus/postgres.ts';
import { newId } from '@waybill/kit/ids.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { registry } from '@waybill/kit/telemetry.ts';
import { createStandInOrders, dispatchDoors } from '../../tests/support/dispatch.ts';
import { operator, someone, startServices, type Running } from '../../tests/support/service.ts';
import { dispatch } from './index.ts';

const orders = createStandInOrders();
let running: Running;
let doors: ReturnType<typeof dispatchDoors>;

beforeAll(async () => {
  running = await startServices([dispatch, orders.service]);
  doors = dispatchDoors(running);
});

function poll(executor: string, as: Identity | null = operator, init: RequestInit = {}) {
  const identity = as === null ? {} : { 'waybill-identity': running.sign(as, 'dispatch') };
  return fetch(`${running.process.url}/api/v1/dispatch/executors/${executor}/acquire`, {
    ...init,
    method: 'POST',
    headers: { ...identity, ...(init.headers as Record<string, string>) },
  });
}

async function answered(): Promise<number> {
  const text = await registry.getSingleMetricAsString('waybill_http_request_duration_seconds');
  const line = /_count\{.*acquire.*status="204".*\} (\d+)/.exec(text);
  return Number(line?.[1] ?? 0);
}

describe('a poll for nothing', () => {
  test('is answered like every other request, and counted', async () => {
    const before = await answered();
    const reply = await poll('nobody', operator, { headers: { 'x-request-id': 'abc-1' } });
    expect([reply.status, await reply.text()]).toEqual([204, '']);
    expect(reply.headers.get('x-request-id')).toBe('abc-1');
    expect(reply.headers.get('x-content-type-options')).toBe('nosniff');
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThanOrEqual(48);
    expect(await answered()).toBe(before + 1);
  });

  test('is answered over one connection as often as it is asked, in order', async () => {
    const ids = Array.from({ length: 200 }, (_, index) => `request-${index}`);
    const told = await Promise.all(
      ids.map(async (id) => {
        const reply = await poll('nobody', operator, { headers: { 'x-request-id': id } });
        return reply.headers.get('x-request-id');
      }),
    );
    expect(told).toEqual(ids);
  });

  test('is refused to whom it is not for, as ever', async () => {
    const other = { ...someone('ada', 'executor'), executorId: 'other' };
    expect((await poll('nobody', other)).status).toBe(404);
    expect((await poll('other', other)).status).toBe(204);
    expect((await poll('nobody', someone('eve'))).status).toBe(403);
    expect((await poll('nobody', null)).status).toBe(401);
    expect((await poll('nobody', null, { headers: { 'waybill-identity': 'x.y' } })).status).toBe(
      401,
    );
    const elsewhere = { 'waybill-identity': running.sign(operator, 'orders') };
    expect((await poll('nobody', null, { headers: elsewhere })).status).toBe(401);
  });

  test.each([
    ['%C3%A9milie', 204],
    ['.', 404],
    ['..', 404],
    ['a%00b', 400],
    ['%20', 400],
    ['x'.repeat(128), 204],
    ['x'.repeat(129), 400],
    ["a'--", 204],
    ['a"},{"b', 204],
    ['a%5Cb', 204],
  ])('of the executor %s is answered with %d', async (executor, status) => {
    expect((await poll(executor)).status).toBe(status);
  });

  test('with a body, a query or a key goes the usual way', async () => {
    const json = { 'content-type': 'application/json' };
    expect((await poll('nobody', operator, { body: '{', headers: json })).status).toBe(400);
    expect((await poll('nobody', operator, { body: 'x' })).status).toBe(415);
    const bad = { 'idempotency-key': 'white space' };
    expect((await poll('nobody', operator, { headers: bad })).status).toBe(400);
    const reply = await fetch(
      `${running.process.url}/api/v1/dispatch/executors/nobody/acquire?colour=red`,
      { method: 'POST', headers: { 'waybill-identity': running.sign(operator, 'dispatch') } },
    );
    expect(reply.status).toBe(422);
  });
});

test('a poll for something gets it, once', async () => {
  const executor = await doors.register(`executor-${newId()}`);
  const { id } = orders.place();
  await doors.assign(id, executor);
  const replies = await Promise.all(Array.from({ length: 20 }, () => poll(executor)));
  const bodies = await Promise.all(replies.map((reply) => reply.json()));
  expect(new Set(bodies.map((body) => (body as { order_id: string }).order_id))).toEqual(
    new Set([id]),
  );
});

test('an executor whose lock a stopped process holds keeps nobody else from an order', async () => {
  for (const executor of ['held', 'free']) {
    await doors.register(executor);
    await doors.assign(orders.place().id, executor);
  }
  const holder = await connectOwner(running.databaseUrl);
  await holder.query(`begin`);
  await holder.query(`select pg_advisory_xact_lock(hashtextextended('held', 1))`);
  const [held, free] = await Promise.all([poll('held'), poll('free')]);
  await holder.query('rollback');
  await holder.end();
  expect([held.status, free.status]).toEqual([503, 200]);
  expect((await poll('held')).status).toBe(200);
});
