import { afterEach, expect, test } from 'vitest';
import type { Database } from './db.ts';
import { mountHealth } from './health.ts';
import { createServer } from './http.ts';
import { openIdentitySigner } from './identity.ts';
import { openLogger } from './logger.ts';
import type { Service } from './service.ts';

const apps: { close(): Promise<unknown> }[] = [];
afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));

/** A process whose database answers as it is told, and counts. */
async function start(query: () => Promise<unknown>, metricsToken?: string) {
  const asked = { count: 0 };
  const db = {
    query: () => {
      asked.count++;
      return query();
    },
  } as unknown as Database;
  const app = createServer(openLogger('silent'));
  apps.push(app);
  const signer = openIdentitySigner(Buffer.alloc(32));
  const checked = { service: { name: 'orders' } as Service, db, bus: undefined };
  const platform = { authMode: 'jwt', metricsToken } as never;
  mountHealth(app, metricsToken === undefined ? [checked] : [], platform, signer).ready = true;
  await app.ready();
  const get = async (url: string, headers = {}) => {
    const reply = await app.inject({ method: 'GET', url, headers });
    return { status: reply.statusCode, text: reply.payload };
  };
  return { get, asked };
}

test('a flood of questions is one statement, and a second later another', async () => {
  const { get, asked } = await start(async () => []);
  const paths = ['/health', '/readyz'].flatMap((path) => Array<string>(50).fill(path));
  const answers = await Promise.all(paths.map((path) => get(path)));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(asked.count).toBe(1);
  const later = async () => (await get('/health')) && asked.count;
  await expect.poll(later, { timeout: 5000 }).toBe(2);
});

test('what is ill is told within a second or so, and what is well again as well', async () => {
  let ill = false;
  const { get } = await start(async () => {
    if (ill) throw new Error('the database is away');
    return [];
  });
  expect((await get('/readyz')).status).toBe(200);
  ill = true;
  await expect.poll(async () => (await get('/readyz')).status, { timeout: 3000 }).toBe(503);
  expect((await get('/health')).text).toContain('"orders.database":"unavailable"');
  ill = false;
  await expect.poll(async () => (await get('/readyz')).status, { timeout: 3000 }).toBe(200);
});

test('metrics are for who has the whole token', async () => {
  const { get } = await start(async () => [], 'prometheus');
  const status = async (authorization?: string) =>
    (await get('/metrics', authorization === undefined ? {} : { authorization })).status;
  expect(await status('Bearer prometheus')).toBe(200);
  for (const wrong of ['Bearer prometheuS', 'Bearer prometheus ', 'Bearer ', 'prometheus', ''])
    expect(await status(wrong), wrong).toBe(401);
  expect(await status()).toBe(401);
});
