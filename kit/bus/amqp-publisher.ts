/** The publishing side of the bus on RabbitMQ: one channel with confirms, and healing. */
import type { Channel, Connection } from 'rabbitmq-client';
import { sleep } from '../clock.ts';
import { Outage } from '../errors.ts';
import {
  closeChannel,
  closeConnection,
  connect,
  declareQueue,
  declareTopic,
  exchangeOf,
  openChannel,
  type AmqpBusOptions,
} from './amqp-connection.ts';
import { toBusOutage, within } from './engine.ts';
import { partitionOf, type Bus, type OutgoingEvent } from './port.ts';

const CONFIRM_TIMEOUT_MS = 5000;
/** For a whole publication, in which a topic may have to be declared again. */
const PUBLISH_TIMEOUT_MS = 6000;
const PING_TIMEOUT_MS = 3000;
/** Creating a quorum queue takes a few tens of milliseconds, and there may be a hundred of them. */
const DECLARE_TIMEOUT_MS = 60_000;

/**
 * A quorum queue that is deleted and made again within milliseconds keeps its old consumer, which
 * never gets a message again (RabbitMQ 3.10.8). After a moment the consumer has been told.
 */
const HEALING_PAUSE_MS = 1000;

interface State {
  readonly options: AmqpBusOptions;
  /** topic → groups, as declared by this process; what a broker that lost everything gets again. */
  readonly groupsOf: Map<string, Set<string>>;
  /** topic → its exchange and queues are in place, as far as the present connection knows. */
  readonly inPlace: Map<string, Promise<void>>;
  connection: Connection;
  channel: Promise<Channel> | undefined;
  /** Why RabbitMQ accepts nothing from this connection at the moment (memory or disk alarm). */
  blocked: string | undefined;
  /** Ends the publications that wait for a confirmation when that happens. */
  readonly waiting: Set<(reason: Outage) => void>;
}

/** The connection that publishes, declares and answers pings. */
export function createPublisher(
  options: AmqpBusOptions,
): Pick<Bus, 'publish' | 'declare' | 'ping' | 'close'> {
  const state: State = {
    options,
    groupsOf: new Map(),
    inPlace: new Map(),
    connection: connect(options, 'publisher'),
    channel: undefined,
    blocked: undefined,
    waiting: new Set(),
  };
  watch(state);
  return {
    publish: (topic, events) => publish(state, topic, events),
    declare: (topic, groups) => declare(state, topic, groups),
    async ping() {
      try {
        const opening = openChannel(state.connection);
        await closeChannel(await within(PING_TIMEOUT_MS, 'the answer', opening));
      } catch (error) {
        throw toBusOutage(error);
      }
    },
    async close() {
      await state.channel?.then(closeChannel).catch(() => undefined);
      await closeConnection(state.connection);
    },
  };
}

function watch(state: State): void {
  const { connection } = state;
  connection.on('connection.blocked', (reason) => {
    state.blocked = reason;
    state.options.log.warn({ reason }, 'RabbitMQ accepts no messages at the moment.');
    for (const interrupt of state.waiting) interrupt(blockedOutage(reason));
  });
  connection.on('connection.unblocked', () => {
    state.blocked = undefined;
  });
  // An established connection that fails always says so here, and the broker that comes back may
  // have lost its queues.
  connection.on('error', () => {
    if (connection === state.connection) forget(state);
  });
}

function blockedOutage(reason: string): Outage {
  return new Outage('bus', `RabbitMQ is blocked: ${reason}`);
}

function forget(state: State): void {
  state.inPlace.clear();
  state.channel = undefined;
  state.blocked = undefined;
}

/** Drops what the connection still holds, so that unconfirmed batches do not pile up in it. */
function reset(state: State): void {
  state.connection.unsafeDestroy();
  forget(state);
  state.connection = connect(state.options, 'publisher');
  watch(state);
}

async function publish(
  state: State,
  topic: string,
  events: readonly OutgoingEvent[],
): Promise<void> {
  if (events.length === 0) return;
  // Whatever is written now would lie in this process's memory until the alarm ends.
  if (state.blocked !== undefined) throw blockedOutage(state.blocked);
  try {
    await within(PUBLISH_TIMEOUT_MS, 'publishing', sendHealing(state, topic, events));
  } catch (error) {
    throw toBusOutage(error);
  }
}

async function declare(state: State, topic: string, groups: readonly string[]): Promise<void> {
  const known = state.groupsOf.get(topic) ?? new Set();
  state.groupsOf.set(topic, known);
  for (const group of groups) {
    if (!known.has(group)) state.inPlace.delete(topic);
    known.add(group);
  }
  try {
    await within(DECLARE_TIMEOUT_MS, 'declaring the topic', ensureTopology(state, topic));
  } catch (error) {
    throw toBusOutage(error);
  }
}

/** Sends; when the channel (not the connection) broke, the exchange is gone: declare, again. */
async function sendHealing(
  state: State,
  topic: string,
  events: readonly OutgoingEvent[],
): Promise<void> {
  await ensureTopology(state, topic);
  try {
    await send(state, topic, events);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code !== 'NOT_FOUND' && code !== 'CH_CLOSE') throw error;
    state.options.log.warn({ topic, err: error }, 'RabbitMQ lost a topic; it is declared again.');
    await sleep(HEALING_PAUSE_MS);
    state.inPlace.clear();
    await ensureTopology(state, topic);
    await send(state, topic, events);
  }
}

async function send(state: State, topic: string, events: readonly OutgoingEvent[]): Promise<void> {
  const channel = await channelForPublishing(state);
  const exchange = exchangeOf(topic);
  const confirmed = events.map((event) =>
    channel.basicPublish(
      {
        exchange,
        routingKey: String(partitionOf(event.key, state.options.partitions)),
        durable: true,
        contentType: 'application/json',
      },
      Buffer.from(event.body),
    ),
  );
  const { connection, waiting } = state;
  const interruption = Promise.withResolvers<never>();
  waiting.add(interruption.reject);
  const settled = Promise.race([Promise.all(confirmed), interruption.promise]);
  try {
    await within(CONFIRM_TIMEOUT_MS, 'the confirmation', settled);
  } catch (error) {
    const late = error instanceof Outage && state.blocked === undefined;
    if (late && connection === state.connection) reset(state);
    throw error;
  } finally {
    waiting.delete(interruption.reject);
  }
}

/** Many callers, one declaration; one that failed is tried again by the next caller. */
function ensureTopology(state: State, topic: string): Promise<void> {
  const known = state.inPlace.get(topic);
  if (known !== undefined) return known;
  const declaring = declareTopology(state, topic).catch((error: unknown) => {
    if (state.inPlace.get(topic) === declaring) state.inPlace.delete(topic);
    throw error;
  });
  state.inPlace.set(topic, declaring);
  return declaring;
}

async function declareTopology(state: State, topic: string): Promise<void> {
  const channel = await openChannel(state.connection);
  try {
    await declareTopic(channel, topic);
    for (const group of state.groupsOf.get(topic) ?? [])
      for (let partition = 0; partition < state.options.partitions; partition++)
        await declareQueue(channel, topic, group, partition);
  } finally {
    await closeChannel(channel);
  }
}

function channelForPublishing(state: State): Promise<Channel> {
  if (state.channel !== undefined) return state.channel;
  const opening = openChannel(state.connection).then(async (channel) => {
    channel.once('close', () => {
      if (state.channel === opening) state.channel = undefined;
    });
    await channel.confirmSelect();
    return channel;
  });
  opening.catch(() => {
    if (state.channel === opening) state.channel = undefined;
  });
  state.channel = opening;
  return opening;
}
