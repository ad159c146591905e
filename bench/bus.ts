/**
 * Events a second through each engine, beside writing and reading their JSON alone; and the whole
 * way of an event in PostgreSQL: sequenced, published, fetched, recorded in a consumer's inbox.
 */
import { randomUUID } from 'node:crypto';
import { openBus } from '@waybill/kit/bus/open.ts';
import { outgoing, type Bus, type CloudEvent } from '@waybill/kit/bus/port.ts';
import { connectOwner, setUpPostgresBus } from '@waybill/kit/bus/postgres.ts';
import { openDatabase } from '@waybill/kit/db.ts';
import { newId } from '@waybill/kit/ids.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { startRabbit, startRedis } from './brokers.ts';
import type { Figure, Peer, Run } from './figures.ts';
import { openLogPath, type LogPath } from './log-path.ts';
import { startDatabase } from './processes.ts';
import { createTally, type Tally } from './statistics.ts';

const BATCH = 500;
const PARTITIONS = 4;
/** An engine keeps what was published until it was consumed, so it is not given without end. */
const MOST_EVENTS = 200_000;
const PATIENCE_MS = 120_000;
const LOG_EVENTS_A_SECOND = 4000;

const engines = ['postgres', 'redis', 'amqp'] as const;
type Engine = (typeof engines)[number];

const titles: Readonly<Record<Engine, string>> = {
  postgres: 'postgres: (the default)',
  redis: 'redis: (Streams, append-only file)',
  amqp: 'amqp: (RabbitMQ, quorum queues)',
};
const programs = { postgres: '', redis: 'redis-server', amqp: 'rabbitmq-server' };

export async function measureBus(run: Run): Promise<readonly Figure[]> {
  const { stack, rounds, seconds, say } = run;
  const database = await startDatabase(stack);
  const urls: Record<Engine, string | undefined> = {
    postgres: database.url,
    redis: await startRedis(stack),
    amqp: await startRabbit(stack),
  };
  const path = await openLogPath(stack, database.url);
  const tally = createTally();
  for (let round = 1; round <= rounds; round++) {
    tally.add('json', codeJson(seconds));
    for (const engine of engines) {
      const url = urls[engine];
      if (url === undefined) continue;
      const { published, consumed } = await passThrough(url, seconds);
      tally.add(`${engine} published`, published);
      tally.add(`${engine} consumed`, consumed);
      say(
        `bus ${round}/${rounds}: ${engine} published ${Math.round(published)}/s, ` +
          `consumed ${Math.round(consumed)}/s`,
      );
    }
    await measurePath(run, path, tally, round);
  }
  return [
    ...engines.flatMap((engine) => [
      figureOf(tally, engine, 'published', urls[engine]),
      figureOf(tally, engine, 'consumed', urls[engine]),
    ]),
    {
      name: 'postgres: from the log to the consumer’s inbox',
      unit: '/s',
      values: tally.values('path'),
      peers: [
        { name: 'postgres: published', values: tally.values('postgres published') },
        jsonPeer(tally),
      ],
    },
  ];
}

async function measurePath(run: Run, path: LogPath, tally: Tally, round: number) {
  const rate = await path.carry(Math.max(BATCH, run.seconds * LOG_EVENTS_A_SECOND));
  tally.add('path', rate);
  run.say(`bus ${round}/${run.rounds}: from the log to the inbox ${Math.round(rate)}/s`);
}

function jsonPeer(tally: Tally): Peer {
  return { name: 'their JSON written and read', values: tally.values('json') };
}

function figureOf(tally: Tally, engine: Engine, what: string, url: string | undefined): Figure {
  const name = `${titles[engine]} ${what}`;
  if (url === undefined)
    return { name, unit: '/s', values: [], peers: [], note: `no ${programs[engine]} here` };
  return { name, unit: '/s', values: tally.values(`${engine} ${what}`), peers: [jsonPeer(tally)] };
}

/** Publishes batch after batch, as a relay does, then consumes all of it. */
async function passThrough(url: string, seconds: number) {
  const topic = `bench${randomUUID().slice(0, 8)}`;
  const bus = await openFor(url, topic);
  try {
    await bus.declare(topic, [topic]);
    let position = 0;
    let spent = 0;
    while (spent < seconds * 1000 && position < MOST_EVENTS) {
      const events = makeEvents(topic, position, BATCH).map(outgoing);
      const begun = performance.now();
      await bus.publish(topic, events);
      spent += performance.now() - begun;
      position += BATCH;
    }
    const published = (position / spent) * 1000;
    return { published, consumed: await consumeAll(bus, topic, position) };
  } finally {
    await bus.close();
  }
}

async function consumeAll(bus: Bus, topic: string, count: number): Promise<number> {
  const stops: (() => Promise<void>)[] = [];
  let timer: NodeJS.Timeout | undefined;
  const begun = performance.now();
  try {
    await new Promise<void>((done, fail) => {
      // An engine may deliver twice; what counts is that every event came.
      const seen = new Set<number>();
      const late = () => fail(new Error(`${seen.size} of ${count} events came`));
      timer = setTimeout(late, PATIENCE_MS);
      const deliver = (events: readonly CloudEvent[]) => {
        for (const event of events) seen.add(event.position);
        if (seen.size === count) done();
        return Promise.resolve();
      };
      for (let partition = 0; partition < bus.partitions; partition++)
        bus
          .subscribe({ topic, group: topic, partition, after: 0, batchSize: BATCH }, deliver)
          .then((stop) => stops.push(stop), fail);
    });
    return (count / (performance.now() - begun)) * 1000;
  } finally {
    clearTimeout(timer);
    await Promise.all(stops.map((stop) => stop()));
  }
}

async function openFor(url: string, topic: string): Promise<Bus> {
  const database = () =>
    openDatabase({ url, service: 'bus', poolSize: 4, onError: (error) => void error });
  if (url.startsWith('postgres:')) {
    const owner = await connectOwner(url);
    const role = new URL(url).username;
    await setUpPostgresBus(owner, [{ service: topic, role, logIsHere: false, consumes: [topic] }]);
    await owner.end();
  }
  return openBus({ url, partitions: PARTITIONS, log: openLogger('silent'), database });
}

/** What no engine can do without: the events written as JSON and read again. */
function codeJson(seconds: number): number {
  const events = makeEvents('bench', 0, BATCH);
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < seconds * 1000) {
    const written = events.map(outgoing);
    // Every version is 1: the sum counts, and what was read is used.
    for (const { body } of written) count += (JSON.parse(body) as CloudEvent).version;
  }
  return (count / (performance.now() - begun)) * 1000;
}

function makeEvents(topic: string, after: number, count: number): CloudEvent[] {
  return Array.from({ length: count }, (_, index) => {
    const key = newId();
    return {
      specversion: '1.0',
      id: `${key}:1`,
      source: `/waybill/${topic}`,
      type: 'ORDER_CREATED',
      time: '2026-01-02T03:04:05.678Z',
      datacontenttype: 'application/json',
      topic,
      position: after + index + 1,
      key,
      version: 1,
      data: {
        order_id: key,
        number: 1_000_000_000 + after + index,
        channel: 'delivery',
        customer_id: 'customer_123',
        currency: 'USD',
        total_minor: 2598,
        from: null,
        to: 'PENDING',
        payment: { method: 'card', token: null },
        items: [{ item_id: 'item_001', quantity: 2, unit_minor: 1299 }],
      },
    };
  });
}
