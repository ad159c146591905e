import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ask, mirror, startGateway, stopAll } from '../../tests/support/entrance.ts';
import { callEcho, openTokenTools, type TokenTools } from '../../tests/support/tokens.ts';

const services = [mirror({ name: 'echo', path: '/api/v1/echo' })];

let dataDir: string;
let tools: TokenTools;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'waybill-keys-'));
  tools = await openTokenTools(dataDir);
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));
afterEach(stopAll);

const sign: TokenTools['sign'] = (...parts) => tools.sign(...parts);
const call = (token: string, url: string) => callEcho(url, token);

test('A11 limits are per subject, tell what is left, and refuse with a problem', async () => {
  const { url } = await startGateway(
    { AUTH_MODE: 'jwt', DATA_DIR: dataDir, RATE_LIMIT: '3' },
    services,
  );
  const [ada, bob] = [await sign({ sub: 'ada' }), await sign({ sub: 'bob' })];
  for (const left of [2, 1, 0]) {
    const { status, headers } = await call(ada, url);
    expect(status).toBe(200);
    expect(headers.get('ratelimit-policy')).toBe('"default";q=3;w=60');
    expect(headers.get('ratelimit')).toMatch(new RegExp(`^"default";r=${left};t=\\d+$`));
  }
  const refused = await ask(`${url}/api/v1/echo?x=1`, {
    headers: {
      authorization: `Bearer ${await sign({ sub: 'ada', jti: 'other' })}`,
      'x-forwarded-for': '9.9.9.9',
    },
  });
  expect([refused.status, refused.json.code]).toEqual([429, 'rate_limited']);
  expect(refused.headers.get('content-type')).toContain('application/problem+json');
  expect(refused.headers.get('ratelimit')).toMatch(/^"default";r=0;t=\d+$/);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await call(bob, url)).status).toBe(200);
});

test('A11 the anonymous are counted by address, whatever they claim; probes are free', async () => {
  const { url } = await startGateway({ AUTH_MODE: 'jwt', RATE_LIMIT: '5' }, services);
  const statuses: number[] = [];
  for (let count = 0; count < 7; count++) {
    const headers = { 'x-forwarded-for': `10.0.0.${count}` };
    statuses.push((await ask(`${url}/api/v1/echo/public/door?${count}`, { headers })).status);
  }
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
  expect((await fetch(`${url}/nothing`)).status).toBe(429);
  for (let count = 0; count < 7; count++) expect((await fetch(`${url}/livez`)).status).toBe(200);
});

test('limits stop those who send bad tokens, and let good ones through', async () => {
  const { url } = await startGateway(
    { AUTH_MODE: 'jwt', DATA_DIR: dataDir, RATE_LIMIT: '4' },
    services,
  );
  const good = await sign({ sub: 'ada' });
  expect((await call(good, url)).status).toBe(200);
  const statuses: number[] = [];
  for (let count = 0; count < 6; count++) statuses.push((await call(`a.b.${count}`, url)).status);
  expect(statuses).toEqual([401, 401, 401, 401, 429, 429]);
  expect((await call(good, url)).status).toBe(200);
  expect((await call(await sign({ sub: 'bob' }), url)).status).toBe(200);
});

test('polls have a limit of their own, which uses up nothing of the other', async () => {
  const path = '/api/v1/dispatch/executors/e-1/acquire';
  const { url } = await startGateway(
    { AUTH_MODE: 'jwt', DATA_DIR: dataDir, RATE_LIMIT: '2', RATE_LIMIT_POLLS: '3' },
    [mirror({ name: 'dispatch', path }), ...services],
  );
  const token = await sign({ sub: 'e-1', roles: ['customer'] });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const poll = (query = '') =>
    ask(`${url}${path}${query}`, { method: 'POST', headers, body: '{}' });
  for (const [left, query] of [
    [2, ''],
    [1, '?wait=1s'],
    [0, ''],
  ] as const) {
    const answer = await poll(query);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('ratelimit-policy')).toBe('"polls";q=3;w=60');
    expect(answer.headers.get('ratelimit')).toMatch(new RegExp(`^"polls";r=${left};t=\\d+$`));
  }
  const refused = await poll();
  expect([refused.status, refused.json.code]).toEqual([429, 'rate_limited']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  // Looking is no poll, and what looks like one somewhere else neither.
  const looked = await ask(url + path, { headers });
  expect(looked.headers.get('ratelimit')).toMatch(/^"default";r=1;/);
  const elsewhere = await ask(`${url}/api/v1/echo/acquire?a=${path}`, { headers });
  expect(elsewhere.headers.get('ratelimit')).toMatch(/^"default";r=0;/);
});
