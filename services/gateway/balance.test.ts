import { afterEach, expect, test } from 'vitest';
import { ask, mirror, start, stop, stopAll } from '../../tests/support/entrance.ts';
import {
  breaking,
  closeServers,
  dead,
  gatewayTo,
  orders,
  ordersPath,
  strange,
} from '../../tests/support/upstreams.ts';

const path = ordersPath;
const json = { 'content-type': 'application/json' };

afterEach(async () => {
  await stopAll();
  closeServers();
});

test('instances take turns', async () => {
  const all = await Promise.all(['one', 'two', 'three'].map((name) => orders(name)));
  const { url } = await gatewayTo(...all.map((one) => one.url));
  const counts: Record<string, number> = {};
  for (let count = 0; count < 9; count++) {
    const { instance } = (await ask(`${url}${path}`)).json;
    counts[instance] = (counts[instance] ?? 0) + 1;
  }
  expect(counts).toEqual({ one: 3, two: 3, three: 3 });
});

test('one that is down is passed over, also by POST, which never left', async () => {
  const gateway = await gatewayTo(await dead(), (await orders('one')).url, await dead());
  for (let count = 0; count < 6; count++) {
    const post = { method: 'POST', headers: json, body: `{"count":${count}}` };
    const { status, json: seen } = await ask(`${gateway.url}${path}`, post);
    expect([status, seen.instance, seen.body]).toEqual([200, 'one', { count }]);
  }
});

test('one that comes back is used again', async () => {
  const one = await orders('one');
  const two = await orders('two');
  const { url } = await gatewayTo(one.url, two.url);
  const seen = async () => (await ask(`${url}${path}`)).json.instance;
  await stop(one);
  for (let count = 0; count < 4; count++) expect(await seen()).toBe('two');
  await start([mirror({ name: 'orders', path, instance: 'one again' })], {
    PORT: String(one.port),
  });
  await expect.poll(seen, { timeout: 5000 }).toBe('one again');
});

test('all down: 503 as a problem with Retry-After, at once', async () => {
  const { url } = await gatewayTo(await dead(), await dead());
  for (let count = 0; count < 3; count++) {
    const { status, headers, json: told } = await ask(`${url}${path}`);
    expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    expect(headers.get('content-type')).toContain('application/problem+json');
    expect(told.code).toBe('temporarily_unavailable');
    expect(told.detail).not.toMatch(/ECONN|127\.0\.0\.1|undici/);
  }
  expect((await ask(`${url}/api/v1/payments`)).status).toBe(503);
  expect((await ask(`${url}/health`)).status).toBe(200);
});

test('a POST that may have arrived is not sent again, unless it has a key', async () => {
  const broken = await breaking();
  const { url } = await gatewayTo(broken.url);
  const post = { method: 'POST', headers: json, body: '{}' };
  expect((await ask(`${url}${path}`, post)).status).toBe(503);
  expect(broken.seen()).toBe(1);
  const keyed = { ...post, headers: { ...json, 'idempotency-key': 'k' } };
  expect((await ask(`${url}${path}`, keyed)).status).toBe(503);
  expect(broken.seen()).toBe(4);
  expect((await ask(`${url}${path}`)).status).toBe(503);
  expect(broken.seen()).toBe(7);
});

test('a repeatable request that breaks is answered by the next instance', async () => {
  const broken = await breaking();
  const { url } = await gatewayTo(broken.url, (await orders('one')).url);
  for (let count = 0; count < 4; count++) {
    const { status, json: seen } = await ask(`${url}${path}`);
    expect([status, seen.instance]).toEqual([200, 'one']);
  }
  expect(broken.seen()).toBeGreaterThan(0);
});

test('a small answer that breaks half-way is an outage, not half an answer', async () => {
  const upstream = await strange((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
    response.write('{"half":');
    setTimeout(() => response.destroy(), 20);
  });
  const { status, json: told } = await ask(`${(await gatewayTo(upstream)).url}${path}`);
  expect([status, told.code]).toEqual([503, 'temporarily_unavailable']);
});

test('a slow service is waited for; who hangs up ends its call there', async () => {
  const aborted = Promise.withResolvers<void>();
  const upstream = await strange((request, response) => {
    response.on('close', () => {
      if (!response.writableEnded) aborted.resolve();
    });
    if (request.url === path) setTimeout(() => response.end('{}'), 1500);
  });
  const { url } = await gatewayTo(upstream);
  expect((await ask(`${url}${path}`)).status).toBe(200);
  const hangUp = AbortSignal.timeout(200);
  await expect(fetch(`${url}${path}/never`, { signal: hangUp })).rejects.toThrow(/abort|timeout/i);
  await aborted.promise;
});
