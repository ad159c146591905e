/** Reads: assignments live and past, executors, zones, the configuration. */
import type { Database, Queryable } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { currencyExponent, toMajor } from '@waybill/kit/money.ts';
import {
  DEFAULT_PAGE_SIZE,
  decodeCursor,
  encodeCursor,
  EXACT_TOTAL,
  offsetOf,
} from '@waybill/kit/paging.ts';
import {
  ASSIGNMENT_STATES,
  type Assignment,
  type AssignmentQuery,
  type AssignmentState,
  type Executor,
} from './contract.ts';
import { COLUMNS, type AssignmentRow } from './store.ts';

/** The last assignment of an order, also when it ended long ago. */
export async function findAssignment(
  db: Queryable,
  orderId: string,
): Promise<AssignmentRow | undefined> {
  const [live] = await db.query<AssignmentRow>(
    `select ${COLUMNS} from assignments where order_id = $1`,
    [orderId],
  );
  if (live !== undefined) return live;
  const [past] = await db.query<AssignmentRow>(
    `select ${COLUMNS} from past_assignments where order_id = $1 order by epoch desc limit 1`,
    [orderId],
  );
  return past;
}

/** Whether this executor ever had this order. */
export async function hasHeld(db: Queryable, executorId: string, orderId: string) {
  const rows = await db.query(
    'select from past_assignments where order_id = $1 and executor_id = $2 limit 1',
    [orderId, executorId],
  );
  return rows.length > 0;
}

interface Filter {
  readonly conditions: string[];
  readonly values: unknown[];
}

/** Lists assignments, newest first; an executor's own when one is named. */
export async function listAssignments(db: Database, cursorKey: Buffer, query: AssignmentQuery) {
  const filter = filterOf(query);
  const scope = `assignments ${JSON.stringify([filter.conditions, filter.values])}`;
  const pageSize = query.page_size ?? DEFAULT_PAGE_SIZE;
  const page = query.page ?? 1;
  const paged: Filter = { conditions: [...filter.conditions], values: [...filter.values] };
  let offset = 0;
  if (query.cursor === undefined) offset = offsetOf(page, pageSize);
  else seek(paged, decodeCursor(cursorKey, scope, query.cursor));
  const ordered = 'order by assigned_at desc, order_id desc, epoch desc';
  const needed = offset + pageSize + 1;
  const part = (table: string) =>
    `(select ${COLUMNS} from ${table} ${where(paged)} ${ordered} limit ${needed})`;
  const rows = await db.queryOnce<AssignmentRow>(
    `select * from (${part('assignments')} union all ${part('past_assignments')}) both_tables
     ${ordered} limit ${pageSize + 1} offset ${offset}`,
    paged.values,
  );
  const shown = rows.slice(0, pageSize);
  const last = shown.at(-1);
  const more = rows.length > pageSize && last !== undefined;
  return {
    assignments: shown.map(renderAssignment),
    ...(await countAssignments(db, filter)),
    page,
    page_size: pageSize,
    next_cursor: more ? encodeCursor(cursorKey, scope, positionOf(last)) : null,
  };
}

function positionOf(row: AssignmentRow): string {
  return JSON.stringify([row.assigned_at, row.order_id, row.epoch]);
}

function seek({ conditions, values }: Filter, position: string): void {
  const [at, orderId, epoch] = JSON.parse(position) as [string, string, number];
  values.push(at, orderId, epoch);
  const n = values.length;
  conditions.push(
    `(assigned_at, order_id, epoch) < ($${n - 2}::timestamptz, $${n - 1}::text, $${n}::integer)`,
  );
}

function filterOf(query: AssignmentQuery): Filter {
  const filter: Filter = { conditions: [], values: [] };
  if (query.executor_id !== undefined) {
    filter.values.push(query.executor_id.normalize('NFC'));
    filter.conditions.push(`executor_id = $${filter.values.length}`);
  }
  if (query.state !== undefined) {
    const state = query.state.toUpperCase() as AssignmentState;
    if (!ASSIGNMENT_STATES.includes(state))
      throw new Refusal(422, 'invalid_query', 'The parameter state is not a state.', {
        faults: [
          {
            pointer: '?state',
            detail: `must be one of ${ASSIGNMENT_STATES.join(', ').toLowerCase()}`,
          },
        ],
      });
    filter.values.push(state);
    filter.conditions.push(`state = $${filter.values.length}`);
  }
  return filter;
}

function where({ conditions }: Filter): string {
  return conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
}

/** Exact to 10 000; above, the planner's estimate. */
async function countAssignments(db: Database, filter: Filter) {
  const both = (columns: string) =>
    `select ${columns} from assignments ${where(filter)}
     union all select ${columns} from past_assignments ${where(filter)}`;
  const [row] = await db.queryOnce<{ total: bigint }>(
    `select count(*) as total from (select from (${both('')}) b limit ${EXACT_TOTAL + 1}) counted`,
    filter.values,
  );
  const total = Number(row?.total ?? 0n);
  if (total <= EXACT_TOTAL) return { total };
  const [plan] = await db.queryOnce<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `explain (format json) ${both('')}`,
    filter.values,
  );
  const estimate = plan?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? total;
  return { total: Math.max(total, estimate), total_is_estimate: true };
}

export interface ExecutorRow {
  executor_id: string;
  name: string;
  tags: string[];
  rating: number;
  zone_id: string | null;
  available: boolean;
  latitude: number | null;
  longitude: number | null;
  located_at: string | null;
  created_at: string;
  updated_at: string;
}

export async function findExecutors(
  db: Queryable,
  executorIds: readonly string[],
): Promise<ExecutorRow[]> {
  return db.query<ExecutorRow>('select * from executors where executor_id = any($1::text[])', [
    executorIds,
  ]);
}

/** The executor as it goes over the wire. */
export function renderExecutor(row: ExecutorRow): Executor {
  const { latitude, longitude, located_at, ...rest } = row;
  return {
    ...rest,
    location:
      latitude === null || longitude === null || located_at === null
        ? null
        : { latitude, longitude, at: located_at },
  };
}

export interface ZoneRow {
  zone_id: string;
  display_name: string;
  /** Decimal text, as are all of `numeric`. */
  coin_coeff: string;
  bonus_amount: string;
  updated_at: string;
}

export async function findZones(db: Queryable, zoneIds: readonly string[]): Promise<ZoneRow[]> {
  return db.query<ZoneRow>('select * from zones where zone_id = any($1::text[])', [zoneIds]);
}

/** Null: there is no limit. */
export async function readMaxCoefficient(db: Queryable): Promise<string | null> {
  const [row] = await db.query<{ max_coin_coeff: string | null }>(
    'select max_coin_coeff from config',
  );
  return row?.max_coin_coeff ?? null;
}

/** The assignment as it goes over the wire. */
export function renderAssignment(row: AssignmentRow): Assignment {
  const { number, cost_minor, ...rest } = row;
  return {
    ...rest,
    number: number === null ? null : Number(number),
    cost: toMajor(cost_minor, currencyExponent(row.currency) ?? 2),
    cost_breakdown: [...row.cost_breakdown],
  };
}

/** As PostgreSQL writes it; the driver looks at every character, and there are many polls. */
function arrayOf(texts: readonly string[]): string | readonly string[] {
  const isPlain = texts.every((text) => !text.includes('"') && !text.includes('\\'));
  return isPlain ? `{"${texts.join('","')}"}` : texts;
}

/** Which of these executors have something to get; costs about the same for one and for many. */
export async function findServed(
  db: Queryable,
  executorIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await db.query<{ executor_id: string }>(
    'select find_served as executor_id from find_served($1::text[])',
    [arrayOf(executorIds)],
  );
  return new Set(rows.map((row) => row.executor_id));
}

/** No transaction is as late as this. */
export const NEVER = '18446744073709551615';

/** Executors with orders assigned by transactions from this one on; who waits for one is woken. */
export async function findFresh(db: Queryable, since: string) {
  const rows = await db.query<{ executor_id: string | null; horizon: string }>(
    `select a.executor_id, pg_snapshot_xmin(pg_current_snapshot())::text as horizon
     from (select) one left join assignments a
       on a.state = 'ASSIGNED' and a.assigned_xid >= $1::text::xid8
     limit 10000`,
    [since],
  );
  return {
    horizon: rows[0]?.horizon ?? since,
    executorIds: rows.flatMap(({ executor_id }) => executor_id ?? []),
  };
}

export async function readKey(db: Queryable, scope: string, key: string) {
  const rows = await db.query<{
    fingerprint: Buffer;
    status: number | null;
    response: string | null;
  }>('select fingerprint, status, response from idempotency_keys where scope = $1 and key = $2', [
    scope,
    key,
  ]);
  return rows[0];
}
