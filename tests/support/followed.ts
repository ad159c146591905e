/** A topic to follow: its true log, and a bus that brings of it what a test lets it bring. */
import { afterEach } from 'vitest';
import { partitionOf, type Bus, type CloudEvent, type Deliver } from '@waybill/kit/bus/port.ts';
import { startConsumer, type ProducerLog } from '@waybill/kit/consumer.ts';
import type { Database, Tx } from '@waybill/kit/db.ts';
import type { Inbox } from '@waybill/kit/inbox.ts';
import { newId } from '@waybill/kit/ids.ts';
import type { Leases } from '@waybill/kit/leases.ts';
import { startLoop, type Stop } from '@waybill/kit/loop.ts';
import { silent } from './kit.ts';

const stops: Stop[] = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

/** The effect of one event, in the transaction that records it. */
export type Handle = (tx: Tx, event: CloudEvent) => Promise<void>;

export interface Followed {
  readonly topic: string;
  readonly inbox: Inbox;
  /** Everything that the producer wrote, in order of position. */
  readonly truth: CloudEvent[];
  /** Events that the handler was given, batch by batch. */
  readonly batches: CloudEvent[][];
  /** Appends to the truth: the next version of a key. */
  raise(key: string, type?: string): CloudEvent;
  /** Lets the bus bring events; resolves when they were acknowledged. */
  bring(...events: CloudEvent[]): Promise<void>;
  /** From now on this is what handling an event does besides its effect. */
  onHandle(handle: Handle): void;
  /** What the producer shows of its log; all of it unless told otherwise. */
  show(events: (truth: readonly CloudEvent[]) => readonly CloudEvent[]): void;
  /** Starts another consumer, as a further process would, perhaps in place of one that died. */
  consume(afterDeath?: boolean, leases?: Leases): Promise<void>;
}

/** Leases that everybody gets, so that two consumers compete for a partition. */
const forEverybody = (takenOver: boolean): Leases => ({
  hold(name, work) {
    const stop = startLoop(name, silent, (signal) => work(signal, takenOver));
    stops.push(stop);
    return stop;
  },
  stop: async () => {},
});

/** A new topic on a service's database; effects go into its table `effects`. */
export async function follow(db: Database, partitions = 1): Promise<Followed> {
  const topic = `topic-${newId()}`;
  const truth: CloudEvent[] = [];
  const batches: CloudEvent[][] = [];
  const open = new Map<number, Deliver[]>();
  let shown = (events: readonly CloudEvent[]) => events;
  let besides: Handle = async () => {};
  const bus = rememberingBus(partitions, open);
  const producer: ProducerLog = {
    ofKey: async (_topic, key, after) =>
      shown(truth).filter((event) => event.key === key && event.version > after),
    heads: async (_topic, after) => shown(truth).filter((event) => event.position > after),
    range: async (_topic, after) => shown(truth).filter((event) => event.position > after),
  };
  const inbox: Inbox = {
    topic,
    db,
    log: silent,
    partitionOf: (key) => partitionOf(key, partitions),
    missing: (key, after) => producer.ofKey(topic, key, after),
    handles: (type) => type !== 'IGNORED',
    async handle(tx, type, events) {
      if (type === 'IGNORED') return;
      batches.push([...events]);
      for (const event of events) {
        await tx.query('insert into effects (topic, key, version) values ($1, $2, $3)', [
          topic,
          event.key,
          event.version,
        ]);
        await besides(tx, event);
      }
    },
  };
  const consume = async (afterDeath = false, leases = forEverybody(afterDeath)) => {
    startConsumer(inbox, { leases, bus, producer });
    const wanted = (open.get(0)?.length ?? 0) + 1;
    while ((open.get(partitions - 1)?.length ?? 0) < wanted)
      await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return {
    topic,
    inbox,
    truth,
    batches,
    consume,
    raise(key, type = 'CHANGED') {
      const version = truth.filter((event) => event.key === key).length + 1;
      const event = eventOf(topic, truth.length + 1, key, version, type);
      truth.push(event);
      return event;
    },
    async bring(...events) {
      const groups = Map.groupBy(events, (event) => partitionOf(event.key, partitions));
      for (const [partition, group] of groups)
        await Promise.all((open.get(partition) ?? []).map((deliver) => deliver(group)));
    },
    onHandle(handle) {
      besides = handle;
    },
    show(events) {
      shown = events;
    },
  };
}

function eventOf(
  topic: string,
  position: number,
  key: string,
  version: number,
  type: string,
): CloudEvent {
  return {
    specversion: '1.0',
    id: `${key}:${version}`,
    source: `/waybill/${topic}`,
    type,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    topic,
    position,
    key,
    version,
    data: {},
  };
}

/** A bus that only remembers who subscribed; the test delivers. */
function rememberingBus(partitions: number, open: Map<number, Deliver[]>): Bus {
  return {
    partitions,
    publish: async () => {},
    declare: async () => {},
    ping: async () => {},
    close: async () => {},
    async subscribe({ partition }, deliver) {
      open.set(partition, [...(open.get(partition) ?? []), deliver]);
      return async () => {
        open.set(
          partition,
          (open.get(partition) ?? []).filter((other) => other !== deliver),
        );
      };
    },
  };
}
