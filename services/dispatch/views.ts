/** Reads: assignments live and past, executors, zones, the configuration. */
import type { Database, Queryable } from '@waybill/kit/db.ts';
import { add, bind, countRows, where, wordOf, type Filter } from '@waybill/kit/filter.ts';
import { currencyExponent, toMajor } from '@waybill/kit/money.ts';
import {
  cutPage,
  DEFAULT_PAGE_SIZE,
  decodeCursor,
  encodeCursor,
  offsetOf,
} from '@waybill/kit/paging.ts';
import {
  ASSIGNMENT_STATES,
  type Assignment,
  type AssignmentQuery,
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

/** Lists assignments, newest first; an executor's own when one is named. */
export async function listAssignments(db: Database, cursorKey: Buffer, query: AssignmentQuery) {
  const filter = filterOf(query);
  const scope = `assignments ${JSON.stringify([filter.conditions, filter.values])}`;
  const pageSize = query.page_size ?? DEFAULT_PAGE_SIZE;
  const page = query.page ?? 1;
  const paged = structuredClone(filter);
  let offset = 0;
  if (query.cursor === undefined) offset = offsetOf(page, pageSize);
  else seek(paged, decodeCursor(cursorKey, scope, query.cursor));
  const ordered = 'order by assigned_at desc, order_id desc, epoch desc';
  const needed = offset + pageSize + 1;
  const both = (part: (table: string) => string) =>
    `${part('assignments')} union all ${part('past_assignments')}`;
  const part = (table: string) =>
    `(select ${COLUMNS} from ${table} ${where(paged)} ${ordered} limit ${needed})`;
  const rows = await db.queryOnce<AssignmentRow>(
    `select * from (${both(part)}) both_tables
     ${ordered} limit ${pageSize + 1} offset ${offset}`,
    paged.values,
  );
  const { shown, next } = cutPage(rows, pageSize, (last) =>
    encodeCursor(cursorKey, scope, positionOf(last)),
  );
  const counted = both((table) => `select from ${table} ${where(filter)}`);
  return {
    assignments: shown.map(renderAssignment),
    ...(await countRows(db, counted, filter.values)),
    page,
    page_size: pageSize,
    next_cursor: next,
  };
}

function positionOf(row: AssignmentRow): string {
  return JSON.stringify([row.assigned_at, row.order_id, row.epoch]);
}

function seek(filter: Filter, position: string): void {
  const [at, orderId, epoch] = JSON.parse(position) as [string, string, number];
  filter.conditions.push(
    `(assigned_at, order_id, epoch) < (${bind(filter, at)}::timestamptz,
     ${bind(filter, orderId)}::text, ${bind(filter, epoch)}::integer)`,
  );
}

function filterOf(query: AssignmentQuery): Filter {
  const filter: Filter = { conditions: [], values: [] };
  if (query.executor_id !== undefined)
    add(filter, 'executor_id =', query.executor_id.normalize('NFC'));
  if (query.state !== undefined)
    add(filter, 'state =', wordOf('state', ASSIGNMENT_STATES, query.state));
  return filter;
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

/** Executors, and the greatest coefficient (null: there is no limit). */
export async function readDesk(
  db: Queryable,
  executorIds: readonly string[],
): Promise<{ executors: ExecutorRow[]; maxCoefficient: string | null }> {
  const rows = await db.query<{ max_coin_coeff: string | null } & (ExecutorRow | Nulls)>(
    `select c.max_coin_coeff, e.*
     from config c left join executors e on e.executor_id = any($1::text[])`,
    [executorIds],
  );
  const executors = rows.flatMap(({ max_coin_coeff: _desk, ...row }) =>
    row.executor_id === null ? [] : [row],
  );
  return { executors, maxCoefficient: rows[0]?.max_coin_coeff ?? null };
}

type Nulls = Readonly<Record<keyof ExecutorRow, null>>;

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

/** More are not told at once; whoever waits looks again by themselves every few seconds. */
const MAX_FRESH = 1000;

/**
 * Executors with orders assigned by transactions from this one on, the newest first; who waits for
 * one is woken. While one transaction stays open, all that was assigned since it began is told
 * again and again, and the newest is what nobody was told of yet.
 */
export async function findFresh(db: Queryable, since: string) {
  const rows = await db.query<{ executor_id: string | null; horizon: string }>(
    `select a.executor_id, pg_snapshot_xmin(pg_current_snapshot())::text as horizon
     from (select) one left join lateral (
       select executor_id from assignments
       where state = 'ASSIGNED' and assigned_xid >= $1::text::xid8
       order by assigned_xid desc limit ${MAX_FRESH}) a on true`,
    [since],
  );
  return {
    horizon: rows[0]?.horizon ?? since,
    executorIds: rows.flatMap(({ executor_id }) => executor_id ?? []),
  };
}
