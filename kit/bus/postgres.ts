/**
 * The default bus: PostgreSQL. Of a service whose log lies in the bus's own database, subscribers
 * read that log; of any other, a table of copies (ADR 0003). Services reach both only through
 * functions, which check that the caller's role publishes the topic or subscribes to it.
 */
import pg from 'pg';
import { connectionOf, type Database } from '../db.ts';
import { Outage } from '../errors.ts';
import { envelope, type LogRow } from '../eventlog.ts';
import { sleep } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { waitForWake } from '../wake.ts';
import type { Bus, CloudEvent } from './port.ts';

const IDLE_MS = 100;
const RETRY_MS = 500;

const SET_UP = `
create schema if not exists bus;
create table if not exists bus.topics (
  topic text primary key,
  publisher text not null,
  reads_log boolean not null
);
create table if not exists bus.subscriptions (
  topic text not null,
  subscriber text not null,
  primary key (topic, subscriber)
);
create table if not exists bus.events (
  topic text not null,
  position bigint not null,
  published_at timestamptz not null default now(),
  event text not null,
  primary key (topic, position)
);
create or replace function bus.publish(the_topic text, positions bigint[], events text[])
returns void
language plpgsql security definer set search_path = bus, pg_temp as $$
begin
  if not exists (select from bus.topics t where t.topic = the_topic and t.publisher = session_user)
  then raise insufficient_privilege
    using message = session_user || ' does not publish ' || the_topic;
  end if;
  insert into bus.events (topic, position, event)
  select the_topic, e.position, e.event from unnest(positions, events) as e(position, event)
  on conflict do nothing;
end $$;
create or replace function bus.reads_log(the_topic text) returns boolean
language sql stable security definer set search_path = bus, pg_temp as $$
  select t.reads_log from bus.topics t where t.topic = the_topic
$$;
create or replace function bus.fetch(the_topic text, after bigint, batch integer)
returns table (event text, "position" bigint, key text, version integer, type text,
  "time" timestamptz, traceparent text, data json)
language plpgsql stable security definer set search_path = bus, pg_temp as $$
#variable_conflict use_column
begin
  if not exists (select from bus.subscriptions s
    where s.topic = the_topic and s.subscriber = session_user)
  then raise insufficient_privilege
    using message = session_user || ' does not subscribe to ' || the_topic;
  end if;
  if bus.reads_log(the_topic) then
    return query execute format('select null::text, l.position, l.key, l.version, l.type, l.time,
      l.traceparent, l.data from %I.log l where l.position > $1 order by l.position limit $2',
      the_topic) using after, batch;
  else
    return query select e.event, e.position, null::text, null::integer, null::text,
      null::timestamptz, null::text, null::json from bus.events e
      where e.topic = the_topic and e.position > after order by e.position limit batch;
  end if;
end $$;
create or replace function bus.trim(the_topic text, keep interval) returns void
language sql security definer set search_path = bus, pg_temp as $$
  delete from bus.events e where e.topic = the_topic
  and exists (select from bus.topics t where t.topic = the_topic and t.publisher = session_user)
  and e.position <= (
    select max(oldest.position) from (
      select t.position, t.published_at from bus.events t
      where t.topic = the_topic order by t.position limit 20000) oldest
    where oldest.published_at < now() - keep)
$$;
`;

export interface BusMember {
  readonly service: string;
  readonly role: string;
  /** Whether the log of its events lies in the bus's database, in a schema of its name. */
  readonly logIsHere: boolean;
  /** Topics it consumes. */
  readonly consumes: readonly string[];
}

/** Makes the bus schema and registers who may publish and subscribe. Run by the owner. */
export async function setUpPostgresBus(client: pg.Client, members: readonly BusMember[]) {
  await client.query(SET_UP);
  for (const { service, role, logIsHere, consumes } of members) {
    await client.query(`grant usage on schema bus to "${role}"`);
    await client.query(
      `insert into bus.topics values ($1, $2, $3)
       on conflict (topic) do update set publisher = $2, reads_log = $3`,
      [service, role, logIsHere],
    );
    for (const topic of consumes)
      await client.query('insert into bus.subscriptions values ($1, $2) on conflict do nothing', [
        topic,
        role,
      ]);
  }
}

/** The bus as one service uses it, through a pool of its own role in the bus's database. */
export function openPostgresBus(db: Database, log: Logger): Bus {
  return {
    partitions: 1,
    async publish(topic, events) {
      await db.query('select bus.publish($1, $2, $3)', [
        topic,
        events.map((event) => event.position),
        events.map((event) => event.body),
      ]);
    },
    async readsLog(topic) {
      const rows = await db.query<{ reads: boolean }>('select bus.reads_log($1) as reads', [topic]);
      return rows[0]?.reads === true;
    },
    async declare() {},
    async subscribe({ topic, after, batchSize }, deliver) {
      const controller = new AbortController();
      const { signal } = controller;
      const run = async () => {
        let position = after;
        while (!signal.aborted) {
          try {
            const woken = waitForWake(`bus:${topic}`, IDLE_MS, signal);
            const rows = await db.query<Fetched>(FETCH, [topic, position, batchSize]);
            if (rows.length === 0) {
              await woken;
              continue;
            }
            const events = rows.map((row) => eventIn(topic, row));
            await deliver(events);
            position = events.at(-1)?.position ?? position;
          } catch (error) {
            if (signal.aborted) break;
            if (!(error instanceof Outage)) log.error({ topic, err: error }, 'a fetch failed');
            await sleep(RETRY_MS, signal);
          }
        }
      };
      const ended = run();
      return async () => {
        controller.abort();
        await ended;
      };
    },
    async ping() {
      await db.query('select 1');
    },
    // Who is more than an hour behind pulls from the producer's log.
    async trim(topic) {
      await db.query(`select bus.trim($1, interval '1 hour')`, [topic]);
    },
    close: () => db.close(),
  };
}

const FETCH = `select event, position, key, version, type, time, traceparent, data
  from bus.fetch($1, $2, $3)`;

/** A copy of an event, or a row of the log. */
type Fetched = LogRow & { readonly event: string | null };

function eventIn(topic: string, row: Fetched): CloudEvent {
  return row.event === null ? envelope(topic, row) : (JSON.parse(row.event) as CloudEvent);
}

/** A plain connection as the owner of a database. */
export async function connectOwner(url: string): Promise<pg.Client> {
  const client = new pg.Client({ ...connectionOf(url), connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  await client.connect();
  return client;
}
