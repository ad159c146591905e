/** Where an assignment gets what it must know: the five sources over HTTP, failing one by one. */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { monotonicMs } from '@waybill/kit/clock.ts';
import { newId } from '@waybill/kit/ids.ts';
import { startSources, type SandboxSources } from '@waybill/sandbox/sources.ts';
import { queryRows } from '../../tests/support/database.ts';
import { createStandInOrders, dispatchDoors } from '../../tests/support/dispatch.ts';
import { startServices, type Running } from '../../tests/support/service.ts';
import { dispatch } from './index.ts';

const SECRET = 'a secret of the sources';
let sources: SandboxSources;

beforeAll(async () => {
  sources = await startSources({ host: '127.0.0.1', port: 0, secret: SECRET });
});
afterAll(() => sources.close());

const headers = { 'content-type': 'application/json', 'x-sandbox-secret': SECRET };

function control(source: string, change: object) {
  const body = JSON.stringify({ source, ...change });
  return fetch(`${sources.url}/control`, { method: 'POST', headers, body });
}

async function callsOf(source: string): Promise<number> {
  const reply = await fetch(`${sources.url}/control`, { headers });
  const { sources: all } = (await reply.json()) as { sources: Record<string, { calls: number }> };
  return all[source]?.calls as number;
}

const NAMES = [
  'general_order_info',
  'executor_profile',
  'zone_info',
  'assign_order_configs',
  'toll_roads_info',
];

beforeEach(async () => {
  for (const source of NAMES) await control(source, { mode: 'up', latency_ms: 0, answer: null });
});

type Changes = Readonly<Record<string, object>>;

function describeSources(changes: Changes = {}): string {
  const paths: Record<string, string> = {
    general_order_info: '/orders/{order_id}',
    executor_profile: '/executors/{executor_id}',
    zone_info: '/zones/{zone_id}',
    assign_order_configs: '/configs',
    toll_roads_info: '/toll-roads/{zone_name}',
  };
  return JSON.stringify(
    Object.fromEntries(
      NAMES.map((name) => [name, { url: sources.url + paths[name], ...changes[name] }]),
    ),
  );
}

/** Dispatch with these sources; each with breakers and a cache of its own. */
async function start(changes: Changes = {}, more: Readonly<Record<string, string>> = {}) {
  const running: Running = await startServices([dispatch, createStandInOrders().service], {
    DISPATCH_SOURCES: describeSources(changes),
    ...more,
  });
  onTestFinished(running.stop);
  const doors = dispatchDoors(running);
  return { running, assign: (orderId: string = newId()) => doors.assign(orderId, 'e-1'), doors };
}

test('the example of the sources costs 307.92', async () => {
  const { assign } = await start();
  const { status, body } = await assign();
  expect([status, body['cost'], body['currency']]).toEqual([201, 307.92, 'USD']);
});

test('what they do not know is refused as what it is', async () => {
  const { assign, doors } = await start();
  expect((await assign('unknown-1')).body['code']).toBe('unknown_order');
  expect((await doors.assign(newId(), 'unknown-1')).body['code']).toBe('unknown_executor');
  await control('general_order_info', { answer: { zone_id: 'unknown-zone' } });
  expect((await assign()).status).toBe(503);
});

describe('a critical source', () => {
  test.each([
    ['general_order_info', 'down'],
    ['executor_profile', 'error'],
    ['toll_roads_info', 'down'],
  ])('%s that is %s fails the assignment, and nothing is stored', async (source, mode) => {
    const { assign, doors } = await start({ [source]: { default: usable(source) } });
    const orderId = newId();
    await control(source, { mode });
    const { status, body, headers: told } = await assign(orderId);
    expect([status, body['code']]).toEqual([503, 'temporarily_unavailable']);
    expect(told['retry-after']).toBeDefined();
    expect((await doors.read(orderId)).status).toBe(404);
  });

  test('is asked every time, together by those who ask at once', async () => {
    const { assign } = await start();
    const before = await callsOf('toll_roads_info');
    await assign();
    await assign();
    expect(await callsOf('toll_roads_info')).toBe(before + 2);
    await control('toll_roads_info', { latency_ms: 100 });
    await Promise.all(Array.from({ length: 5 }, () => assign()));
    expect(await callsOf('toll_roads_info')).toBeLessThan(before + 5);
  });
});

function usable(source: string): object {
  if (source === 'executor_profile') return { executor_id: 'e' };
  if (source === 'toll_roads_info') return { bonus_amount: 0 };
  return { order_id: 'o', base_amount: 1, currency: 'USD' };
}

describe('a source that is kept', () => {
  test('is served without a call while it is fresh', async () => {
    const { assign } = await start();
    const before = await callsOf('zone_info');
    for (let turn = 0; turn < 3; turn++) expect((await assign()).status).toBe(201);
    expect(await callsOf('zone_info')).toBe(before + 1);
    await control('zone_info', { mode: 'down' });
    expect((await assign()).body['cost']).toBe(307.92);
    expect(await callsOf('zone_info')).toBe(before + 1);
  });

  test('that is older is asked again, and served when the call fails', async () => {
    const zone = { ttl_seconds: 0.05, max_stale_seconds: 60 };
    const { assign, doors } = await start({ zone_info: zone });
    const before = await callsOf('zone_info');
    await assign();
    await pause(60);
    await assign();
    expect(await callsOf('zone_info')).toBe(before + 2);
    await pause(60);
    await control('zone_info', { mode: 'down' });
    const orderId = newId();
    expect((await assign(orderId)).body['cost']).toBe(307.92);
    expect(await callsOf('zone_info')).toBe(before + 3);
    const { body } = await doors.acquire('e-1', '?next=true');
    expect(body['sources']).toMatchObject({ general_order_info: { origin: 'call' } });
  });

  test('that is too old is refused, unless it has a default', async () => {
    const zone = { ttl_seconds: 0.05, max_stale_seconds: 0.05 };
    const strict = await start({ zone_info: zone });
    const lenient = await start({
      zone_info: { ...zone, default: { coin_coeff: 1, display_name: 'Any' } },
    });
    await strict.assign();
    await lenient.assign();
    await pause(120);
    await control('zone_info', { mode: 'error' });
    expect((await strict.assign()).status).toBe(503);
    expect((await lenient.assign()).body['cost']).toBe(304.4);
  });

  test('is asked for anew while the Redis that keeps it is away', async () => {
    const { assign } = await start({}, { DISPATCH_CACHE_URL: 'redis://127.0.0.1:1' });
    const before = await callsOf('zone_info');
    await assign();
    expect((await assign()).status).toBe(201);
    expect(await callsOf('zone_info')).toBe(before + 2);
  });
});

describe('all of them', () => {
  test('have two seconds together, also when one hangs', async () => {
    const slow = { timeout_ms: 5000 };
    const { assign } = await start({ general_order_info: slow });
    await control('general_order_info', { mode: 'hang' });
    const begunMs = monotonicMs();
    expect((await assign()).status).toBe(503);
    expect(monotonicMs() - begunMs).toBeLessThan(4500);
  });

  test('are asked side by side, as far as they do not need each other', async () => {
    const { assign } = await start();
    for (const source of NAMES) await control(source, { latency_ms: 450 });
    const begunMs = monotonicMs();
    expect((await assign()).status).toBe(201);
    // Order, then zone, then tolls: three in a row. All five would be more than two seconds.
    expect(monotonicMs() - begunMs).toBeGreaterThan(1340);
  });

  test('are left alone while they keep failing, each for itself', async () => {
    const { assign } = await start();
    await control('executor_profile', { mode: 'error' });
    for (let turn = 0; turn < 5; turn++) await assign();
    const before = await callsOf('executor_profile');
    expect((await assign()).status).toBe(503);
    expect(await callsOf('executor_profile')).toBe(before);
  });

  test('are believed only when their answer makes sense', async () => {
    const { assign } = await start();
    for (const answer of [{ base_amount: -1 }, { base_amount: 'many' }, { currency: 'XXX' }]) {
      await control('general_order_info', { answer });
      expect((await assign()).status).toBe(503);
    }
  });
});

test('what cannot be stored is no answer, and fails its own assignment alone', async () => {
  const { doors, running } = await start();
  const bad = [
    { note: { of: ['a\u0000b'] } },
    { note: '\ud800' },
    { order_id: 'a/b' },
    { order_id: 'x'.repeat(129) },
  ];
  for (const answer of bad) {
    await control('general_order_info', { answer });
    const assignments = [newId(), newId()].map((id) => ({ order_id: id, executor_id: 'e-1' }));
    const { status, body } = await doors.call('POST', '/assignments/bulk', {
      body: { assignments },
    });
    const results = body['results'] as unknown as { status: number; code: string }[];
    expect([status, ...results.map((one) => one.status)]).toEqual([200, 503, 503]);
  }
  expect(await queryRows(running.databaseUrl, 'select from dispatch.assignments')).toEqual([]);
});

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
