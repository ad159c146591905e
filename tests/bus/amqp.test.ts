import { Connection } from 'rabbitmq-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openAmqpBus } from '../../kit/bus/amqp.ts';
import { outgoing, partitionOf } from '../../kit/bus/port.ts';
import { makeEvents } from './consumers.ts';
import { busContract } from './contract.ts';
import { canRun, findRabbit, startPrivateRabbit, type PrivateRabbit } from './servers.ts';

const PARTITIONS = 3;

function recordingLog() {
  return { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
}

describe.skipIf(!canRun('the bus on RabbitMQ', findRabbit(), 'rabbitmq-server'))('amqp', () => {
  let server: PrivateRabbit;
  let direct: Connection;

  beforeAll(async () => {
    server = await startPrivateRabbit();
    direct = new Connection({ url: server.url, retryLow: 200, retryHigh: 1000 });
    direct.on('error', () => undefined);
  }, 90_000);

  afterAll(async () => {
    direct?.unsafeDestroy();
    await server?.stop();
  });

  const open = (log = recordingLog()) =>
    openAmqpBus({ url: server.url, partitions: PARTITIONS, role: 'contract', log });

  async function deleteEverything(): Promise<void> {
    const listed = await server.control('-q', 'list_queues', 'name', '--no-table-headers');
    const queues = listed.split('\n').filter((line) => line.startsWith('waybill.'));
    const exchanges = new Set(queues.map((queue) => queue.split('.').slice(0, 2).join('.')));
    for (const exchange of exchanges) await direct.exchangeDelete({ exchange });
    for (const queue of queues) await direct.queueDelete({ queue });
  }

  busContract('amqp', () => open(), {
    elsewhere: () => ({
      module: new URL('../../kit/bus/amqp.ts', import.meta.url).href,
      open: 'openAmqpBus',
      options: { url: server.url, partitions: PARTITIONS },
    }),
    kill: () => server.kill9(),
    restart: () => server.restart(),
    wipe: () => server.wipe(),
    drop: deleteEverything,
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
  });

  it('puts a message that is no event aside and goes on', { timeout: 30_000 }, async () => {
    const log = recordingLog();
    const bus = await open(log);
    const publisher = direct.createPublisher({ confirm: true });
    try {
      await bus.declare('strange', ['reader']);
      await direct.queuePurge('waybill.dead');
      const envelope = { exchange: 'waybill.strange', routingKey: '0', durable: true };
      await publisher.send({ ...envelope, contentType: 'application/json' }, Buffer.from('{"id":'));
      await publisher.send(envelope, Buffer.from([0xff, 0xfe, 0x00]));
      await publisher.send(envelope, 'some text');
      const [event] = makeEvents('strange', 1, 1, 'key');
      await publisher.send(envelope, event);
      const positions: number[] = [];
      await bus.subscribe(
        { topic: 'strange', group: 'reader', partition: 0, after: 0, batchSize: 2 },
        async (events) => void positions.push(...events.map(({ position }) => position)),
      );
      await vi.waitFor(() => expect(positions).toEqual([1]), 10_000);
      expect(log.error).toHaveBeenCalledTimes(3);
      await vi.waitFor(async () => {
        const { messageCount } = await direct.queueDeclare({
          queue: 'waybill.dead',
          passive: true,
        });
        expect(messageCount).toBe(3);
      }, 10_000);
    } finally {
      await publisher.close();
      await bus.close();
    }
  });

  it(
    'rejects publications at once while RabbitMQ is blocked, and consumes on',
    { timeout: 60_000 },
    async () => {
      const bus = await open();
      try {
        await bus.declare('blocked', ['reader']);
        await bus.publish('blocked', makeEvents('blocked', 1, 20, 'key').map(outgoing));
        await server.control('-q', 'set_vm_memory_high_watermark', '0.00001');
        await vi.waitFor(async () => {
          await expect(
            bus.publish('blocked', makeEvents('blocked', 21, 1, 'key').map(outgoing)),
          ).rejects.toThrow('blocked');
        }, 20_000);
        const seen = new Set<number>();
        const partition = partitionOf('key', PARTITIONS);
        await bus.subscribe(
          { topic: 'blocked', group: 'reader', partition, after: 0, batchSize: 10 },
          async (events) => events.forEach(({ position }) => seen.add(position)),
        );
        await vi.waitFor(() => expect(seen.size).toBeGreaterThanOrEqual(20), 10_000);
        await server.control('-q', 'set_vm_memory_high_watermark', '0.4');
        await vi.waitFor(
          () => bus.publish('blocked', makeEvents('blocked', 21, 5, 'key').map(outgoing)),
          20_000,
        );
        await vi.waitFor(() => expect(seen.size).toBe(25), 10_000);
      } finally {
        await bus.close();
      }
    },
  );

  it(
    'replaces a queue that came back from a kill without a leader',
    { timeout: 120_000 },
    async () => {
      const bus = await open();
      const topic = 'newborn';
      const seen = new Set<number>();
      try {
        await bus.declare(topic, ['reader']);
        await bus.publish(topic, makeEvents(topic, 1, 70).map(outgoing));
        await server.restart();
        for (let partition = 0; partition < PARTITIONS; partition++)
          await bus.subscribe(
            { topic, group: 'reader', partition, after: 0, batchSize: 100 },
            async (events) => events.forEach(({ position }) => seen.add(position)),
          );
        const events = makeEvents(topic, 71, 70);
        await vi.waitFor(() => bus.publish(topic, events.map(outgoing)), {
          timeout: 90_000,
          interval: 100,
        });
        const wanted = events.map(({ position }) => position);
        await vi.waitFor(() => expect([...seen]).toEqual(expect.arrayContaining(wanted)), 20_000);
      } finally {
        await bus.close();
      }
    },
  );

  it('returns what a consumer left to the head of its queue', { timeout: 30_000 }, async () => {
    const bus = await open();
    try {
      await bus.declare('ordered', ['reader']);
      await bus.publish('ordered', makeEvents('ordered', 1, 100, 'key').map(outgoing));
      const partition = partitionOf('key', PARTITIONS);
      const subscription = {
        topic: 'ordered',
        group: 'reader',
        partition,
        after: 0,
        batchSize: 10,
      };
      let refused = 0;
      const stop = await bus.subscribe(subscription, async () => {
        refused++;
        throw new Error('not now');
      });
      await vi.waitFor(() => expect(refused).toBeGreaterThan(0), 10_000);
      await stop();
      const positions: number[] = [];
      await bus.subscribe(subscription, async (events) => {
        positions.push(...events.map(({ position }) => position));
      });
      await vi.waitFor(() => expect(positions).toHaveLength(100), 10_000);
      expect(positions).toEqual([...positions].sort((left, right) => left - right));
    } finally {
      await bus.close();
    }
  });
});
