import { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openRedisBus } from '../../kit/bus/redis.ts';
import { outgoing, type Bus } from '../../kit/bus/port.ts';
import { makeEvents } from './consumers.ts';
import { busContract } from './contract.ts';
import { canRun, findRedis, startPrivateRedis, type PrivateServer } from './servers.ts';

const PARTITIONS = 3;

function recordingLog() {
  return { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
}

describe.skipIf(!canRun('the bus on Redis', findRedis(), 'redis-server'))('redis', () => {
  let server: PrivateServer;
  let direct: Redis;

  beforeAll(async () => {
    server = await startPrivateRedis();
    direct = new Redis(server.url, { protocol: 2 });
    direct.on('error', () => undefined);
  }, 30_000);

  afterAll(async () => {
    direct?.disconnect();
    await server?.stop();
  });

  const open = (
    more: { maxLength?: number; log?: ReturnType<typeof recordingLog> } = {},
  ): Promise<Bus> =>
    openRedisBus({ url: server.url, partitions: PARTITIONS, log: recordingLog(), ...more });

  busContract('redis', open, {
    elsewhere: () => ({
      module: new URL('../../kit/bus/redis.ts', import.meta.url).href,
      open: 'openRedisBus',
      options: { url: server.url, partitions: PARTITIONS },
    }),
    kill: () => server.kill9(),
    restart: () => server.restart(),
    wipe: () => server.wipe(),
    drop: async () => void (await direct.flushall()),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
  });

  it('puts a message that is no event aside and goes on', async () => {
    const log = recordingLog();
    const bus = await open({ log });
    try {
      await bus.declare('strange', ['reader']);
      await direct.xadd('waybill:strange:0', '*', 'event', '{"id":');
      await direct.xadd('waybill:strange:0', '*', 'other', 'field');
      const [event] = makeEvents('strange', 1, 1, 'key');
      await direct.xadd('waybill:strange:0', '*', 'event', JSON.stringify(event));
      const positions: number[] = [];
      const stop = await bus.subscribe(
        { topic: 'strange', group: 'reader', partition: 0, after: 0, batchSize: 2 },
        async (events) => void positions.push(...events.map(({ position }) => position)),
      );
      await vi.waitFor(() => expect(positions).toEqual([1]), 10_000);
      await stop();
      expect(log.error).toHaveBeenCalledTimes(2);
      expect(await direct.xlen('waybill:dead')).toBe(2);
      expect((await direct.xpending('waybill:strange:0', 'reader'))[0]).toBe(0);
    } finally {
      await bus.close();
    }
  });

  it('trims what every group has acknowledged, and nothing else', { timeout: 60_000 }, async () => {
    const bus = await open();
    const topic = 'trimmed';
    const streams = [0, 1, 2].map((partition) => `waybill:${topic}:${partition}`);
    const length = async () => {
      const lengths = await Promise.all(streams.map((stream) => direct.xlen(stream)));
      return lengths.reduce((total, one) => total + one, 0);
    };
    const drain = async (group: string, wanted: number) => {
      const seen = new Set<number>();
      const stops = await Promise.all(
        streams.map((_, partition) =>
          bus.subscribe({ topic, group, partition, after: 0, batchSize: 500 }, async (events) => {
            for (const { position } of events) seen.add(position);
          }),
        ),
      );
      await vi.waitFor(() => expect(seen.size).toBe(wanted), 20_000);
      await Promise.all(stops.map((stop) => stop()));
    };
    try {
      await bus.declare(topic, ['fast', 'slow']);
      for (let start = 1; start <= 20_000; start += 500)
        await bus.publish(topic, makeEvents(topic, start, 500).map(outgoing));
      await drain('fast', 20_000);
      for (let start = 20_001; start <= 25_000; start += 500)
        await bus.publish(topic, makeEvents(topic, start, 500).map(outgoing));
      await pause(500);
      expect(await length()).toBe(25_000);
      await drain('slow', 25_000);
      await drain('fast', 5_000);
      for (let start = 25_001; start <= 30_000; start += 500)
        await bus.publish(topic, makeEvents(topic, start, 500).map(outgoing));
      await vi.waitFor(async () => expect(await length()).toBeLessThan(6_000), 10_000);
      await drain('slow', 5_000);
    } finally {
      await bus.close();
    }
  });

  it('bounds a stream that a group does not read', { timeout: 60_000 }, async () => {
    const log = recordingLog();
    const bus = await open({ log, maxLength: 1_000 });
    try {
      await bus.declare('bounded', ['gone']);
      for (let start = 1; start <= 10_000; start += 500)
        await bus.publish('bounded', makeEvents('bounded', start, 500, 'key').map(outgoing));
      await vi.waitFor(() => expect(log.warn).toHaveBeenCalled(), 10_000);
      const lengths = await Promise.all([0, 1, 2].map((p) => direct.xlen(`waybill:bounded:${p}`)));
      expect(Math.max(...lengths)).toBeLessThan(6_200);
    } finally {
      await bus.close();
    }
  });

  it('says once that a server without an append-only file may lose events', async () => {
    const forgetful = await startPrivateRedis(['--appendonly', 'no']);
    const log = recordingLog();
    const bus = await openRedisBus({ url: forgetful.url, partitions: 1, log });
    try {
      await vi.waitFor(() => expect(log.warn).toHaveBeenCalledTimes(1));
      expect(log.warn.mock.calls[0]?.[1]).toContain('append-only');
      await bus.ping();
      expect(log.warn).toHaveBeenCalledTimes(1);
    } finally {
      await bus.close();
      await forgetful.stop();
    }
    const careful = recordingLog();
    const kept = await open({ log: careful });
    await kept.ping();
    await pause(100);
    await kept.close();
    expect(careful.warn).not.toHaveBeenCalled();
  });
});
