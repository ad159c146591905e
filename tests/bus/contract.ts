/**
 * The contract of the bus port (kit/bus/port.ts) as a suite that every engine runs: what was
 * published is delivered at least once to every group until it is acknowledged, whatever dies.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Outage } from '../../kit/errors.ts';
import {
  outgoing,
  partitionOf,
  type Bus,
  type CloudEvent,
  type Subscription,
} from '../../kit/bus/port.ts';
import {
  eventually,
  makeEvents,
  newTopic,
  positionsOf,
  publishUntilTaken,
  range,
  subscribe,
  subscribeAll,
} from './consumers.ts';
import type { Elsewhere } from './taker.ts';

/** What can be done to the engine under test; a test whose fault is not given is not made. */
export interface Faults {
  /** How another process opens the bus. */
  readonly elsewhere?: () => Elsewhere;
  /** Kills the server (-9); it stays down. */
  readonly kill?: () => Promise<void>;
  /** Starts it again with the data it has. */
  readonly restart?: () => Promise<void>;
  /** Kills it, deletes its data and starts it. */
  readonly wipe?: () => Promise<void>;
  /** Deletes everything in it while it runs and stays connected. */
  readonly drop?: () => Promise<void>;
  /** Stops its answers without closing a connection, and lets it go on. */
  readonly freeze?: () => void;
  readonly thaw?: () => void;
}

/** Runs the contract. `open` gives a new connection to the same engine each time. */
export function busContract(name: string, open: () => Promise<Bus>, faults: Faults = {}): void {
  describe(`${name} keeps the contract of the bus`, { timeout: 90_000 }, () => {
    const opened: Bus[] = [];

    async function openBus(): Promise<Bus> {
      const bus = await open();
      opened.push(bus);
      return bus;
    }

    afterEach(async () => {
      faults.thaw?.();
      await Promise.all(opened.splice(0).map((bus) => bus.close()));
    });

    describeDelivery(openBus);
    describeAcknowledgement(openBus);
    if (faults.elsewhere !== undefined) describeDeadConsumer(openBus, faults.elsewhere);
    describeServerFaults(openBus, faults);
  });
}

function describeDelivery(openBus: () => Promise<Bus>): void {
  it('delivers everything to each of two groups, in order within a partition', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['left', 'right']);
    const left = await subscribeAll(bus, topic, 'left');
    const right = await subscribeAll(bus, topic, 'right');
    const events = makeEvents(topic, 1, 600);
    for (let start = 0; start < events.length; start += 150)
      await bus.publish(topic, events.slice(start, start + 150).map(outgoing));
    for (const consumers of [left, right]) {
      await eventually(() => expect(positionsOf(consumers).size).toBe(600));
      for (const { partition, taken } of consumers) {
        const wanted = events.filter(
          (event) => partitionOf(event.key, bus.partitions) === partition,
        );
        expect(taken).toEqual(wanted);
      }
    }
  });

  it('keeps for a group what was published between declare and subscribe', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['late']);
    await bus.publish(topic, makeEvents(topic, 1, 40).map(outgoing));
    const consumers = await subscribeAll(bus, topic, 'late');
    await eventually(() => expect(positionsOf(consumers).size).toBe(40));
  });

  it('bears declarations twice and by several', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await Promise.all([
      bus.declare(topic, ['one']),
      (await openBus()).declare(topic, ['one', 'two']),
    ]);
    await bus.declare(topic, ['one']);
    const consumers = await subscribeAll(bus, topic, 'two');
    await bus.publish(topic, makeEvents(topic, 1, 5).map(outgoing));
    await eventually(() => expect(positionsOf(consumers).size).toBe(5));
  });

  it('hands over at most batchSize events, one batch at a time', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['slow']);
    const events = makeEvents(topic, 1, 50, 'one-key');
    await bus.publish(topic, events.map(outgoing));
    const sizes: number[] = [];
    let inHand = 0;
    let overlapped = false;
    const partition = partitionOf('one-key', bus.partitions);
    await bus.subscribe(
      { topic, group: 'slow', partition, after: 0, batchSize: 7 },
      async (batch) => {
        overlapped ||= inHand > 0;
        inHand++;
        await pause(2);
        sizes.push(batch.length);
        inHand--;
      },
    );
    await eventually(() => expect(sum(sizes)).toBeGreaterThanOrEqual(50));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(7);
    expect(overlapped).toBe(false);
  });

  it('bears the same events published twice', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['once']);
    const events = makeEvents(topic, 1, 20);
    await bus.publish(topic, events.map(outgoing));
    await bus.publish(topic, events.map(outgoing));
    await bus.publish(topic, makeEvents(topic, 21, 5).map(outgoing));
    const consumers = await subscribeAll(bus, topic, 'once');
    await eventually(() => expect(positionsOf(consumers).size).toBe(25));
    for (const { taken } of consumers)
      for (const event of taken)
        expect(events.concat(makeEvents(topic, 21, 5))).toContainEqual(event);
  });

  it('carries events whole, whatever their text and size', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['whole']);
    const [first] = makeEvents(topic, 1, 1, 'ключ-🗝');
    const event: CloudEvent = {
      ...(first as CloudEvent),
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      data: {
        text: 'naïve “quotes” \\ 🚚',
        long: 'x'.repeat(300_000),
        nested: [1, { deep: null }],
      },
    };
    await bus.publish(topic, [event].map(outgoing));
    await bus.publish(topic, []);
    const consumers = await subscribeAll(bus, topic, 'whole');
    await eventually(() => expect(consumers.flatMap(({ taken }) => taken)).toEqual([event]));
  });

  it('answers a ping', async () => {
    const bus = await openBus();
    await expect(bus.ping()).resolves.toBeUndefined();
  });
}

function describeAcknowledgement(openBus: () => Promise<Bus>): void {
  it('does not deliver again what was acknowledged', async () => {
    const topic = newTopic();
    const first = await openBus();
    await first.declare(topic, ['tidy']);
    await first.publish(topic, makeEvents(topic, 1, 30, 'one-key').map(outgoing));
    const before = await subscribe(first, topic, 'tidy', 'one-key');
    await eventually(() => expect(positionsOf([before]).size).toBe(30));
    await before.stop();
    const second = await openBus();
    const after = await subscribe(second, topic, 'tidy', 'one-key', 30);
    await second.publish(topic, makeEvents(topic, 31, 3, 'one-key').map(outgoing));
    await eventually(() => expect(positionsOf([after]).size).toBe(3));
    expect(after.taken.map((event) => event.position)).toEqual([31, 32, 33]);
  });

  it('delivers a rejected batch again, and then what follows', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['moody']);
    await bus.publish(topic, makeEvents(topic, 1, 30, 'one-key').map(outgoing));
    let rejections = 0;
    const consumer = await subscribe(bus, topic, 'moody', 'one-key', 0, 10, async () => {
      if (++rejections <= 2) throw new Error('not now');
    });
    await eventually(() => expect(positionsOf([consumer]).size).toBe(30));
    expect(rejections).toBeGreaterThan(2);
    expect([...positionsOf([consumer])]).toEqual(range(1, 30));
  });

  it('waits for the batch in hand when it is stopped, and keeps the rest', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['busy']);
    await bus.publish(topic, makeEvents(topic, 1, 40, 'one-key').map(outgoing));
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const consumer = await subscribe(bus, topic, 'busy', 'one-key', 0, 10, async () => {
      started.resolve();
      await release.promise;
    });
    await started.promise;
    let stopped = false;
    const stopping = consumer.stop().then(() => (stopped = true));
    await pause(100);
    expect(stopped).toBe(false);
    release.resolve();
    await stopping;
    const taken = consumer.taken.length;
    expect(taken).toBeGreaterThan(0);
    await pause(100);
    expect(consumer.taken).toHaveLength(taken);
    const next = await subscribe(bus, topic, 'busy', 'one-key', taken, 10);
    await eventually(() => expect(positionsOf([next]).size).toBe(40 - taken));
    expect([...positionsOf([next])]).toEqual(range(taken + 1, 40));
  });

  it('gives a batch that is still rejected when it is stopped to the next', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['broken']);
    await bus.publish(topic, makeEvents(topic, 1, 10, 'one-key').map(outgoing));
    let rejections = 0;
    const broken = await subscribe(bus, topic, 'broken', 'one-key', 0, 100, async () => {
      rejections++;
      throw new Error('never');
    });
    await eventually(() => expect(rejections).toBeGreaterThan(0));
    await broken.stop();
    expect(broken.taken).toEqual([]);
    const next = await subscribe(bus, topic, 'broken', 'one-key');
    await eventually(() => expect([...positionsOf([next])]).toEqual(range(1, 10)));
  });

  it('bears a second subscription for a moment', async () => {
    const topic = newTopic();
    const [left, right] = [await openBus(), await openBus()];
    await left.declare(topic, ['shared']);
    const old = await subscribe(left, topic, 'shared', 'one-key', 0, 10, () => pause(1));
    await left.publish(topic, makeEvents(topic, 1, 100, 'one-key').map(outgoing));
    const young = await subscribe(right, topic, 'shared', 'one-key', 0, 10, () => pause(1));
    await left.publish(topic, makeEvents(topic, 101, 100, 'one-key').map(outgoing));
    await old.stop();
    await left.publish(topic, makeEvents(topic, 201, 100, 'one-key').map(outgoing));
    await eventually(() => expect(positionsOf([old, young]).size).toBe(300));
  });
}

function describeDeadConsumer(openBus: () => Promise<Bus>, elsewhere: () => Elsewhere): void {
  it('delivers to the next what a killed consumer had taken', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['mortal']);
    await bus.publish(topic, makeEvents(topic, 1, 60, 'one-key').map(outgoing));
    const partition = partitionOf('one-key', bus.partitions);
    const subscription: Subscription = {
      topic,
      group: 'mortal',
      partition,
      after: 0,
      batchSize: 10,
    };
    const taker = fileURLToPath(new URL('taker.ts', import.meta.url));
    const order = JSON.stringify({ elsewhere: elsewhere(), subscription });
    const child = spawn(process.execPath, [taker, order], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [taken] = (await once(child.stdout, 'data')) as [Buffer];
    expect(taken.toString()).toMatch(/^1\b/);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    const next = await subscribe(bus, topic, 'mortal', 'one-key');
    await eventually(() => expect([...positionsOf([next])]).toEqual(range(1, 60)));
  });
}

function describeServerFaults(openBus: () => Promise<Bus>, faults: Faults): void {
  const { kill, restart, wipe, drop, freeze, thaw } = faults;

  it.runIf(kill && restart)('loses nothing confirmed when its server is killed', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['early', 'late']);
    const early = await subscribeAll(bus, topic, 'early');
    for (let start = 1; start <= 401; start += 100)
      await bus.publish(topic, makeEvents(topic, start, 100).map(outgoing));
    // RabbitMQ writes down the members of a new queue half a second late (see kit/bus/amqp.ts).
    await pause(1000);
    await kill?.();
    const asked = Date.now();
    await expect(
      bus.publish(topic, makeEvents(topic, 501, 100).map(outgoing)),
    ).rejects.toBeInstanceOf(Outage);
    await expect(bus.ping()).rejects.toBeInstanceOf(Outage);
    expect(Date.now() - asked).toBeLessThan(15_000);
    await restart?.();
    await publishUntilTaken(bus, topic, makeEvents(topic, 501, 100));
    const late = await subscribeAll(bus, topic, 'late');
    for (const consumers of [early, late])
      await eventually(() => expect(positionsOf(consumers).size).toBe(600));
    await eventually(() => expect(bus.ping()).resolves.toBeUndefined());
  });

  it.runIf(kill && restart)('opens, subscribes and comes up while its server is away', async () => {
    const topic = newTopic();
    await kill?.();
    const bus = await openBus();
    await expect(bus.declare(topic, ['patient'])).rejects.toBeInstanceOf(Outage);
    const consumers = await subscribeAll(bus, topic, 'patient');
    await restart?.();
    await publishUntilTaken(bus, topic, makeEvents(topic, 1, 20));
    await eventually(() => expect(positionsOf(consumers).size).toBe(20));
  });

  it.runIf(freeze && thaw)('rejects a publication when its server does not answer', async () => {
    const bus = await openBus();
    const topic = newTopic();
    await bus.declare(topic, ['frozen']);
    const consumers = await subscribeAll(bus, topic, 'frozen');
    await publishUntilTaken(bus, topic, makeEvents(topic, 1, 10));
    freeze?.();
    const asked = Date.now();
    await expect(
      bus.publish(topic, makeEvents(topic, 11, 10).map(outgoing)),
    ).rejects.toBeInstanceOf(Outage);
    expect(Date.now() - asked).toBeLessThan(10_000);
    thaw?.();
    await publishUntilTaken(bus, topic, makeEvents(topic, 11, 10));
    await eventually(() => expect(positionsOf(consumers).size).toBe(20));
  });

  for (const [fault, inject] of [
    ['its server comes back empty', wipe],
    ['everything in it is deleted under it', drop],
  ] as const)
    it.runIf(inject)(`heals by itself when ${fault}`, async () => {
      const bus = await openBus();
      const topic = newTopic();
      await bus.declare(topic, ['present', 'absent']);
      const present = await subscribeAll(bus, topic, 'present');
      await bus.publish(topic, makeEvents(topic, 1, 20).map(outgoing));
      await eventually(() => expect(positionsOf(present).size).toBe(20));
      await inject?.();
      await publishUntilTaken(bus, topic, makeEvents(topic, 21, 20));
      // What was published in the moment of the loss may be gone; what comes after may not.
      await eventually(async () => {
        await publishUntilTaken(bus, topic, makeEvents(topic, 41, 20));
        await pause(300);
        expect([...positionsOf(present)]).toEqual(expect.arrayContaining(range(41, 60)));
      });
      const absent = await subscribeAll(bus, topic, 'absent');
      await eventually(() =>
        expect([...positionsOf(absent)]).toEqual(expect.arrayContaining(range(41, 60))),
      );
    });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
