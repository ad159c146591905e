/**
 * The default bus: a table in PostgreSQL. Services reach it only through two functions, which
 * check that the caller's role publishes the topic or subscribes to it.
 */
import pg from 'pg';
import { connectionOf, type Database } from '../db.ts';
import { Outage } from '../errors.ts';
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
  publisher text not null
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
create or replace function bus.fetch(the_topic text, after bigint, batch integer)
returns table (event text)
language plpgsql stable security definer set search_path = bus, pg_temp as $$
begin
  if not exists (select from bus.subscriptions s
    where s.topic = the_topic and s.subscriber = session_user)
  then raise insufficient_privilege
    using message = session_user || ' does not subscribe to ' || the_topic;
  end if;
  return query select e.event from bus.events e
    where e.topic = the_topic and e.position > after order by e.position limit batch;
end $$;
create or replace function bus.trim(the_topic text, keep interval) returns void
language sql security definer set search_path = bus, pg_temp as $$
  delete from bus.events e where e.topic = the_topic
  and exists (select from bus.topics t where t.topic = the_topic and t.publisher = session_user)
  and e.position <= (
    select max(oldest.position) from (
      select t.position, t.published_at from bus.events t
      where t.topic = the_topic order by t.position limit 5000) oldest
    where oldest.published_at < now() - keep)
$$;
`;

export interface BusMember {
  readonly service: string;
  readonly role: string;
  /** Topics it consumes. */
  readonly consumes: readonly string[];
}

/** Makes the bus schema and registers who may publish and subscribe. Run by the owner. */
export async function setUpPostgresBus(client: pg.Client, members: readonly BusMember[]) {
  await client.query(SET_UP);
  for (const { service, role, consumes } of members) {
    await client.query(`grant usage on schema bus to "${role}"`);
    await client.query(
      `insert into bus.topics values ($1, $2) on conflict (topic) do update set publisher = $2`,
      [service, role],
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
    async declare() {},
    async subscribe({ topic, after, batchSize }, deliver) {
      const controller = new AbortController();
      const { signal } = controller;
      const run = async () => {
        let position = after;
        while (!signal.aborted) {
          try {
            const rows = await db.query<{ event: string }>(
              'select event from bus.fetch($1, $2, $3)',
              [topic, position, batchSize],
            );
            if (rows.length === 0) {
              await waitForWake(`bus:${topic}`, IDLE_MS, signal);
              continue;
            }
            const events = rows.map((row) => JSON.parse(row.event) as CloudEvent);
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

/** A plain connection as the owner of a database. */
export async function connectOwner(url: string): Promise<pg.Client> {
  const client = new pg.Client({ ...connectionOf(url), connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  await client.connect();
  return client;
}
