import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, test } from 'vitest';
import { epochMs } from '@waybill/kit/clock.ts';
import { canRun, findRedis, startPrivateRedis } from '../../tests/bus/servers.ts';
import { openMemoryCache } from './providers/memory.ts';
import { openSourceCache } from './source-cache.ts';

const program = findRedis();

describe.each(['memory', 'redis'])('answers kept in %s', (engine) => {
  const here = engine === 'memory' || canRun('the source cache in Redis', program, 'redis-server');
  describe.skipIf(!here)('if it is here', () => {
    const opening = open();
    afterAll(async () => (await opening).end());

    async function open() {
      if (engine === 'memory' || !here) return { url: 'memory:', end: async () => {} };
      const server = await startPrivateRedis();
      return { url: server.url, end: () => server.stop() };
    }

    test('are there until they are too old', async () => {
      const { url } = await opening;
      const cache = openSourceCache(url, () => {});
      const entry = { data: { coin_coeff: 1.5 }, at: epochMs() };
      await expect
        .poll(async () => {
          await cache.set('zone', entry, 60_000);
          return cache.get('zone');
        })
        .toEqual(entry);
      expect(await cache.get('another')).toBeUndefined();
      await cache.drop('zone');
      expect(await cache.get('zone')).toBeUndefined();
      await cache.set('short', { ...entry, at: epochMs() }, 30);
      await pause(60);
      expect(await cache.get('short')).toBeUndefined();
      await cache.close();
    });
  });
});

test.skipIf(!canRun('the source cache in Redis', program, 'redis-server'))(
  'what others wrote into Redis is there only if it can be an answer',
  async () => {
    const server = await startPrivateRedis();
    const writer = new Redis(server.url);
    const cache = openSourceCache(server.url, () => {});
    await expect
      .poll(async () => {
        await cache.set('good', { data: {}, at: 1 }, 60_000);
        return cache.get('good');
      })
      .toEqual({ data: {}, at: 1 });
    for (const text of ['{', 'null', '5', '{"data":{}}', '{"at":1,"data":{"a":"\\u0000"}}']) {
      await writer.set('waybill:source:bad', text);
      expect(await cache.get('bad')).toBeUndefined();
    }
    await cache.close();
    writer.disconnect();
    await server.stop();
  },
);

test('memory is bounded: the longest kept goes first', async () => {
  const cache = openMemoryCache(2);
  const entry = { data: {}, at: epochMs() };
  for (const key of ['a', 'b', 'a', 'c']) await cache.set(key, entry, 60_000);
  expect([await cache.get('a'), await cache.get('b'), await cache.get('c')]).toEqual([
    entry,
    undefined,
    entry,
  ]);
});

test('a Redis that is away knows nothing, keeps nothing, and fails nobody', async () => {
  const reasons: string[] = [];
  const cache = openSourceCache('redis://127.0.0.1:1', (reason) => reasons.push(reason));
  await cache.set('zone', { data: {}, at: epochMs() }, 1000);
  expect(await cache.get('zone')).toBeUndefined();
  await expect.poll(() => reasons.length).toBeGreaterThan(0);
  await cache.close();
});
