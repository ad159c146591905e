/**
 * The consumer: order and once-only effects whatever the bus does (spec 0.4).
 *
 * The inbox remembers the last version per key, in the same transaction as the effect. What was
 * seen is dropped; what skips a version is held back until the producer's log has filled the gap;
 * what fails is tried again in place, then parked with all later events of its key. A batch that
 * may have killed another process is handled event by event, each counted before it runs.
 */
import { partitionOf, type Bus, type CloudEvent } from './bus/port.ts';
import { sleep } from './clock.ts';
import type { Tx } from './db.ts';
import { Outage } from './errors.ts';
import { LOG_PAGE, type LogHead } from './eventlog.ts';
import { failpoint } from './failpoints.ts';
import { applyInOrder, handleCarefully, type Inbox } from './inbox.ts';
import type { Leases } from './leases.ts';
import { gauge, inSpan } from './telemetry.ts';

/**
 * Handles events of one type, at most one per key, in the transaction that records them.
 * An effect outside the database is a task, enqueued here.
 */
export type HandleEvents<Context> = (
  tx: Tx,
  events: readonly CloudEvent[],
  context: Context,
) => Promise<void>;

export interface ConsumerDefinition<Context> {
  /** The producing service. */
  readonly topic: string;
  /** Event types that matter here; all others are recorded as seen. */
  readonly handlers: Readonly<Record<string, HandleEvents<Context>>>;
  /**
   * How long it rests after a batch, for a follower that nobody waits for: a batch costs its round
   * trips whatever it holds, and the next one holds more.
   */
  readonly restMs?: number;
}

/** How the consumer asks the producer for what the bus did not bring. */
export interface ProducerLog {
  ofKey(topic: string, key: string, afterVersion: number): Promise<readonly CloudEvent[]>;
  /** Positions, keys and versions, up to what is two seconds old. */
  heads(topic: string, after: number): Promise<readonly LogHead[]>;
  range(topic: string, after: number): Promise<readonly CloudEvent[]>;
}

export interface ConsumerOptions {
  readonly leases: Leases;
  readonly bus: Bus;
  readonly producer: ProducerLog;
}

const BATCH = 200;
const AUDIT_MS = 2000;
const SILENCE_MS = 3000;
/** Up to so many keys are pulled one by one. */
const FEW_KEYS = 10;

const consumed = gauge('waybill_consumer_position', 'Last position seen', ['topic', 'group']);
const lag = gauge('waybill_consumer_lag_events', 'Events known but not seen', ['topic', 'group']);

/** Consumes one topic for as long as the process runs; partitions are shared by lease. */
export function startConsumer(inbox: Inbox, options: ConsumerOptions): void {
  const { topic } = inbox;
  const { bus, leases } = options;
  for (let partition = 0; partition < bus.partitions; partition++)
    leases.hold(`consume ${topic} ${partition}`, (signal, takenOver) =>
      consumePartition(inbox, bus, partition, { signal, takenOver }),
    );
  leases.hold(`audit ${topic}`, async (signal, takenOver) => {
    let careful = takenOver;
    while (!signal.aborted) {
      const more = await audit(inbox, bus.partitions, options.producer, careful);
      careful = false;
      if (!more) await sleep(AUDIT_MS, signal);
    }
  });
}

async function consumePartition(
  inbox: Inbox,
  bus: Bus,
  partition: number,
  { signal, takenOver }: { signal: AbortSignal; takenOver: boolean },
): Promise<void> {
  const { db, topic } = inbox;
  await db.query('insert into cursors (topic, partition) values ($1, $2) on conflict do nothing', [
    topic,
    partition,
  ]);
  const [cursor] = await db.query<{ position: bigint }>(
    'select position from cursors where topic = $1 and partition = $2',
    [topic, partition],
  );
  let careful = takenOver;
  let unfinished = false;
  await bus.declare(topic, [db.service]);
  const stop = await bus.subscribe(
    {
      topic,
      group: db.service,
      partition,
      after: Number(cursor?.position ?? 0n),
      batchSize: BATCH,
    },
    async (events) => {
      unfinished = true;
      await deliver(inbox, partition, events, careful, signal);
      unfinished = careful = false;
      if (inbox.restMs !== undefined) await sleep(inbox.restMs, signal);
    },
  );
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await stop();
  // It may be what ends this process: whoever has the partition next must begin with care.
  if (unfinished) throw new Outage('lease', 'a batch was left unfinished');
}

/** Handles one delivery; retries in place for as long as something it needs is away. */
async function deliver(
  inbox: Inbox,
  partition: number,
  events: readonly CloudEvent[],
  careful: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { topic, db } = inbox;
  let slow = careful;
  for (let attempt = 0; ; attempt++) {
    if (signal.aborted) throw new Outage('lease', 'the partition went to another process');
    try {
      await inSpan(`consume ${topic}`, 'CONSUMER', { 'messaging.batch.size': events.length }, () =>
        slow ? handleCarefully(inbox, partition, events) : handleQuickly(inbox, partition, events),
      );
      consumed.set({ topic, group: db.service }, events.at(-1)?.position ?? 0);
      if (await failpoint('consumer.after_commit')) await applyInOrder(inbox, partition, events);
      return;
    } catch (error) {
      if (!(error instanceof Outage)) slow = true;
      inbox.log.warn({ topic, err: error, attempt }, 'a batch of events is tried again');
      await sleep(Math.min(5000, 50 * 2 ** Math.min(attempt, 7)), signal);
    }
  }
}

async function handleQuickly(inbox: Inbox, partition: number, events: readonly CloudEvent[]) {
  await failpoint('consumer.before_handle');
  await applyInOrder(inbox, partition, events);
}

interface Missing {
  position: bigint;
  key: string;
}

/**
 * Compares the producer's log with the inbox, and pulls what the bus has lost: an event is lost
 * when its partition has gone past it, or has been silent while it waits. True: there is more.
 */
async function audit(
  inbox: Inbox,
  partitions: number,
  producer: ProducerLog,
  careful: boolean,
): Promise<boolean> {
  const { db, topic } = inbox;
  const cursors = await db.query<{ partition: number; position: bigint; silent: boolean }>(
    `select partition, position,
       updated_at < now() - interval '${SILENCE_MS} milliseconds' as silent
     from cursors where topic = $1`,
    [topic],
  );
  const audited = Number(cursors.find((row) => row.partition === -1)?.position ?? 0n);
  const heads = await producer.heads(topic, audited);
  const last = heads.at(-1);
  if (last === undefined) {
    lag.set({ topic, group: db.service }, 0);
    return false;
  }
  const missing = await db.query<Missing>(
    `select h.position, h.key
     from json_to_recordset($2) as h(position bigint, key text, version integer)
     where not exists (select 1 from inbox i
         where i.topic = $1 and i.key = h.key and i.version >= h.version)
       and not exists (select 1 from dead_letters d
         where d.topic = $1 and d.key = h.key and d.version >= h.version)
     order by h.position`,
    [topic, JSON.stringify(heads)],
  );
  lag.set({ topic, group: db.service }, missing.length);
  const lost = missing.filter((event) => {
    const cursor = cursors.find((row) => row.partition === partitionOf(event.key, partitions));
    return cursor === undefined || cursor.silent || cursor.position >= event.position;
  });
  const lostKeys = new Set(lost.map((event) => event.key));
  const [firstLost] = lost;
  if (firstLost !== undefined) {
    inbox.log.warn({ topic, keys: lostKeys.size }, 'pulls events the bus lost');
    if (lostKeys.size > FEW_KEYS) {
      const events = await producer.range(topic, Number(firstLost.position) - 1);
      await pullRange(inbox, events, careful);
      return true;
    }
    for (const key of lostKeys) await pull(inbox, key);
  }
  const waits = missing.find((event) => !lostKeys.has(event.key));
  const upTo = waits === undefined ? last.position : Number(waits.position) - 1;
  await db.query(
    `insert into cursors (topic, partition, position) values ($1, -1, $2)
     on conflict (topic, partition) do update
     set position = greatest(cursors.position, excluded.position), updated_at = now()`,
    [topic, upTo],
  );
  return waits === undefined && heads.length === LOG_PAGE;
}

/** A bus that lost much is made good by the page, not by the key. */
async function pullRange(
  inbox: Inbox,
  events: readonly CloudEvent[],
  careful: boolean,
): Promise<void> {
  const byPartition = Map.groupBy(events, (event) => inbox.partitionOf(event.key));
  for (const [partition, ofPartition] of byPartition)
    for (let start = 0; start < ofPartition.length; start += BATCH) {
      const batch = ofPartition.slice(start, start + BATCH);
      if (careful) await handleCarefully(inbox, partition, batch);
      else
        await applyInOrder(inbox, partition, batch).catch((error: unknown) => {
          if (error instanceof Outage) throw error;
          return handleCarefully(inbox, partition, batch);
        });
    }
}

async function pull(inbox: Inbox, key: string): Promise<void> {
  const [row] = await inbox.db.query<{ version: number }>(
    `select greatest(
       coalesce((select version from inbox where topic = $1 and key = $2), 0),
       coalesce((select max(version) from dead_letters where topic = $1 and key = $2), 0)
     ) as version`,
    [inbox.topic, key],
  );
  await failpoint('consumer.pull.before');
  const events = await inbox.missing(key, row?.version ?? 0);
  if (events.length > 0) await handleCarefully(inbox, inbox.partitionOf(key), events);
}
