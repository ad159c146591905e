/** Events and consumers for tests of a bus. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  outgoing,
  partitionOf,
  type Bus,
  type CloudEvent,
  type Subscription,
} from '../../kit/bus/port.ts';

const PATIENCE_MS = 30_000;

export interface Consumer {
  readonly partition: number;
  /** Every event of an acknowledged batch, in the order of delivery. */
  readonly taken: CloudEvent[];
  readonly stop: () => Promise<void>;
}

export async function subscribeAll(bus: Bus, topic: string, group: string): Promise<Consumer[]> {
  const consumers: Consumer[] = [];
  for (let partition = 0; partition < bus.partitions; partition++)
    consumers.push(
      await subscribePartition(bus, { topic, group, partition, after: 0, batchSize: 100 }),
    );
  return consumers;
}

export function subscribe(
  bus: Bus,
  topic: string,
  group: string,
  key: string,
  after = 0,
  batchSize = 100,
  work?: () => Promise<void>,
): Promise<Consumer> {
  const partition = partitionOf(key, bus.partitions);
  return subscribePartition(bus, { topic, group, partition, after, batchSize }, work);
}

async function subscribePartition(
  bus: Bus,
  subscription: Subscription,
  work?: () => Promise<void>,
): Promise<Consumer> {
  const taken: CloudEvent[] = [];
  const stop = await bus.subscribe(subscription, async (events) => {
    await work?.();
    taken.push(...events);
  });
  return { partition: subscription.partition, taken, stop };
}

/** Publishes as a relay does: again and again until the engine takes it. */
export async function publishUntilTaken(
  bus: Bus,
  topic: string,
  events: readonly CloudEvent[],
): Promise<void> {
  await eventually(() => bus.publish(topic, events.map(outgoing)));
}

/** Tries until it passes; the last failure is thrown when patience ends. */
export async function eventually(check: () => unknown): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(20);
    }
  }
}

export function newTopic(): string {
  return `contract-${randomUUID().slice(0, 8)}`;
}

/** Events with dense positions; of one key, or of seven that spread over the partitions. */
export function makeEvents(
  topic: string,
  first: number,
  count: number,
  key?: string,
): CloudEvent[] {
  return range(first, first + count - 1).map((position) => {
    const ofKey = key ?? `key-${position % 7}`;
    const version = key === undefined ? Math.ceil(position / 7) : position;
    return {
      specversion: '1.0',
      id: `${ofKey}:${version}`,
      source: `/waybill/${topic}`,
      type: 'THING_CHANGED',
      time: '2026-01-02T03:04:05.678Z',
      datacontenttype: 'application/json',
      topic,
      position,
      key: ofKey,
      version,
      data: { position, note: 'as long as a small fact usually is, give or take a few words' },
    };
  });
}

export function positionsOf(consumers: readonly Consumer[]): Set<number> {
  return new Set(consumers.flatMap(({ taken }) => taken.map((event) => event.position)));
}

export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
