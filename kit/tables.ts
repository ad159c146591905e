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
  // Partition -1 holds how far the topic has been audited against the producer's log. A batch is
  // counted as unfinished before it is handled, and cleared with its effect.
  `create table cursors (
    topic text not null,
    partition integer not null,
    position bigint not null default 0,
    unfinished integer not null default 0,
    updated_at timestamptz not null default now(),
    primary key (topic, partition)
  ) with (fillfactor = 50)`,
  // Attempts at an event that is handled on its own, counted before each, because the one that
  // fails may take its process with it.
  `create table deliveries (
    topic text not null,
    key text not null,
    version integer not null,
    attempts integer not null default 0,
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
