import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startSources } from './sources.ts';
import type { SandboxSources } from './sources.ts';

const SECRET = 'a secret of the sources';
let sources: SandboxSources;

beforeAll(async () => {
  sources = await startSources({ host: '127.0.0.1', port: 0, secret: SECRET });
});
afterAll(() => sources.close());

const get = (path: string, init: RequestInit = {}) => fetch(sources.url + path, init);
const body = async (path: string) => (await get(path)).json();

function control(change: object, secret = SECRET) {
  return get('/control', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-sandbox-secret': secret },
    body: JSON.stringify(change),
  });
}

async function callsOf(source: string) {
  const reply = await get('/control', { headers: { 'x-sandbox-secret': SECRET } });
  const { sources: all } = (await reply.json()) as { sources: Record<string, { calls: number }> };
  return all[source]?.calls;
}

test('each answers what an assignment asks it', async () => {
  expect(await body('/orders/o-1')).toMatchObject({ order_id: 'o-1', base_amount: 4.4 });
  expect(await body('/executors/e-1')).toMatchObject({ executor_id: 'e-1' });
  expect(await body('/zones/zone-1')).toMatchObject({ coin_coeff: 42.2 });
  expect(await body('/configs')).toEqual({ max_coin_coeff: 1.8 });
  expect(await body('/toll-roads/Zone%20zone-1')).toEqual({ bonus_amount: 300 });
  expect((await get('/orders/unknown-1')).status).toBe(404);
});

describe('one of them', () => {
  test('counts its calls', async () => {
    const before = (await callsOf('zone_info')) ?? 0;
    await body('/zones/a');
    await body('/zones/b');
    expect(await callsOf('zone_info')).toBe(before + 2);
  });

  test('fails when it is told to, and the others do not', async () => {
    await control({ source: 'zone_info', mode: 'error' });
    expect((await get('/zones/a')).status).toBe(500);
    await control({ source: 'zone_info', mode: 'down' });
    await expect(get('/zones/a')).rejects.toThrow('fetch failed');
    await control({ source: 'zone_info', mode: 'hang' });
    await expect(get('/zones/a', { signal: AbortSignal.timeout(100) })).rejects.toThrow('timeout');
    expect((await get('/configs')).status).toBe(200);
    await control({ source: 'zone_info', mode: 'up' });
    expect((await get('/zones/a')).status).toBe(200);
  });

  test('says what it is told to', async () => {
    await control({ source: 'assign_order_configs', answer: { max_coin_coeff: 2 } });
    expect(await body('/configs')).toEqual({ max_coin_coeff: 2 });
    await control({ source: 'assign_order_configs', answer: null });
    expect(await body('/configs')).toEqual({ max_coin_coeff: 1.8 });
  });
});

test('the control wants the secret and knows its sources', async () => {
  expect((await control({ source: 'zone_info' }, 'wrong')).status).toBe(401);
  expect((await get('/control')).status).toBe(401);
  expect((await control({ source: 'weather', mode: 'down' })).status).toBe(422);
});
