/** Executors, zones, live assignments, past ones, and the statements behind the hot paths. */
import { sql, type Kysely } from 'kysely';

export const createDispatch = {
  async up(db: Kysely<never>): Promise<void> {
    for (const statement of [...BASICS, ...ASSIGNMENTS, ...FUNCTIONS])
      await sql.raw(statement).execute(db);
  },
};

const BASICS = [
  // numeric 'NaN' counts as greater than everything, so that the upper bounds keep it out.
  `create table zones (
    zone_id text collate "C" primary key,
    display_name text not null,
    coin_coeff numeric(16, 6) not null check (coin_coeff >= 0 and coin_coeff <= 1000000),
    bonus_amount numeric(16, 6) not null check (bonus_amount >= 0 and bonus_amount <= 1000000000),
    updated_at timestamptz not null default now()
  )`,
  `create table config (
    only_row boolean primary key default true check (only_row),
    max_coin_coeff numeric(16, 6) check (max_coin_coeff >= 0 and max_coin_coeff <= 1000000)
  )`,
  `insert into config default values`,
  `create table executors (
    executor_id text collate "C" primary key,
    name text not null,
    tags json not null,
    rating double precision not null check (rating >= 0 and rating <= 5),
    zone_id text collate "C" references zones,
    available boolean not null default true,
    latitude double precision,
    longitude double precision,
    located_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  ) with (fillfactor = 70)`,
];

const COLUMNS = `
    order_id text collate "C" not null,
    number bigint,
    executor_id text collate "C" not null,
    state text collate "C" not null check (state in ('ASSIGNED', 'ACQUIRED', 'PICKED_UP',
      'DELIVERED', 'FAILED', 'CANCELLED', 'REPLACED')),
    epoch integer not null check (epoch > 0),
    version integer not null check (version > 0),
    cost_minor bigint not null check (cost_minor >= 0),
    currency text not null,
    cost_breakdown json not null,
    order_info json not null,
    sources json not null,
    replaces text,
    reason text,
    order_ended text,
    assigned_at timestamptz not null default now(),
    assigned_xid xid8 not null default pg_current_xact_id(),
    acquired_at timestamptz,
    picked_up_at timestamptz,
    ended_at timestamptz`;

const ASSIGNMENTS = [
  // The last assignment of each order, until some time after it ended. What the executor is told
  // lies out of line, so that a change of state does not write it anew.
  `create table assignments (${COLUMNS},
    primary key (order_id),
    check (state <> 'REPLACED'),
    check ((state in ('ASSIGNED', 'ACQUIRED', 'PICKED_UP')) = (ended_at is null)),
    check (state <> 'ASSIGNED' or acquired_at is null),
    check (state not in ('ACQUIRED', 'PICKED_UP', 'DELIVERED') or acquired_at is not null),
    check (state <> 'CANCELLED' or acquired_at is null)
  ) with (fillfactor = 70, toast_tuple_target = 256, autovacuum_vacuum_scale_factor = 0.02)`,
  // Analysed by a tenth of the usual sample: what polls and assignments do is read by its indexes
  // whatever the planner believes, and the full sample takes a core for half a second.
  `do $$ declare name text; begin
    for name in select attname from pg_attribute
      where attrelid = 'assignments'::regclass and attnum > 0
    loop execute format('alter table assignments alter %I set statistics 10', name); end loop;
  end $$`,
  `create index assignments_pending on assignments (executor_id, assigned_at, order_id)
    where state = 'ASSIGNED'`,
  `create index assignments_acquired on assignments (executor_id, acquired_at)
    where state = 'ACQUIRED'`,
  `create index assignments_fresh on assignments (assigned_xid) where state = 'ASSIGNED'`,
  `create index assignments_ended on assignments (ended_at)
    where state in ('DELIVERED', 'FAILED', 'CANCELLED')`,
  `create index assignments_executor on assignments (executor_id, assigned_at, order_id)`,
  `create index assignments_newest on assignments (assigned_at, order_id)`,
  // Everything that ended or was replaced; nobody who polls ever looks here.
  `create table past_assignments (${COLUMNS},
    primary key (order_id, epoch),
    check (ended_at is not null)
  ) with (toast_tuple_target = 256)`,
  `create index past_assignments_executor on past_assignments
    (executor_id, assigned_at, order_id)`,
  `create index past_assignments_newest on past_assignments (assigned_at, order_id)`,
  `create index past_assignments_state on past_assignments (state, assigned_at, order_id)`,
  // Orders that ended a little while ago: what was fetched before they did is not stored after.
  `create table ended_orders (
    order_id text collate "C" primary key,
    status text not null,
    ended_at timestamptz not null default now()
  )`,
  `create index ended_orders_ended_at on ended_orders (ended_at)`,
];

/** What an event tells of an assignment's row. */
const newsOf = (row: string) => `json_build_object('order_id', ${row}.order_id,
          'executor_id', ${row}.executor_id, 'epoch', ${row}.epoch, 'state', ${row}.state,
          'cost_minor', ${row}.cost_minor, 'currency', ${row}.currency,
          'replaces', ${row}.replaces, 'reason', ${row}.reason)`;

const FUNCTIONS = [
  // A new epoch in the row of an order puts what was there among the past.
  `create function keep_past_assignment() returns trigger language plpgsql as $$
  begin
    if old.ended_at is null then
      old.state := 'REPLACED';
      old.ended_at := now();
    end if;
    insert into past_assignments values (old.*);
    return new;
  end $$`,
  `create trigger keep_past_assignment before update on assignments
    for each row when (new.epoch <> old.epoch) execute function keep_past_assignment()`,
  // Who of these has something to get: an order that waits, or one whose answer may have been
  // lost. Whatever the planner believes of the table, it is read by the two partial indexes.
  `create function find_served(executors text[]) returns setof text
  language plpgsql stable rows 10
  set enable_seqscan = off set enable_bitmapscan = off as $$
  begin
    return query
      select executor_id from assignments
        where state = 'ASSIGNED' and executor_id = any(executors)
      union
      select executor_id from assignments
        where state = 'ACQUIRED' and executor_id = any(executors)
          and acquired_at > now() - interval '5 seconds';
  end $$`,
  // Several statements, because each looks again after the lock was got: of two requests of one
  // executor the second then sees what the first was given. A row that somebody else is changing
  // right now is passed over: if it is still there afterwards, the next poll gets it. Whose lock is
  // held for longer, by a process that was stopped, soon fails alone, and keeps nobody else.
  `create function acquire_assignments(asked json)
  returns table (order_id text, number bigint, executor_id text, epoch integer, cost_minor bigint,
    currency text, acquired_at timestamptz, order_info text, sources text, repeated boolean)
  language plpgsql
  set lock_timeout = '1s' set enable_seqscan = off set enable_bitmapscan = off as $$
  #variable_conflict use_column
  begin
    perform pg_advisory_xact_lock(locks.lock) from (
      select distinct hashtextextended(a.executor_id, 1) as lock
      from json_to_recordset(asked) as a(executor_id text) order by 1) locks;
    return query
      with wanted as materialized (
        select a.executor_id collate "C" as executor_id, a.next
        from json_to_recordset(asked) as a(executor_id text, next boolean)),
      again as materialized (
        select held.* from wanted w cross join lateral (
          select s.* from assignments s
          where s.executor_id = w.executor_id and s.state = 'ACQUIRED'
            and s.acquired_at > now() - interval '5 seconds'
          order by s.acquired_at desc limit 1) held
        where not w.next),
      chosen as materialized (
        select oldest.order_id from wanted w cross join lateral (
          select s.order_id from assignments s
          where s.executor_id = w.executor_id and s.state = 'ASSIGNED'
          order by s.assigned_at, s.order_id limit 1 for update skip locked) oldest
        where not exists (select from again where again.executor_id = w.executor_id)),
      taken as (
        update assignments a set state = 'ACQUIRED', acquired_at = now(), version = a.version + 1
        from chosen where a.order_id = chosen.order_id and a.state = 'ASSIGNED'
        returning a.*),
      logged as (
        insert into log (key, version, type, data)
        select t.order_id, t.version, 'ASSIGNMENT_ACQUIRED', ${newsOf('t')}
        from taken t)
      select t.order_id, t.number, t.executor_id, t.epoch, t.cost_minor, t.currency, t.acquired_at,
        t.order_info::text, t.sources::text, false from taken t
      union all
      select g.order_id, g.number, g.executor_id, g.epoch, g.cost_minor, g.currency, g.acquired_at,
        g.order_info::text, g.sources::text, true from again g;
  end $$`,
  // One call, and so one round trip and one commit, of several statements: the second looks again
  // after the locks were got, and so sees what the others did. Whatever the planner believes of the
  // tables, they are read by their keys.
  `create function assign_orders(asked json, trace text, replacing text[])
  returns setof assignments language plpgsql
  set lock_timeout = '1s'
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  #variable_conflict use_column
  begin
    perform pg_advisory_xact_lock(locks.lock) from (
      select distinct hashtextextended(i.order_id, 0) as lock
      from json_to_recordset(asked) as i(order_id text) order by 1) locks;
    return query
      with input as materialized (
        select i.order_id collate "C" as order_id, number, executor_id, cost_minor, currency,
          cost_breakdown, order_info, sources
        from json_to_recordset(asked) as i(order_id text, number bigint, executor_id text,
          cost_minor bigint, currency text, cost_breakdown json, order_info json, sources json)),
      stored as (
        insert into assignments as a (order_id, number, executor_id, state, epoch, version,
          cost_minor, currency, cost_breakdown, order_info, sources)
        select i.order_id, i.number, i.executor_id, 'ASSIGNED', coalesce(p.epoch, 0) + 1,
          coalesce(p.version, 0) + 1, i.cost_minor, i.currency, i.cost_breakdown, i.order_info,
          i.sources
        from input i
        left join lateral (select past.epoch, past.version from past_assignments past
          where past.order_id = i.order_id order by past.epoch desc limit 1) p on true
        where not exists (select from ended_orders e where e.order_id = i.order_id)
        order by i.order_id
        on conflict (order_id) do update set number = excluded.number,
          executor_id = excluded.executor_id, state = 'ASSIGNED', epoch = a.epoch + 1,
          version = a.version + 1, cost_minor = excluded.cost_minor,
          currency = excluded.currency, cost_breakdown = excluded.cost_breakdown,
          order_info = excluded.order_info, sources = excluded.sources, assigned_at = now(),
          assigned_xid = pg_current_xact_id(),
          replaces = case when a.ended_at is null then a.executor_id end, reason = null,
          order_ended = null, acquired_at = null, picked_up_at = null, ended_at = null
        where a.state not in ('ACQUIRED', 'PICKED_UP') or a.order_id = any(replacing)
        returning *),
      logged as (
        insert into log (key, version, type, traceparent, data)
        select s.order_id, s.version,
          case when s.replaces is null then 'ASSIGNMENT_CREATED' else 'ASSIGNMENT_REPLACED' end,
          trace, ${newsOf('s')}
        from stored s)
      select s.* from stored s;
  end $$`,
];
