/** The list of stock: by SKU, in pages or by cursor. */
import type { Database } from '@waybill/kit/db.ts';
import {
  DEFAULT_PAGE_SIZE,
  decodeCursor,
  encodeCursor,
  EXACT_TOTAL,
  offsetOf,
} from '@waybill/kit/paging.ts';
import type { StockQuery } from './contract.ts';
import { COLUMNS, renderStock, type StockRow } from './store.ts';

/** Lists stock by SKU. */
export async function listStock(db: Database, cursorKey: Buffer, query: StockQuery) {
  const { q, page = 1, page_size: pageSize = DEFAULT_PAGE_SIZE, cursor } = query;
  // Literally: `%` and `_` are themselves.
  const begins = `${(q ?? '').normalize('NFC').replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
  const scope = JSON.stringify(['stock', begins]);
  const after = cursor === undefined ? '' : decodeCursor(cursorKey, scope, cursor);
  const offset = cursor === undefined ? offsetOf(page, pageSize) : 0;
  const rows = await db.query<StockRow>(
    `select ${COLUMNS} from stock where sku like $1 and sku ~>~ $2
     order by sku using ~<~ limit $3 offset $4`,
    [begins, after, pageSize + 1, offset],
  );
  const shown = rows.slice(0, pageSize);
  const last = shown.at(-1);
  return {
    stock: shown.map(renderStock),
    ...(await countStock(db, begins)),
    page,
    page_size: pageSize,
    next_cursor:
      rows.length > pageSize && last !== undefined
        ? encodeCursor(cursorKey, scope, last.sku)
        : null,
  };
}

/** Exact to 10 000; above, as many as the planner knows of. */
async function countStock(db: Database, begins: string) {
  const [row] = await db.query<{ total: bigint; estimate: bigint }>(
    `select count(*) as total,
       (select greatest(reltuples, 0)::bigint from pg_class where oid = 'stock'::regclass)
         as estimate
     from (select from stock where sku like $1 limit ${EXACT_TOTAL + 1}) counted`,
    [begins],
  );
  const total = Number(row?.total ?? 0n);
  if (total <= EXACT_TOTAL) return { total };
  return { total: Math.max(total, Number(row?.estimate ?? 0n)), total_is_estimate: true };
}
