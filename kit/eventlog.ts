/**
 * The event log: a change and its event commit together (`emit`), one sequencer gives dense
 * positions, the relay publishes in position order (ADR 0003). Consumers pull from here what the
 * bus has lost.
 */
import { deleteBite } from './bites.ts';
import type { Bus, CloudEvent, OutgoingEvent } from './bus/port.ts';
import { monotonicMs, sleep } from './clock.ts';
import type { Database, Queryable, Tx } from './db.ts';
import { failpoint } from './failpoints.ts';
import type { Json } from './json.ts';
import type { Leases } from './leases.ts';
import { currentTraceparent, gauge } from './telemetry.ts';
import { waitForWake, wake } from './wake.ts';

export interface NewEvent {
  /** The aggregate's id. */
  readonly key: string;
  /** The aggregate's version after the change; dense from 1. */
  readonly version: number;
  readonly type: string;
  readonly data: Json;
}

/**
 * Writes the events of this transaction's changes. The caller holds the aggregates' row locks, so
 * that versions of one key are written in order.
 */
export async function emit(tx: Tx, topic: string, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx.query(
    `insert into log (key, version, type, data, traceparent)
     select e.key, e.version, e.type, e.data, $2
     from json_to_recordset($1) as e(key text, version integer, type text, data json)`,
    [JSON.stringify(events), currentTraceparent() ?? null],
  );
  tx.onCommit(() => wakeSequencer(topic));
}

/** Tells the sequencer of this process that events were committed. */
export function wakeSequencer(topic: string): void {
  wake(`log:${topic}`);
}

const BATCH = 500;
/** How many events or heads one request for the log returns at most. */
export const LOG_PAGE = 1000;
/** How long an idle relay waits for what another process commits; its own process wakes it. */
const IDLE_MS = 100;

const lastPosition = gauge('waybill_log_position', 'Last position given', ['topic']);
const pending = gauge('waybill_outbox_pending_events', 'Events not yet published', ['topic']);
const oldest = gauge('waybill_outbox_oldest_age_seconds', 'Age of the oldest of them', ['topic']);

/**
 * After a round the relay rests twice as long as the round took, which leaves the database to
 * acceptance; what arrives meanwhile makes the next round larger, and so cheaper by event. At 32
 * connections it is the difference between 6,000 and 10,000 accepted orders a second.
 */
const LONGEST_REST_MS = 50;

/** How often an idle relay looks for events that somebody else numbered. */
const LOOK_BACK_ROUNDS = 10;

/** Sequences and publishes this service's log for as long as this process holds its lease. */
export function startRelay(db: Database, leases: Leases, bus: Bus, groups: readonly string[]) {
  const topic = db.service;
  return leases.hold(`relay ${topic}`, async (signal) => {
    await bus.declare(topic, groups);
    if ((await bus.readsLog?.(topic)) === true) await numberOnly(db, signal);
    else await numberAndPublish(db, bus, signal);
  });
}

/** Where subscribers read the log itself, an event that has a position is published. */
async function numberOnly(db: Database, signal: AbortSignal): Promise<void> {
  // Numbered and not copied, when copies were still made.
  await db.query('update log_head set published = position where published < position');
  while (!signal.aborted) {
    const begunMs = monotonicMs();
    const woken = waitForWake(`log:${db.service}`, IDLE_MS, signal);
    if (await number(db, null)) {
      wake(`bus:${db.service}`);
      await rest(begunMs, signal);
    } else await woken;
  }
}

async function numberAndPublish(db: Database, bus: Bus, signal: AbortSignal): Promise<void> {
  const topic = db.service;
  let published = await publishedPosition(db);
  let recorded = published;
  let idleRounds = 0;
  // Numbered and not published: by a relay that died, or by one that had lost its lease.
  let behind = true;
  while (!signal.aborted) {
    const begunMs = monotonicMs();
    const woken = waitForWake(`log:${topic}`, IDLE_MS, signal);
    const numbered = await number(db, published);
    if (numbered) recorded = published;
    const events: readonly OutgoingEvent[] =
      numbered || behind ? await readForBus(db, published) : [];
    behind = events.length === BATCH;
    const last = events.at(-1);
    if (last !== undefined) {
      await failpoint('log.publish.before');
      await bus.publish(topic, events);
      if (await failpoint('log.publish.after')) await bus.publish(topic, events);
      published = last.position;
      wake(`bus:${topic}`);
      await rest(begunMs, signal);
    } else if (recorded < published) {
      await db.query('update log_head set published = greatest(published, $1)', [published]);
      recorded = published;
      await failpoint('log.publish.recorded');
    } else {
      await woken;
      behind = ++idleRounds % LOOK_BACK_ROUNDS === 0;
    }
  }
}

function rest(begunMs: number, signal: AbortSignal): Promise<void> {
  return sleep(Math.min(LONGEST_REST_MS, 2 * (monotonicMs() - begunMs)), signal);
}

async function publishedPosition(db: Database): Promise<number> {
  const rows = await db.query<{ published: bigint }>('select published from log_head');
  return Number(rows[0]?.published ?? 0n);
}

/**
 * Numbers what was committed since; tells whether there was any. How far publishing has come is
 * recorded with it (null: as far as numbering): a commit of its own for that is left to when there
 * is nothing else to do.
 */
async function number(db: Database, published: number | null): Promise<boolean> {
  const rows = await db.query<{ position: bigint | null }>(
    'select position from sequence_log($1, $2)',
    [BATCH, published],
  );
  const numbered = rows[0]?.position !== null;
  if (numbered) await failpoint('log.sequence.after_commit');
  return numbered;
}

/** An event as it stands in the log. */
export interface LogRow {
  position: bigint;
  key: string;
  version: number;
  type: string;
  time: string;
  traceparent: string | null;
  data: Json;
}

const COLUMNS = 'position, key, version, type, time, traceparent, data';

type OutgoingRow = Omit<LogRow, 'data'> & { data: string };

/** Events after a position as the bus takes them. */
async function readForBus(db: Database, after: number): Promise<OutgoingEvent[]> {
  const rows = await db.query<OutgoingRow>(
    `select position, key, version, type, time, traceparent, data::text as data
     from log where position > $1 order by position limit $2`,
    [after, BATCH],
  );
  return rows.map((row) => outgoingOf(db.service, row));
}

/**
 * The envelope as text. The data is spliced in as the text it is stored as: parsing it only to
 * write it again would be half of the relay's work.
 */
function outgoingOf(topic: string, row: OutgoingRow): OutgoingEvent {
  const { data, ...head } = envelope(topic, row);
  return {
    key: row.key,
    position: head.position,
    body: `${JSON.stringify(head).slice(0, -1)},"data":${data as string}}`,
  };
}

/** Events of one key after a version, in order; only those that have a position. */
export async function readLogOfKey(
  db: Queryable & { service: string },
  key: string,
  afterVersion: number,
  limit: number,
) {
  const rows = await db.query<LogRow>(
    `select ${COLUMNS} from log
     where key = $1 and version > $2 and position is not null order by version limit $3`,
    [key, afterVersion, limit],
  );
  return rows.map((row) => envelope(db.service, row));
}

export interface LogHead {
  readonly position: number;
  readonly key: string;
  readonly version: number;
}

/** Events after a position, in order. */
export async function readLog(db: Database, after: number, limit: number): Promise<CloudEvent[]> {
  const rows = await db.query<LogRow>(
    `select ${COLUMNS} from log where position > $1 order by position limit $2`,
    [after, limit],
  );
  return rows.map((row) => envelope(db.service, row));
}

/**
 * What an auditing consumer compares with its inbox, briefly. Ends before the first event that is
 * younger than two seconds: its delivery may well be under way.
 */
export async function readLogHeads(db: Database, after: number, limit: number): Promise<LogHead[]> {
  const rows = await db.query<{ position: bigint; key: string; version: number; young: boolean }>(
    `select position, key, version, time > now() - interval '2 seconds' as young
     from log where position > $1 order by position limit $2`,
    [after, limit],
  );
  const heads: LogHead[] = [];
  for (const { position, key, version, young } of rows) {
    if (young) break;
    heads.push({ position: Number(position), key, version });
  }
  return heads;
}

/** The envelope in which an event travels. */
export function envelope(topic: string, row: LogRow): CloudEvent {
  return {
    specversion: '1.0',
    id: `${row.key}:${row.version}`,
    source: `/waybill/${topic}`,
    type: row.type,
    time: row.time,
    datacontenttype: 'application/json',
    topic,
    position: Number(row.position),
    key: row.key,
    version: row.version,
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent }),
    data: row.data,
  };
}

/**
 * Deletes published events older than the retention, the oldest 5,000 at a time; true: there may
 * be more. Only those are looked at: a condition on time alone would read the whole log to find
 * that nothing is due.
 */
export function trimLog(db: Database, retentionDays: number): Promise<boolean> {
  return deleteBite(
    db,
    `delete from log where position <= (
       select max(oldest.position) from (
         select position, time from log
         where position is not null order by position limit $1) oldest
       where oldest.time < now() - make_interval(days => $2)
         and oldest.position <= (select published from log_head))`,
    [retentionDays],
  );
}

/** Refreshes the log's gauges; called when metrics are scraped. */
export async function measureLog(db: Database): Promise<void> {
  const rows = await db.query<{ position: bigint; pending: bigint; age: number | null }>(
    `select h.position, h.position - h.published +
       (select count(*) from (select from log where position is null limit 10000) u) as pending,
       extract(epoch from now() - coalesce(
         (select time from log where position = h.published + 1),
         (select time from log where position is null order by id limit 1)))::float8 as age
     from log_head h`,
  );
  const row = rows[0];
  if (row === undefined) return;
  const topic = db.service;
  lastPosition.set({ topic }, Number(row.position));
  pending.set({ topic }, Number(row.pending));
  oldest.set({ topic }, Math.max(0, row.age ?? 0));
}
