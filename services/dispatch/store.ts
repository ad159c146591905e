/** Every statement on assignments; those on executors and zones are at the end. */
import { deleteBite } from '@waybill/kit/bites.ts';
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import { wakeSequencer } from '@waybill/kit/eventlog.ts';
import { currentTraceparent } from '@waybill/kit/telemetry.ts';
import type {
  AssignmentEventType,
  AssignmentState,
  ChangeExecutor,
  CostLine,
  Location,
} from './contract.ts';

export interface AssignmentRow {
  order_id: string;
  number: bigint | null;
  executor_id: string;
  state: AssignmentState;
  epoch: number;
  version: number;
  cost_minor: bigint;
  currency: string;
  cost_breakdown: readonly CostLine[];
  replaces: string | null;
  reason: string | null;
  order_ended: string | null;
  assigned_at: string;
  cancellable_until: string;
  acquired_at: string | null;
  picked_up_at: string | null;
  ended_at: string | null;
}

/** An assignment that is about to be made. */
export interface NewAssignment {
  readonly order_id: string;
  readonly number: number | null;
  readonly executor_id: string;
  readonly cost_minor: number;
  readonly currency: string;
  readonly cost_breakdown: readonly CostLine[];
  readonly order_info: object;
  readonly sources: object;
}

export const COLUMNS = `order_id, number, executor_id, state, epoch, version, cost_minor, currency,
  cost_breakdown, replaces, reason, order_ended, assigned_at,
  assigned_at + interval '10 minutes' as cancellable_until, acquired_at, picked_up_at, ended_at`;

const INPUT = `json_to_recordset($1) as i(order_id text, number bigint, executor_id text,
  cost_minor bigint, currency text, cost_breakdown json, order_info json, sources json)`;

/** Writes the events of the rows that a statement changed, in the same statement. */
function logged(source: string, type: string): string {
  return `insert into log (key, version, type, traceparent, data)
    select c.order_id, c.version, ${type}, $2, json_build_object('order_id', c.order_id,
      'executor_id', c.executor_id, 'epoch', c.epoch, 'state', c.state, 'cost_minor', c.cost_minor,
      'currency', c.currency, 'replaces', c.replaces, 'reason', c.reason)
    from ${source} c`;
}

/**
 * Locks orders, also those that nobody has assigned yet, so that assigning, moving to the past and
 * news of an order's end take turns; what follows in the transaction sees what the others did.
 */
async function lockOrderIds(tx: Tx, orderIds: readonly string[]): Promise<void> {
  await tx.query(
    `select pg_advisory_xact_lock(locks.lock) from (
       select distinct hashtextextended(o, 0) as lock from unnest($1::text[]) o order by 1) locks`,
    [orderIds],
  );
}

/**
 * Stores assignments, one for an order. Left out are those whose order somebody has acquired
 * (unless it is among `replacing`), and those whose order has ended meanwhile.
 */
export function insertAssignments(
  db: Queryable,
  rows: readonly NewAssignment[],
  replacing: readonly string[],
): Promise<AssignmentRow[]> {
  return db.query<AssignmentRow>(
    `select ${COLUMNS} from assign_orders($1::json, $2::text, $3::text[])`,
    [JSON.stringify(rows), currentTraceparent() ?? null, replacing],
  );
}

const REASSIGN = `with input as materialized (select * from ${INPUT}),
  stored as (
    update assignments a set executor_id = i.executor_id, number = i.number, epoch = a.epoch + 1,
      version = a.version + 1, cost_minor = i.cost_minor, currency = i.currency,
      cost_breakdown = i.cost_breakdown, order_info = i.order_info, sources = i.sources,
      replaces = a.executor_id, reason = null, assigned_at = now(),
      assigned_xid = pg_current_xact_id()
    from input i where a.order_id = i.order_id and a.state = 'ASSIGNED'
      and not exists (select from ended_orders e where e.order_id = i.order_id)
    returning a.*),
  logged as (${logged('stored', `'ASSIGNMENT_REPLACED'`)})
  select ${COLUMNS} from stored`;

/** Gives an order that nobody has acquired yet to another executor; undefined: it was too late. */
export async function replaceAssignment(
  tx: Tx,
  row: NewAssignment,
): Promise<AssignmentRow | undefined> {
  await lockOrderIds(tx, [row.order_id]);
  const [stored] = await tx.query<AssignmentRow>(REASSIGN, [
    JSON.stringify([row]),
    currentTraceparent() ?? null,
  ]);
  return stored;
}

const CANCEL = `with held as materialized (
    select order_id from assignments where order_id = any($1::text[]) and state = 'ASSIGNED'
      and assigned_at > now() - interval '10 minutes'
    order by order_id for update),
  changed as (
    update assignments a set state = 'CANCELLED', version = a.version + 1, ended_at = now()
    from held where a.order_id = held.order_id returning a.*),
  logged as (${logged('changed', `'ASSIGNMENT_CANCELLED'`)})
  select ${COLUMNS} from changed`;

/** Cancels assignments that are neither acquired nor older than ten minutes. */
export function cancelAssignments(
  db: Queryable,
  orderIds: readonly string[],
): Promise<AssignmentRow[]> {
  return db.query<AssignmentRow>(CANCEL, [orderIds, currentTraceparent() ?? null]);
}

const PROGRESS = `with changed as (
    update assignments set state = $3, version = version + 1,
      picked_up_at = case when $3 = 'PICKED_UP' then now() else picked_up_at end,
      ended_at = case when $3 = 'PICKED_UP' then null else now() end, reason = $8
    where order_id = $1 and executor_id = $4 and epoch = $5 and state = any($6::text[])
    returning *),
  logged as (${logged('changed', '$7')})
  select ${COLUMNS} from changed`;

export interface ProgressReport {
  readonly orderId: string;
  readonly executorId: string;
  readonly epoch: number;
  readonly to: AssignmentState;
  readonly from: readonly AssignmentState[];
  readonly event: AssignmentEventType;
  readonly reason: string | null;
}

/** Moves what this executor holds under this epoch; undefined when it is not so. */
export async function reportProgress(
  tx: Tx,
  { orderId, executorId, epoch, to, from, event, reason }: ProgressReport,
): Promise<AssignmentRow | undefined> {
  const [row] = await tx.query<AssignmentRow>(PROGRESS, [
    orderId,
    currentTraceparent() ?? null,
    to,
    executorId,
    epoch,
    from,
    event,
    reason,
  ]);
  if (row !== undefined) tx.onCommit(() => wakeSequencer('dispatch'));
  return row;
}

const REPRICE = `with input as materialized (select * from ${INPUT}),
  stored as (
    update assignments a set cost_minor = i.cost_minor, currency = i.currency,
      cost_breakdown = i.cost_breakdown, order_info = i.order_info, sources = i.sources,
      number = i.number, version = a.version + 1
    from input i where a.order_id = i.order_id and a.state = 'ASSIGNED' and a.version = $3
    returning a.*),
  logged as (${logged('stored', `'ASSIGNMENT_REPRICED'`)})
  select order_id from stored`;

/**
 * Writes the new cost of an assignment that is as it was when its sources were asked; false: it has
 * changed since, and may have been priced by somebody who asked them later.
 */
export async function repriceAssignment(
  tx: Tx,
  row: NewAssignment,
  version: number,
): Promise<boolean> {
  const rows = await tx.query(REPRICE, [
    JSON.stringify([row]),
    currentTraceparent() ?? null,
    version,
  ]);
  if (rows.length > 0) tx.onCommit(() => wakeSequencer('dispatch'));
  return rows.length > 0;
}

const END = `with held as materialized (
    select order_id from assignments where order_id = any($1::text[])
      and (state = 'ASSIGNED' or (state in ('ACQUIRED', 'PICKED_UP') and order_ended is null))
    order by order_id for update),
  changed as (
    update assignments a set version = a.version + 1, order_ended = $3,
      state = case when a.state = 'ASSIGNED' then 'CANCELLED' else a.state end,
      reason = case when a.state = 'ASSIGNED' then 'the order is ' || lower($3) else a.reason end,
      ended_at = case when a.state = 'ASSIGNED' then now() end
    from held where a.order_id = held.order_id returning a.*),
  logged as (${logged(
    'changed',
    `case when c.state = 'CANCELLED' then 'ASSIGNMENT_CANCELLED' else 'ASSIGNMENT_FLAGGED' end`,
  )})
  select order_id from changed`;

/** Orders have ended elsewhere: withdraws what nobody has acquired, flags what somebody has. */
export async function endOrders(tx: Tx, orderIds: readonly string[], status: string) {
  await lockOrderIds(tx, orderIds);
  await tx.query(
    `insert into ended_orders (order_id, status) select o, $2 from unnest($1::text[]) o
     on conflict (order_id) do nothing`,
    [orderIds, status],
  );
  const changed = await tx.query(END, [orderIds, currentTraceparent() ?? null, status]);
  if (changed.length > 0) tx.onCommit(() => wakeSequencer('dispatch'));
}

const SWEEP_ROWS = 500;

/**
 * Moves what ended more than a minute ago out of the table that polls read; true: there may be
 * more. What somebody is just assigning anew is left for later.
 */
export async function movePast(tx: Tx): Promise<boolean> {
  const due = await tx.query<{ order_id: string }>(
    `select order_id from (
       select order_id from assignments where state in ('DELIVERED', 'FAILED', 'CANCELLED')
         and ended_at < now() - interval '1 minute' order by ended_at limit ${SWEEP_ROWS}) due
     where pg_try_advisory_xact_lock(hashtextextended(order_id, 0))`,
  );
  if (due.length === 0) return false;
  await tx.query(
    `with gone as (delete from assignments where order_id = any($1::text[])
       and state in ('DELIVERED', 'FAILED', 'CANCELLED') returning *)
     insert into past_assignments select * from gone`,
    [due.map((row) => row.order_id)],
  );
  return due.length === SWEEP_ROWS;
}

/** Forgets ends of orders that no fetch under way can have missed. */
export function trimEndedOrders(db: Queryable): Promise<boolean> {
  return deleteBite(
    db,
    `delete from ended_orders where order_id in (
       select order_id from ended_orders where ended_at < now() - interval '1 hour'
       order by ended_at limit $1)`,
  );
}

export interface AcquiredRow {
  order_id: string;
  number: bigint | null;
  executor_id: string;
  epoch: number;
  cost_minor: bigint;
  currency: string;
  acquired_at: string;
  /** JSON text, passed on as it is. */
  order_info: string;
  sources: string;
  repeated: boolean;
}

export interface Asking {
  readonly executor_id: string;
  /** Not what was acquired a moment ago. */
  readonly next: boolean;
}

/** Gives each of these executors its oldest assignment, or again what it got a moment ago. */
export function acquireAssignments(
  db: Queryable,
  asking: readonly Asking[],
): Promise<AcquiredRow[]> {
  return db.query<AcquiredRow>('select * from acquire_assignments($1::json)', [
    JSON.stringify(asking),
  ]);
}

/** An executor as it is written. */
export interface NewExecutor {
  readonly executor_id: string;
  readonly name: string;
  readonly tags: readonly string[];
  readonly rating: number;
  readonly zone_id: string | null;
}

/** False: the id is taken. */
export async function insertExecutor(tx: Tx, row: NewExecutor): Promise<boolean> {
  const rows = await tx.query(
    `insert into executors (executor_id, name, tags, rating, zone_id) values ($1, $2, $3, $4, $5)
     on conflict do nothing returning executor_id`,
    [row.executor_id, row.name, JSON.stringify(row.tags), row.rating, row.zone_id],
  );
  return rows.length === 1;
}

/** Changes what is named; false: there is no such executor. */
export async function updateExecutor(
  tx: Tx,
  executorId: string,
  { name, tags, rating, zone_id, available }: ChangeExecutor,
): Promise<boolean> {
  const rows = await tx.query(
    `update executors set name = coalesce($2, name), tags = coalesce($3::json, tags),
       rating = coalesce($4, rating), available = coalesce($5, available),
       zone_id = case when $6 then $7 else zone_id end, updated_at = now()
     where executor_id = $1 returning executor_id`,
    [
      executorId,
      name ?? null,
      tags === undefined ? null : JSON.stringify(tags),
      rating ?? null,
      available ?? null,
      zone_id !== undefined,
      zone_id ?? null,
    ],
  );
  return rows.length === 1;
}

export async function locateExecutor(tx: Queryable, executorId: string, at: Location) {
  const rows = await tx.query(
    `update executors set latitude = $2, longitude = $3, located_at = now()
     where executor_id = $1 returning executor_id`,
    [executorId, at.latitude, at.longitude],
  );
  return rows.length === 1;
}

export interface NewZone {
  readonly zone_id: string;
  readonly display_name: string;
  /** Decimal text. */
  readonly coin_coeff: string;
  readonly bonus_amount: string;
}

export async function upsertZone(tx: Queryable, row: NewZone): Promise<void> {
  await tx.query(
    `insert into zones (zone_id, display_name, coin_coeff, bonus_amount)
     values ($1, $2, $3::numeric, $4::numeric)
     on conflict (zone_id) do update set display_name = excluded.display_name,
       coin_coeff = excluded.coin_coeff, bonus_amount = excluded.bonus_amount, updated_at = now()`,
    [row.zone_id, row.display_name, row.coin_coeff, row.bonus_amount],
  );
}

/** Decimal text, or null for no limit. */
export async function writeMaxCoefficient(tx: Queryable, maximum: string | null): Promise<void> {
  await tx.query('update config set max_coin_coeff = $1::numeric', [maximum]);
}
