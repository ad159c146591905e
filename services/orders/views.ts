/** The list of orders: filters, pages, cursors, bounded totals. */
import type { Database } from '@waybill/kit/db.ts';
import {
  add,
  beginsWith,
  bind,
  countRows,
  where,
  wordOf,
  type Filter,
} from '@waybill/kit/filter.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { isUuid } from '@waybill/kit/ids.ts';
import { firstIdAt, momentOf } from '@waybill/kit/moments.ts';
import {
  cutPage,
  DEFAULT_PAGE_SIZE,
  decodeCursor,
  encodeCursor,
  offsetOf,
} from '@waybill/kit/paging.ts';
import { ORDER_STATUSES, type ListQuery } from './contract.ts';
import { COLUMNS, type OrderRow } from './store.ts';

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
  const paged = structuredClone(filter);
  let offset = 0;
  if (query.cursor === undefined) offset = offsetOf(page, pageSize);
  else add(paged, 'id <', decodeCursor(cursorKey, scope, query.cursor), '::uuid');
  const rows = await db.queryOnce<OrderRow>(
    `select ${COLUMNS} from orders ${where(paged)} order by id desc
     limit ${pageSize + 1} offset ${offset}`,
    paged.values,
  );
  const { shown, next } = cutPage(rows, pageSize, ({ id }) => encodeCursor(cursorKey, scope, id));
  return {
    orders: shown.map(render),
    ...(await countRows(db, `select from orders ${where(filter)}`, filter.values)),
    page,
    page_size: pageSize,
    next_cursor: next,
  };
}

function filterOf(identity: Identity, query: ListQuery): Filter {
  const filter: Filter = { conditions: [], values: [] };
  if (!isStaff(identity)) add(filter, 'customer_id =', identity.subject);
  if (query.customer_id !== undefined)
    add(filter, 'customer_id =', query.customer_id.normalize('NFC'));
  if (query.status !== undefined)
    add(filter, 'status =', wordOf('status', ORDER_STATUSES, query.status));
  if (query.created_from !== undefined)
    add(filter, 'id >=', firstIdAt(momentOf('created_from', query.created_from)), '::uuid');
  if (query.created_to !== undefined)
    add(filter, 'id <', firstIdAt(momentOf('created_to', query.created_to) + 1), '::uuid');
  if (query.q !== undefined) search(filter, query.q);
  return filter;
}

/** What looks like a number or an id of ours may be a reference of the caller's all the same. */
function search(filter: Filter, q: string): void {
  const begins = bind(filter, beginsWith(q));
  const exact = /^[1-9]\d{0,15}$/.test(q) ? 'number' : isUuid(q) ? 'id' : undefined;
  const is = exact === undefined ? '' : ` or ${exact} = ${bind(filter, q)}`;
  filter.conditions.push(`(reference like ${begins} or customer_id like ${begins}${is})`);
}
