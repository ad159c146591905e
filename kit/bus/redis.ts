/**
 * The bus on Redis Streams (6.2 and later), append-only file on.
 *
 * One stream per topic and partition, one consumer group per consuming service. Entry ids are
 * Redis's own: ids made of positions would refuse duplicates, but also every event of a producer
 * whose database was restored to an earlier position, and an event must never be refused.
 */
import type { Redis } from 'ioredis';
import { Outage } from '../errors.ts';
import { toBusOutage, within, type EngineLog } from './engine.ts';
import { partitionOf, type Bus, type OutgoingEvent } from './port.ts';
import { startReading } from './redis-reader.ts';
import { connect, createGroup, streamOf, trim, type RedisBusOptions } from './redis-streams.ts';

const COMMAND_TIMEOUT_MS = 5000;
const DECLARE_TIMEOUT_MS = 30_000;
const PING_TIMEOUT_MS = 3000;
/** Events of one topic between two trimmings. */
const TRIM_EVERY = 5000;
const DEFAULT_MAX_LENGTH = 1_000_000;

interface State {
  readonly options: RedisBusOptions;
  readonly client: Redis;
  /** topic → groups, as declared by this process. */
  readonly groupsOf: Map<string, Set<string>>;
  /** topic → events published since its streams were trimmed. */
  readonly untrimmed: Map<string, number>;
}

/**
 * Opens the bus. Resolves at once, also while the server is away: connections come up by
 * themselves, and what needs one rejects with an Outage meanwhile.
 */
export async function openRedisBus(options: RedisBusOptions): Promise<Bus> {
  const state: State = {
    options,
    client: connect(options, 'publishes'),
    groupsOf: new Map(),
    untrimmed: new Map(),
  };
  state.client.once('ready', () => void checkDurability(state.client, options.log));
  const stops = new Set<() => Promise<void>>();
  return {
    partitions: options.partitions,
    publish: (topic, events) => publish(state, topic, events),
    declare: (topic, groups) => declare(state, topic, groups),
    async subscribe(subscription, deliver) {
      const stop = startReading(options, subscription, deliver);
      stops.add(stop);
      return async () => {
        await stop();
        stops.delete(stop);
      };
    },
    async ping() {
      await answered(state, PING_TIMEOUT_MS, state.client.ping());
    },
    async close() {
      await Promise.all([...stops].map((stop) => stop()));
      state.client.disconnect();
    },
  };
}

/** Redis answers before anything is on disk unless it is told otherwise (and Debian does not). */
async function checkDurability(client: Redis, log: EngineLog): Promise<void> {
  const reply = await client.config('GET', 'appendonly').catch(() => undefined);
  const setting = Array.isArray(reply) ? String(reply[1]) : 'unknown';
  if (setting === 'yes') return;
  log.warn(
    { appendonly: setting },
    'Redis keeps no append-only file as far as can be seen: events that it has accepted can be ' +
      "lost when it restarts, and are then pulled from the producer's log.",
  );
}

/** The reply, or an Outage. A connection on which a reply is overdue is replaced. */
async function answered<T>(state: State, ms: number, reply: Promise<T>): Promise<T> {
  try {
    return await within(ms, 'the reply', reply);
  } catch (error) {
    if (error instanceof Outage) state.client.disconnect(true);
    throw toBusOutage(error);
  }
}

async function publish(
  state: State,
  topic: string,
  events: readonly OutgoingEvent[],
): Promise<void> {
  if (events.length === 0) return;
  const { client, options } = state;
  const pipeline = client.pipeline();
  for (const event of events) {
    const stream = streamOf(topic, partitionOf(event.key, options.partitions));
    pipeline.xadd(stream, '*', 'event', event.body);
  }
  const replies = await answered(state, COMMAND_TIMEOUT_MS, pipeline.exec());
  for (const [error] of replies ?? []) if (error !== null) throw toBusOutage(error);
  const untrimmed = (state.untrimmed.get(topic) ?? 0) + events.length;
  state.untrimmed.set(topic, untrimmed < TRIM_EVERY ? untrimmed : 0);
  if (untrimmed >= TRIM_EVERY) void trimTopic(state, topic);
}

async function declare(state: State, topic: string, groups: readonly string[]): Promise<void> {
  const known = state.groupsOf.get(topic) ?? new Set();
  state.groupsOf.set(topic, known);
  const creating: Promise<void>[] = [];
  for (const group of groups) {
    known.add(group);
    for (let partition = 0; partition < state.options.partitions; partition++)
      creating.push(createGroup(state.client, streamOf(topic, partition), group));
  }
  await answered(state, DECLARE_TIMEOUT_MS, Promise.all(creating));
}

/** In the background of a publication; what fails is done by the next one. */
async function trimTopic(state: State, topic: string): Promise<void> {
  const { client, options, groupsOf } = state;
  const maxLength = options.maxLength ?? DEFAULT_MAX_LENGTH;
  try {
    for (let partition = 0; partition < options.partitions; partition++) {
      const groups = groupsOf.get(topic) ?? [];
      await trim(client, streamOf(topic, partition), groups, maxLength, options.log);
    }
  } catch (error) {
    options.log.info({ err: error, topic }, 'A topic could not be trimmed now.');
  }
}
