/** Connections, channels, exchanges and queues on RabbitMQ: what both sides of the bus stand on. */
import { Connection, type Channel } from 'rabbitmq-client';
import { within, type EngineLog } from './engine.ts';

/** Where malformed messages and those past the delivery limit end up: exchange and queue. */
const DEAD = 'waybill.dead';
/**
 * Explicit because RabbitMQ 4 drops a message after 20 deliveries by default and 3.10 never, and
 * high because the kit parks poison events itself: a message that the broker drops is a gap. With a
 * limit set, a requeued message also returns to the head of its queue, without one to the tail.
 */
const DELIVERY_LIMIT = 1_000_000;
const DEAD_LETTERS_KEPT = 100_000;
/** How long a publisher waits for a connection; less than the time it has for a publication. */
const ACQUIRE_TIMEOUT_MS = 2000;
const OPEN_TIMEOUT_MS = 3000;
const CLOSE_TIMEOUT_MS = 2000;

export interface AmqpBusOptions {
  /** `amqp://user:password@host:port/vhost`, or `amqps:`. */
  readonly url: string;
  readonly partitions: number;
  /** Shown as the connection's name in RabbitMQ's own console. */
  readonly role?: string;
  readonly log: EngineLog;
}

export function connect(options: AmqpBusOptions, purpose: string): Connection {
  const { url, log, role } = options;
  const connection = new Connection({
    url,
    connectionName: `waybill ${role ?? ''} ${purpose}`.replace('  ', ' '),
    acquireTimeout: ACQUIRE_TIMEOUT_MS,
    connectionTimeout: 3000,
    heartbeat: 10,
    frameMax: 131_072,
    noDelay: true,
    retryLow: 200,
    retryHigh: 2000,
  });
  connection.on('error', (error) =>
    log.warn({ err: error, purpose }, 'The connection to RabbitMQ failed; it will be reopened.'),
  );
  connection.on('connection', () => log.info({ purpose }, 'Connected to RabbitMQ.'));
  return connection;
}

export async function closeConnection(connection: Connection): Promise<void> {
  await within(CLOSE_TIMEOUT_MS, 'closing', connection.close()).catch(() =>
    connection.unsafeDestroy(),
  );
}

/** A channel whose errors are reported by the calls that they fail. */
export async function openChannel(connection: Connection): Promise<Channel> {
  const acquiring = connection.acquire({ emitErrorsFromChannel: true });
  const channel = await within(OPEN_TIMEOUT_MS, 'opening a channel', acquiring);
  channel.on('error', () => undefined);
  return channel;
}

export async function closeChannel(channel: Channel): Promise<void> {
  await within(CLOSE_TIMEOUT_MS, 'closing', channel.close()).catch(() => undefined);
}

export function exchangeOf(topic: string): string {
  return `waybill.${topic}`;
}

export function queueOf(topic: string, group: string, partition: number): string {
  return `${exchangeOf(topic)}.${group}.${partition}`;
}

/** The dead letters come first, so that no queue ever points to an exchange that is not there. */
export async function declareTopic(channel: Channel, topic: string): Promise<void> {
  await channel.exchangeDeclare({ exchange: DEAD, type: 'fanout', durable: true });
  await channel.queueDeclare({
    queue: DEAD,
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-max-length': DEAD_LETTERS_KEPT },
  });
  await channel.queueBind({ queue: DEAD, exchange: DEAD, routingKey: '' });
  await channel.exchangeDeclare({ exchange: exchangeOf(topic), type: 'direct', durable: true });
}

export async function declareQueue(
  channel: Channel,
  topic: string,
  group: string,
  partition: number,
): Promise<string> {
  const exchange = exchangeOf(topic);
  const queue = queueOf(topic, group, partition);
  await channel.queueDeclare({
    queue,
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-single-active-consumer': true,
      'x-delivery-limit': DELIVERY_LIMIT,
      'x-dead-letter-exchange': DEAD,
    },
  });
  await channel.queueBind({ queue, exchange, routingKey: String(partition) });
  return queue;
}
