/** Polls that wait: woken by what is assigned here or elsewhere, and by nothing else. */
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { monotonicMs } from '@waybill/kit/clock.ts';
import type { Queryable } from '@waybill/kit/db.ts';
import { queryRows } from '../../tests/support/database.ts';
import { createStandInOrders, dispatchDoors } from '../../tests/support/dispatch.ts';
import { operator, startServices, type Running } from '../../tests/support/service.ts';
import { dispatch } from './index.ts';
import { findFresh, NEVER } from './views.ts';

const orders = createStandInOrders();
let running: Running;
let doors: ReturnType<typeof dispatchDoors>;

beforeAll(async () => {
  running = await startServices([dispatch, orders.service]);
  doors = dispatchDoors(running);
});

/** What another process would leave in the database, which wakes nobody here. */
async function assignElsewhere(orderId: string, executor: string): Promise<void> {
  const other = await doors.register();
  await doors.assign(orderId, other);
  await queryRows(
    running.databaseUrl,
    `update dispatch.assignments set executor_id = $2, assigned_xid = pg_current_xact_id()
     where order_id = $1`,
    [orderId, executor],
  );
}

async function timed<T>(work: Promise<T>): Promise<{ result: T; tookMs: number }> {
  const begunMs = monotonicMs();
  const result = await work;
  return { result, tookMs: monotonicMs() - begunMs };
}

describe('a poll that waits', () => {
  test('is answered at once when there is something', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    await doors.assign(id, executor);
    const { result, tookMs } = await timed(doors.acquire(executor, '?wait=25s'));
    expect(result.body['order_id']).toBe(id);
    expect(tookMs).toBeLessThan(10_000);
  });

  test('is answered with nothing when its time is over', async () => {
    const { result, tookMs } = await timed(doors.acquire('waits-in-vain', '?wait=1s'));
    expect([result.status, result.headers['retry-after']]).toEqual([204, '1']);
    expect(tookMs).toBeGreaterThan(990);
    expect(tookMs).toBeLessThan(10_000);
  });

  test.each(['here', 'elsewhere'])('gets what is assigned %s because it is told', async (at) => {
    const executor = await doors.register();
    const { id } = orders.place();
    const poll = doors.acquire(executor, '?wait=25s');
    await pause(200);
    if (at === 'here') await doors.assign(id, executor);
    else await assignElsewhere(id, executor);
    const { result, tookMs } = await timed(poll);
    expect(result.body['order_id']).toBe(id);
    // Untold it would look again by itself five seconds after it came.
    expect(tookMs).toBeLessThan(3500);
  });

  test('is one of hundreds that hold no connection, and each gets what is its own', async () => {
    const executors = Array.from({ length: 300 }, (_, index) => `waiter-${index}`);
    for (const id of executors.slice(0, 10)) await doors.register(id);
    const polls = executors.map((id) => doors.acquire(id, '?wait=3s'));
    await pause(300);
    const load = await queryRows<{ count: string }>(
      running.databaseUrl,
      `select count(*) from pg_stat_activity
       where datname = current_database() and usename like '%dispatch' and state = 'active'`,
    );
    expect(Number(load[0]?.count)).toBeLessThan(10);
    const placed = new Map<string, string>();
    for (const id of executors.slice(0, 10)) {
      const order = orders.place();
      placed.set(id, order.id);
      await doors.assign(order.id, id);
    }
    const answers = await Promise.all(polls);
    for (const [index, { status, body }] of answers.entries()) {
      const wanted = placed.get(executors[index] as string);
      expect(status).toBe(wanted === undefined ? 204 : 200);
      expect(body['order_id']).toBe(wanted);
    }
  });

  test('whose caller hung up takes nothing', async () => {
    const executor = await doors.register();
    const { id } = orders.place();
    await hangUpAfter(300, executor);
    await pause(100);
    await doors.assign(id, executor);
    await pause(300);
    expect((await doors.read(id)).body['state']).toBe('ASSIGNED');
  });

  test.each(['26s', '1m', '-1s', '1.5s', '25', ''])('does not wait %s', async (wait) => {
    expect((await doors.acquire('anybody', `?wait=${wait}`)).status).toBe(422);
  });
});

/** Over a real connection, which is then closed. */
function hangUpAfter(ms: number, executor: string): Promise<void> {
  return new Promise((done) => {
    const poll = request(
      `${running.process.url}/api/v1/dispatch/executors/${executor}/acquire?wait=25s`,
      { method: 'POST', headers: { 'waybill-identity': running.sign(operator, 'dispatch') } },
    );
    poll.on('error', () => done());
    poll.end();
    setTimeout(() => poll.destroy(new Error('hangs up')), ms);
  });
}

test('what was assigned last is told first, a thousand at most, by its index', async () => {
  await queryRows(
    running.databaseUrl,
    `insert into dispatch.assignments (order_id, executor_id, state, epoch, version, cost_minor,
       currency, cost_breakdown, order_info, sources, assigned_xid)
     select 'fresh-' || n, 'fresh-' || n, 'ASSIGNED', 1, 1, 0, 'USD', '[]', '{}', '{}',
       (1000000000 + n)::text::xid8 from generate_series(1, 5000) n`,
    [],
  );
  await queryRows(running.databaseUrl, 'vacuum analyze dispatch.assignments', []);
  const [text] = await asked((db) => findFresh(db, '1000000000'));
  const rows = await queryRows<{ executor_id: string }>(running.databaseUrl, text as string, [
    '1000000000',
  ]);
  expect(rows).toHaveLength(1000);
  expect([rows[0]?.executor_id, rows[999]?.executor_id]).toEqual(['fresh-5000', 'fresh-4001']);
  for (const since of ['0', '1000000000', '1000004999', NEVER]) {
    const plan = await queryRows<Record<string, string>>(
      running.databaseUrl,
      `explain ${text as string}`,
      [since],
    );
    expect(plan.map((line) => line['QUERY PLAN']).join(' ')).toContain('using assignments_fresh');
  }
  await queryRows(running.databaseUrl, `delete from dispatch.assignments where epoch = 1`, []);
});

/** The statements that a view would make, for a database with one schema in its path. */
async function asked(view: (db: Queryable) => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  const query = async (text: string) => {
    texts.push(text.replaceAll('from assignments', 'from dispatch.assignments'));
    return [];
  };
  await view({ query } as unknown as Queryable);
  return texts;
}

test('a process that ends lets go of those who wait, with an answer', async () => {
  const ending = await startServices([dispatch, createStandInOrders().service], {
    DATABASE_URL: running.databaseUrl,
  });
  const headers = { 'waybill-identity': ending.sign(operator, 'dispatch') };
  const poll = fetch(`${ending.process.url}/api/v1/dispatch/executors/e/acquire?wait=25s`, {
    method: 'POST',
    headers,
  });
  await pause(300);
  const { tookMs } = await timed(ending.stop());
  const reply = await poll;
  expect([reply.status, reply.headers.get('retry-after')]).toEqual([204, '1']);
  expect(tookMs).toBeLessThan(5000);
});
