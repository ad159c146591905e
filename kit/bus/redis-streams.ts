/** Connections, streams and groups on Redis: what both sides of the bus stand on. */
import { Redis } from 'ioredis';
import type { EngineLog } from './engine.ts';

/** Where messages that are no events end up. */
export const DEAD_STREAM = 'waybill:dead';
export const DEAD_LETTERS_KEPT = 100_000;

export interface RedisBusOptions {
  /** `redis://user:password@host:port/db`, or `rediss:`. */
  readonly url: string;
  readonly partitions: number;
  readonly log: EngineLog;
  /**
   * Entries that a stream keeps at most for a group that does not come (default one million). What
   * is cut off is pulled from the producer's log.
   */
  readonly maxLength?: number;
}

/** A connection that comes back by itself, and whose commands fail instead of waiting for that. */
export function connect(options: RedisBusOptions, purpose: string): Redis {
  const client = new Redis(options.url, {
    connectionName: `waybill-${purpose}`,
    connectTimeout: 3000,
    // A server that accepts commands and answers none is given up; a blocking read is answered
    // every other second.
    socketTimeout: 10_000,
    // Commands without a reply fail when the connection does. Sending them again by itself could
    // deliver a second batch while the first one, whose reply was lost, is pending unseen.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempts) => Math.min(100 * attempts, 2000),
    // The replies of RESP2 have one shape with every server.
    protocol: 2,
  });
  let healthy = true;
  client.on('error', (error) => {
    // One line for each time it is lost, not one for each attempt to get it back.
    if (healthy)
      options.log.warn(
        { err: error, purpose },
        'The connection to Redis failed; it will be reopened.',
      );
    healthy = false;
  });
  client.on('ready', () => {
    if (!healthy) options.log.info({ purpose }, 'Connected to Redis again.');
    healthy = true;
  });
  return client;
}

export function streamOf(topic: string, partition: number): string {
  return `waybill:${topic}:${partition}`;
}

/** Makes the group exist, from the stream's first entry on: nothing published earlier is lost. */
export async function createGroup(client: Redis, stream: string, group: string): Promise<void> {
  try {
    await client.xgroup('CREATE', stream, group, '0', 'MKSTREAM');
  } catch (error) {
    if (!(error as Error).message.startsWith('BUSYGROUP')) throw error;
  }
}

/**
 * Cuts off what every group has acknowledged. A group that should exist and does not (the server
 * lost everything) is made again first, and nothing is cut. Beyond maxLength the oldest entries go
 * even unread, since a group that never comes back must not fill the server's memory.
 */
export async function trim(
  client: Redis,
  stream: string,
  groups: Iterable<string>,
  maxLength: number,
  log: EngineLog,
): Promise<void> {
  const seen = new Set<string>();
  let unread: string | undefined;
  for (const reply of await groupsIn(client, stream)) {
    const name = field(reply, 'name');
    seen.add(name);
    // Read before the pending entries: what is delivered in between only lowers the mark.
    unread = earlier(unread, field(reply, 'last-delivered-id'));
    const [, oldestPending] = (await client.xpending(stream, name)) as [number, string | null];
    unread = earlier(unread, oldestPending ?? undefined);
  }
  const missing = [...groups].filter((group) => !seen.has(group));
  for (const group of missing) await createGroup(client, stream, group);
  if (missing.length === 0 && unread !== undefined)
    await client.xtrim(stream, 'MINID', '~', unread);
  if ((await client.xlen(stream)) <= maxLength) return;
  const cut = await client.xtrim(stream, 'MAXLEN', '~', maxLength);
  if (cut > 0)
    log.warn(
      { stream, entries: cut },
      'A stream was cut to its longest; what a group had not read is left to the log to deliver.',
    );
}

async function groupsIn(client: Redis, stream: string): Promise<unknown[][]> {
  try {
    return (await client.xinfo('GROUPS', stream)) as unknown[][];
  } catch (error) {
    if ((error as Error).message.includes('no such key')) return [];
    throw error;
  }
}

/** A value of a flat [name, value, …] reply. */
function field(reply: readonly unknown[], name: string): string {
  return String(reply[reply.indexOf(name) + 1]);
}

/** The lower of two entry ids (`milliseconds-sequence`). */
function earlier(left: string | undefined, right: string | undefined): string | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  const [leftMs = 0, leftSequence = 0] = left.split('-').map(Number);
  const [rightMs = 0, rightSequence = 0] = right.split('-').map(Number);
  if (leftMs !== rightMs) return leftMs < rightMs ? left : right;
  return leftSequence <= rightSequence ? left : right;
}
