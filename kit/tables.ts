/**
 * The tables that the kit keeps in every service's own schema: the event log with its head, leases,
 * the consumer's inbox, cursors and dead letters, tasks, idempotency keys.
 */
import { sql, type Kysely } from 'kysely';

/** The kit's first migration; every service's list of migrations begins with it. */
export const kitTables = {
  async up(db: Kysely<never>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  // One row per change of an aggregate, written in the change's transaction. The row has no
  // position until the sequencer gives it the next one (ADR 0003).
  `create table log (
    id bigint generated always as identity,
    position bigint,
    key text not null,
    version integer not null check (version > 0),
    type text not null,
    time timestamptz not null default clock_timestamp(),
    traceparent text,
    data json not null,
    primary key (key, version)
  )`,
  `create unique index log_position on log (position) where position is not null`,
  `create index log_unsequenced on log (id) where position is null`,
  `create table log_head (
    only_row boolean primary key default true check (only_row),
    position bigint not null default 0,
    published bigint not null default 0
  )`,
  `insert into log_head default values`,
  // Several statements, because the numbering needs a snapshot taken after the lock was got: a
  // single one would number rows that another sequencer has just numbered, and leave gaps.
  // The planner believes that nothing is ever pending, and would join row by row (500 × 500), or,
  // with a plan made when the log was short, read all of a long one. Bounds and settings leave it
  // one way: hash the batch, read its range of the index on what has no position.
  // Returns the last position given, or null when nothing was pending. Where published_to is null,
  // what is numbered is published.
  `create function sequence_log(batch integer, published_to bigint default 0, out "position" bigint)
  language plpgsql
  set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off as $$
  #variable_conflict use_column
  declare
    head bigint;
    ids bigint[];
  begin
    if not exists (select 1 from log where position is null) then
      return;
    end if;
    select log_head.position into head from log_head for update;
    select array_agg(id order by id) into ids
    from (select id from log where position is null order by id limit batch) pending;
    update log set position = head + numbered.step
    from unnest(ids) with ordinality as numbered (id, step)
    where log.id = numbered.id and log.position is null
      and log.id between ids[1] and ids[array_upper(ids, 1)];
    sequence_log.position := head + coalesce(array_length(ids, 1), 0);
    update log_head set position = sequence_log.position,
      published = greatest(log_head.published, coalesce(published_to, sequence_log.position));
  end $$`,
  `create table leases (
    name text primary key,
    owner text not null,
    until timestamptz not null
  )`,
  `create table inbox (
    topic text not null,
    key text not null,
    version integer not null,
    updated_at timestamptz not null default now(),
    primary key (topic, key)
  ) with (fillfactor = 80)`,
  // Partition -1 holds how far the topic has been audited against the producer's log.
  `create table cursors (
    topic text not null,
    partition integer not null,
    position bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (topic, partition)
  ) with (fillfactor = 50)`,
  // Begins a batch: moves the cursor, and records every key's last version if each key goes on
  // where the inbox left it. Returns null then; otherwise records no version and returns what is
  // known of the keys. The cursor's row lock makes the partition's deliveries, pulls and replays
  // take turns, and is there before the partition's first delivery: an audit may come first.
  // Several statements, because the inbox must be read in a snapshot taken after the lock was got.
  `create function take_events(
    the_topic text, the_partition integer, upto bigint,
    keys text[], firsts integer[], lasts integer[]
  ) returns json
  language plpgsql as $$
  declare
    goes_on boolean;
  begin
    insert into cursors (topic, partition) values (the_topic, the_partition)
    on conflict (topic, partition) do update
    set position = greatest(cursors.position, upto), updated_at = now();
    select bool_and(coalesce(e.first = coalesce(i.version, 0) + 1 and d.key is null, false))
    into goes_on
    from unnest(keys, firsts) as e(key, first)
    left join inbox i on i.topic = the_topic and i.key = e.key
    left join lateral (
      select d.key from dead_letters d where d.topic = the_topic and d.key = e.key limit 1
    ) d on true;
    if goes_on then
      insert into inbox (topic, key, version)
      select the_topic, e.key, e.last from unnest(keys, lasts) as e(key, last)
      on conflict (topic, key) do update set version = excluded.version, updated_at = now();
      return null;
    end if;
    return (
      select coalesce(json_agg(known), '[]') from (
        select key, version, false as parked from inbox
        where topic = the_topic and key = any(keys)
        union all
        select key, max(version), true from dead_letters
        where topic = the_topic and key = any(keys) group by key
      ) known
    );
  end $$`,
  // Attempts at an event that is handled on its own, counted before each, because the one that
  // fails may take its process with it.
  `create table deliveries (
    topic text not null,
    key text not null,
    version integer not null,
    attempts integer not null default 0,
    -- Which tried last.
    process text,
    primary key (topic, key, version)
  )`,
  `create table dead_letters (
    topic text not null,
    key text not null,
    version integer not null,
    type text not null,
    event json not null,
    error text not null,
    attempts integer not null,
    parked_at timestamptz not null default now(),
    primary key (topic, key, version)
  )`,
  `create index dead_letters_parked_at on dead_letters (parked_at, topic, key, version)`,
  `create table tasks (
    id uuid primary key,
    kind text not null,
    key text not null,
    payload json,
    run_at timestamptz not null default now(),
    attempts integer not null default 0,
    state text not null default 'waiting' check (state in ('waiting', 'running', 'dead')),
    lease uuid,
    lease_until timestamptz,
    error text,
    traceparent text,
    created_at timestamptz not null default now(),
    unique (kind, key)
  ) with (fillfactor = 80)`,
  `create index tasks_due on tasks (kind, run_at) where state = 'waiting'`,
  `create index tasks_leased on tasks (lease_until) where state = 'running'`,
  `create index tasks_dead on tasks (kind, created_at) where state = 'dead'`,
  `create table idempotency_keys (
    scope text not null,
    key text not null,
    fingerprint bytea not null,
    status smallint,
    response text,
    created_at timestamptz not null default now(),
    primary key (scope, key)
  )`,
  `create index idempotency_keys_created_at on idempotency_keys using brin (created_at)`,
];
