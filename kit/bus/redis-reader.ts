/** The consuming side of the bus on Redis Streams: one subscription, one blocking connection. */
import type { Redis } from 'ioredis';
import { sleep } from '../clock.ts';
import { decodeEvent, deliverUntilTaken, within } from './engine.ts';
import type { CloudEvent, Deliver, Subscription } from './port.ts';
import {
  connect,
  createGroup,
  DEAD_LETTERS_KEPT,
  DEAD_STREAM,
  streamOf,
  type RedisBusOptions,
} from './redis-streams.ts';

const BLOCK_MS = 2000;
const RECONNECT_PAUSE_MS = 200;
const CLOSE_TIMEOUT_MS = 2000;
/** Under load without a pause, pending entries are looked for once in so many batches. */
const SWEEP_EVERY = 500;

type Entry = [id: string, fields: string[] | null];

interface State {
  readonly options: RedisBusOptions;
  readonly subscription: Subscription;
  readonly deliver: Deliver;
  readonly client: Redis;
  readonly stream: string;
  readonly stopping: AbortController;
  /** The acknowledgement that was sent last; the next read does not wait for its reply. */
  acknowledged: Promise<unknown>;
}

/**
 * Reads one stream for one group until stopped, over any number of lost connections. Every process
 * reads under the same consumer name, the group's: a lease sees to it that there is one at a time,
 * and what a dead one took without acknowledging is then simply this one's own pending list.
 */
export function startReading(
  options: RedisBusOptions,
  subscription: Subscription,
  deliver: Deliver,
): () => Promise<void> {
  const { topic, partition, group } = subscription;
  const state: State = {
    options,
    subscription,
    deliver,
    client: connect(options, `${group}-reads-${topic}-${partition}`),
    stream: streamOf(topic, partition),
    stopping: new AbortController(),
    acknowledged: Promise.resolve(),
  };
  let busy = false;
  const finished = run(state, (now) => (busy = now));
  return async () => {
    state.stopping.abort();
    // A read that waits for entries ends with its connection; a batch in hand is waited for.
    if (!busy) await hangUp(state);
    await finished;
    await hangUp(state);
  };
}

async function hangUp(state: State): Promise<void> {
  await within(CLOSE_TIMEOUT_MS, 'acknowledging', state.acknowledged).catch(() => undefined);
  state.client.disconnect();
}

async function run(state: State, setBusy: (busy: boolean) => void): Promise<void> {
  const { client, stream, subscription, stopping, options } = state;
  const { group } = subscription;
  let prepared = false;
  // First what is pending, then what is new; an empty reply switches from the one to the other.
  let pending = true;
  let healthy = true;
  for (let reads = 1; !stopping.signal.aborted; reads++) {
    try {
      if (!prepared) await createGroup(client, stream, group);
      prepared = true;
      const entries = await read(state, pending);
      healthy = true;
      if (entries.length === 0) pending = !pending;
      else if (reads % SWEEP_EVERY === 0) pending = true;
      if (entries.length === 0 || stopping.signal.aborted) continue;
      setBusy(true);
      await settle(state, entries);
    } catch (error) {
      if (stopping.signal.aborted) return;
      // One line for each time it is lost, not one for each attempt to get it back.
      if (healthy) options.log.warn({ err: error, stream, group }, 'A stream was lost.');
      healthy = false;
      // Either the connection was lost, and a reply with it, or the server lost the group.
      prepared = false;
      pending = true;
      state.acknowledged = Promise.resolve();
      await sleep(RECONNECT_PAUSE_MS, stopping.signal);
    } finally {
      setBusy(false);
    }
  }
}

/** The next entries: those delivered before and never acknowledged, or new ones. */
async function read(state: State, pending: boolean): Promise<Entry[]> {
  const { group, batchSize } = state.subscription;
  const { client, stream } = state;
  const consumer = ['GROUP', group, group, 'COUNT', batchSize];
  const reading = pending
    ? client.call('XREADGROUP', ...consumer, 'STREAMS', stream, '0')
    : client.call('XREADGROUP', ...consumer, 'BLOCK', BLOCK_MS, 'STREAMS', stream, '>');
  const [reply] = await Promise.all([reading, state.acknowledged]);
  const [ofStream] = (reply ?? []) as [string, Entry[]][];
  return ofStream?.[1] ?? [];
}

/** Delivers one batch and acknowledges it; what is no event goes to the dead letters. */
async function settle(state: State, entries: readonly Entry[]): Promise<void> {
  const { client, stream, subscription, deliver, stopping, options } = state;
  const events: CloudEvent[] = [];
  for (const [id, fields] of entries) {
    // A pending entry without fields was cut off by the stream's maximum length.
    if (fields === null) continue;
    const body = fields[fields.indexOf('event') + 1];
    const event = decodeEvent(body);
    if (event !== undefined) {
      events.push(event);
      continue;
    }
    options.log.error({ stream, entry: id }, 'A message is no event.');
    const limit = ['MAXLEN', '~', DEAD_LETTERS_KEPT];
    const origin = ['stream', stream, 'entry', id];
    await client.call(
      'XADD',
      DEAD_STREAM,
      ...limit,
      '*',
      ...origin,
      'fields',
      JSON.stringify(fields),
    );
  }
  const taken =
    events.length === 0 || (await deliverUntilTaken(events, deliver, stopping.signal, options.log));
  if (!taken) return;
  const ids = entries.map(([id]) => id);
  state.acknowledged = client.xack(stream, subscription.group, ...ids);
  // Its failure is seen by the next read; nobody may be waiting yet when it comes.
  state.acknowledged.catch(() => undefined);
}
