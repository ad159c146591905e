/** How a consumer records events: in order per key, once, with their effect. See consumer.ts. */
import type { CloudEvent } from './bus/port.ts';
import type { Database, Queryable, Tx } from './db.ts';
import { Outage, Refusal } from './errors.ts';
import { failpoint } from './failpoints.ts';
import { newId } from './ids.ts';
import type { Logger } from './logger.ts';
import { inSpan, isTracing } from './telemetry.ts';

export interface Inbox {
  readonly topic: string;
  /** The rest after a batch, if it takes one. */
  readonly restMs?: number | undefined;
  readonly db: Database;
  readonly log: Logger;
  /** Whether events of this type mean anything here. */
  handles(type: string): boolean;
  handle(tx: Tx, type: string, events: readonly CloudEvent[]): Promise<void>;
  partitionOf(key: string): number;
  /** The key's events after a version, from the producer's log. */
  missing(key: string, afterVersion: number): Promise<readonly CloudEvent[]>;
}

/** Attempts at one event before it is parked, thrown errors and dead processes counted alike. */
const MAX_ATTEMPTS = 3;

interface Sorted {
  readonly fresh: readonly CloudEvent[];
  /** Later events of a parked key. */
  readonly behind: CloudEvent[];
  readonly gaps: Map<string, Gap>;
}

interface Gap {
  /** The version up to which the key is known. */
  readonly known: number;
  /** The version that came instead of the next one. */
  readonly met: number;
}

/**
 * Records a batch and its effects in one transaction, then fills the gaps it met. Any failure
 * leaves nothing behind and is thrown.
 */
export async function applyInOrder(
  inbox: Inbox,
  partition: number,
  events: readonly CloudEvent[],
  firstOfKey = false,
): Promise<void> {
  if (events.length === 0) return;
  const meansNothing = !events.some(({ type }) => inbox.handles(type));
  if (meansNothing && (await take(inbox, inbox.db, partition, events)) === undefined) return;
  const gaps = await inbox.db.transaction(async (tx) => {
    const known = await take(inbox, tx, partition, events);
    const sorted =
      known === undefined
        ? { fresh: events, behind: [], gaps: new Map<string, Gap>() }
        : sort(known, events, firstOfKey);
    for (const round of rounds(sorted.fresh)) {
      const types = new Map<string, CloudEvent[]>();
      for (const event of round) {
        const same = types.get(event.type);
        if (same === undefined) types.set(event.type, [event]);
        else same.push(event);
      }
      for (const [type, ofType] of types) await handleTraced(inbox, tx, type, ofType);
    }
    if (known !== undefined) await remember(inbox, tx, sorted.fresh);
    for (const event of sorted.behind)
      await park(inbox, tx, event, 'an earlier event of this key is parked', 0);
    await failpoint('consumer.before_commit');
    return sorted.gaps;
  });
  for (const [key, gap] of gaps) await fill(inbox, partition, key, gap);
}

/** With tracing on, each event is handled on its own, as a part of the trace that raised it. */
async function handleTraced(inbox: Inbox, tx: Tx, type: string, events: readonly CloudEvent[]) {
  if (!isTracing()) return inbox.handle(tx, type, events);
  for (const event of events)
    await inSpan(
      `handle ${type}`,
      'CONSUMER',
      { 'messaging.destination.name': inbox.topic },
      () => inbox.handle(tx, type, [event]),
      event.traceparent,
    );
}

/**
 * One event at a time, counted before it runs; what keeps failing is parked. `firstOfKey`: what
 * came before the first of them is nowhere any more.
 */
export async function handleCarefully(
  inbox: Inbox,
  partition: number,
  events: readonly CloudEvent[],
  firstOfKey = false,
): Promise<void> {
  for (const event of events) {
    for (let again = false; ; again = true) {
      const attempts = await countAttempt(inbox, event, again);
      if (attempts > MAX_ATTEMPTS) {
        await giveUp(inbox, partition, event, 'it killed its process', attempts - 1);
        break;
      }
      try {
        await failpoint('consumer.singly.before_handle');
        await applyInOrder(inbox, partition, [event], firstOfKey && event === events[0]);
        break;
      } catch (error) {
        if (error instanceof Outage) {
          await forgetAttempts(inbox, event.key, event.version);
          throw error;
        }
        inbox.log.error(
          { topic: inbox.topic, type: event.type, key: event.key, err: error },
          'an event failed',
        );
        if (attempts < MAX_ATTEMPTS) continue;
        await giveUp(inbox, partition, event, String((error as Error).stack ?? error), attempts);
        break;
      }
    }
    await forgetAttempts(inbox, event.key, event.version);
  }
}

/** How far a key is known. */
interface Known {
  readonly key: string;
  readonly version: number;
  readonly parked: boolean;
}

/**
 * Takes the partition's turn and records the batch, if each of its keys goes on without a gap from
 * what is known; undefined then. Otherwise what is known of them, and nothing is recorded.
 */
async function take(
  inbox: Inbox,
  db: Queryable,
  partition: number,
  events: readonly CloudEvent[],
): Promise<readonly Known[] | undefined> {
  const firsts = new Map<string, number | null>();
  const lasts = new Map<string, number>();
  for (const { key, version } of events) {
    const last = lasts.get(key);
    if (last === undefined) firsts.set(key, version);
    else if (version !== last + 1) firsts.set(key, null);
    lasts.set(key, version);
  }
  const [row] = await db.query<{ known: readonly Known[] | null }>(
    'select take_events($1, $2, $3, $4, $5, $6) as known',
    [
      inbox.topic,
      partition,
      events.at(-1)?.position,
      [...lasts.keys()],
      [...firsts.values()],
      [...lasts.values()],
    ],
  );
  return row?.known ?? undefined;
}

function sort(rows: readonly Known[], events: readonly CloudEvent[], firstOfKey: boolean): Sorted {
  const upTo = (parked: boolean) =>
    new Map(rows.filter((row) => row.parked === parked).map((row) => [row.key, row.version]));
  const versions = upTo(false);
  const parkedUpTo = upTo(true);
  const fresh: CloudEvent[] = [];
  const sorted: Sorted = { fresh, behind: [], gaps: new Map() };
  let first = firstOfKey;
  for (const event of events) {
    const { key, version } = event;
    const known = parkedUpTo.get(key) ?? versions.get(key) ?? 0;
    if (version <= known) continue;
    if (version > known + 1 && !first) {
      if (!sorted.gaps.has(key)) sorted.gaps.set(key, { known, met: version });
      continue;
    }
    first = false;
    if (parkedUpTo.has(key)) {
      parkedUpTo.set(key, version);
      sorted.behind.push(event);
    } else {
      versions.set(key, version);
      fresh.push(event);
    }
  }
  return sorted;
}

/** Splits a batch so that each round holds a key once; a key's events keep their order. */
function rounds(events: readonly CloudEvent[]): CloudEvent[][] {
  const result: CloudEvent[][] = [];
  const depth = new Map<string, number>();
  for (const event of events) {
    const round = depth.get(event.key) ?? 0;
    depth.set(event.key, round + 1);
    const list = result[round];
    if (list === undefined) result[round] = [event];
    else list.push(event);
  }
  return result;
}

async function remember(inbox: Inbox, tx: Tx, fresh: readonly CloudEvent[]): Promise<void> {
  if (fresh.length === 0) return;
  const versions = new Map(fresh.map((event) => [event.key, event.version]));
  await tx.query(
    `insert into inbox (topic, key, version)
     select $1, key, version from unnest($2::text[], $3::integer[]) as e(key, version)
     on conflict (topic, key) do update set version = excluded.version, updated_at = now()`,
    [inbox.topic, [...versions.keys()], [...versions.values()]],
  );
}

/** Fetches what a key lacks and records it; rejects with an Outage while it cannot be had. */
async function fill(
  inbox: Inbox,
  partition: number,
  key: string,
  { known, met }: Gap,
): Promise<void> {
  // What met the gap has not been run: whatever ends this process meanwhile, it was not that.
  await forgetAttempts(inbox, key, met);
  const events = await inbox.missing(key, known);
  const first = events[0];
  if (first === undefined)
    throw new Outage(`log ${inbox.topic}`, `version ${known + 1} of ${key} is nowhere yet`);
  const expired = first.version > known + 1;
  if (expired)
    inbox.log.warn({ topic: inbox.topic, key, known }, 'earlier events have left the log; goes on');
  await handleCarefully(inbox, partition, events, expired);
}

const PROCESS = newId();

/**
 * A process that dies counts once for an event, also where the audit and the partition were both
 * about to handle it; what is tried `again` has thrown, and counts each time.
 */
async function countAttempt(inbox: Inbox, event: CloudEvent, again: boolean): Promise<number> {
  const [row] = await inbox.db.query<{ attempts: number }>(
    `insert into deliveries (topic, key, version, attempts, process) values ($1, $2, $3, 1, $4)
     on conflict (topic, key, version) do update set process = excluded.process,
       attempts = deliveries.attempts +
         case when deliveries.process = excluded.process and not $5 then 0 else 1 end
     returning attempts`,
    [inbox.topic, event.key, event.version, PROCESS, again],
  );
  return row?.attempts ?? 1;
}

/** Of this version of a key and of later ones, which did not have their turn. */
async function forgetAttempts(inbox: Inbox, key: string, version: number): Promise<void> {
  await inbox.db.query('delete from deliveries where topic = $1 and key = $2 and version >= $3', [
    inbox.topic,
    key,
    version,
  ]);
}

async function giveUp(
  inbox: Inbox,
  partition: number,
  event: CloudEvent,
  error: string,
  attempts: number,
): Promise<void> {
  await inbox.db.transaction(async (tx) => {
    await tx.query(
      `update cursors set position = greatest(position, $3), updated_at = now()
       where topic = $1 and partition = $2`,
      [inbox.topic, partition, event.position],
    );
    await park(inbox, tx, event, error, attempts);
  });
  inbox.log.error(
    { topic: inbox.topic, type: event.type, key: event.key, attempts },
    'an event is parked',
  );
}

function park(inbox: Inbox, tx: Tx, event: CloudEvent, error: string, attempts: number) {
  return tx.query(
    `insert into dead_letters (topic, key, version, type, event, error, attempts)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
    [
      inbox.topic,
      event.key,
      event.version,
      event.type,
      JSON.stringify(event),
      error.slice(0, 4000),
      attempts,
    ],
  );
}

/**
 * Handles the parked events of a key again, in order, each in a transaction with its removal.
 * Stops at the first that fails, which stays parked with its new error. Returns how many went.
 */
export async function replayKey(inbox: Inbox, key: string): Promise<number> {
  const partition = inbox.partitionOf(key);
  for (let replayed = 0; ; replayed++) {
    const more = await inbox.db.transaction(async (tx) => {
      await tx.query('select 1 from cursors where topic = $1 and partition = $2 for update', [
        inbox.topic,
        partition,
      ]);
      const [row] = await tx.query<{ event: CloudEvent }>(
        'select event from dead_letters where topic = $1 and key = $2 order by version limit 1',
        [inbox.topic, key],
      );
      if (row === undefined) return false;
      try {
        await inbox.handle(tx, row.event.type, [row.event]);
      } catch (error) {
        throw new Refusal(
          409,
          'replay_failed',
          `Version ${row.event.version} failed again: ${String(error)}`,
        );
      }
      await remember(inbox, tx, [row.event]);
      await tx.query('delete from dead_letters where topic = $1 and key = $2 and version = $3', [
        inbox.topic,
        key,
        row.event.version,
      ]);
      return true;
    });
    if (!more) return replayed;
  }
}
