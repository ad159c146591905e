/** The list of orders: filters, pages, cursors, bounded totals. */
import type { Database } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { isUuid } from '@waybill/kit/ids.ts';
import { firstIdAt, momentOf } from '@waybill/kit/moments.ts';
import {
  DEFAULT_PAGE_SIZE,
  decodeCursor,
  encodeCursor,
  EXACT_TOTAL,
  offsetOf,
} from '@waybill/kit/paging.ts';
import { ORDER_STATUSES, type ListQuery, type OrderStatus } from './contract.ts';
import { COLUMNS, type OrderRow } from './store.ts';

interface Filter {
  readonly conditions: string[];
  readonly values: unknown[];
}

/** Lists orders, newest first. A customer sees their own alone. */
export async function listOrders<Shown>(
  db: Database,
  cursorKey: Buffer,
  identity: Identity,
  query: ListQuery,
  render: (row: OrderRow) => Shown,
) {
  const filter = filterOf(identity, query);
  const scope = JSON.stringify([filter.conditions, filter.values]);
  const pageSize = query.page_size ?? DEFAULT_PAGE_SIZE;
  const page = query.page ?? 1;
  const paged: Filter = { conditions: [...filter.conditions], values: [...filter.values] };
  let offset = 0;
  if (query.cursor === undefined) offset = offsetOf(page, pageSize);
  else add(paged, 'id <', decodeCursor(cursorKey, scope, query.cursor), '::uuid');
  const rows = await db.queryOnce<OrderRow>(
    `select ${COLUMNS} from orders ${where(paged)} order by id desc
     limit ${pageSize + 1} offset ${offset}`,
    paged.values,
  );
  const shown = rows.slice(0, pageSize);
  const last = shown.at(-1);
  return {
    orders: shown.map(render),
    ...(await countOrders(db, filter)),
    page,
    page_size: pageSize,
    next_cursor:
      rows.length > pageSize && last !== undefined ? encodeCursor(cursorKey, scope, last.id) : null,
  };
}

/** Exact to 10 000; above, the planner's estimate. */
async function countOrders(db: Database, filter: Filter) {
  const [row] = await db.queryOnce<{ total: bigint }>(
    `select count(*) as total
     from (select from orders ${where(filter)} limit ${EXACT_TOTAL + 1}) counted`,
    filter.values,
  );
  const total = Number(row?.total ?? 0n);
  if (total <= EXACT_TOTAL) return { total };
  const [plan] = await db.queryOnce<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `explain (format json) select from orders ${where(filter)}`,
    filter.values,
  );
  const estimate = plan?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? total;
  return { total: Math.max(total, estimate), total_is_estimate: true };
}

function filterOf(identity: Identity, query: ListQuery): Filter {
  const filter: Filter = { conditions: [], values: [] };
  if (!isStaff(identity)) add(filter, 'customer_id =', identity.subject);
  if (query.customer_id !== undefined)
    add(filter, 'customer_id =', query.customer_id.normalize('NFC'));
  if (query.status !== undefined) add(filter, 'status =', statusOf(query.status));
  if (query.created_from !== undefined)
    add(filter, 'id >=', firstIdAt(momentOf('created_from', query.created_from)), '::uuid');
  if (query.created_to !== undefined)
    add(filter, 'id <', firstIdAt(momentOf('created_to', query.created_to) + 1), '::uuid');
  if (query.q !== undefined) search(filter, query.q);
  return filter;
}

function add(filter: Filter, comparison: string, value: unknown, cast = ''): void {
  filter.values.push(value);
  filter.conditions.push(`${comparison} $${filter.values.length}${cast}`);
}

function where({ conditions }: Filter): string {
  return conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
}

/**
 * The text is searched literally: `%` and `_` are themselves. What looks like a number or an id of
 * ours may be a reference of the caller's all the same.
 */
function search(filter: Filter, q: string): void {
  const { values } = filter;
  values.push(`${q.normalize('NFC').replaceAll(/[\\%_]/g, String.raw`\$&`)}%`);
  const begins = `reference like $${values.length} or customer_id like $${values.length}`;
  const exact = /^[1-9]\d{0,15}$/.test(q) ? 'number' : isUuid(q) ? 'id' : undefined;
  if (exact !== undefined) values.push(q);
  const is = exact === undefined ? '' : ` or ${exact} = $${values.length}`;
  filter.conditions.push(`(${begins}${is})`);
}

function statusOf(text: string): OrderStatus {
  const status = text.toUpperCase() as OrderStatus;
  if (!ORDER_STATUSES.includes(status))
    throw invalid('status', `must be one of ${ORDER_STATUSES.join(', ').toLowerCase()}`);
  return status;
}

function invalid(name: string, detail: string): Refusal {
  return new Refusal(422, 'invalid_query', `The parameter ${name} ${detail}.`, {
    faults: [{ pointer: `?${name}`, detail }],
  });
}
