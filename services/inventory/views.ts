/** The list of stock: by SKU, in pages or by cursor. */
import type { Database } from '@waybill/kit/db.ts';
import { beginsWith, countRows } from '@waybill/kit/filter.ts';
import {
  cutPage,
  DEFAULT_PAGE_SIZE,
  decodeCursor,
  encodeCursor,
  offsetOf,
} from '@waybill/kit/paging.ts';
import type { StockQuery } from './contract.ts';
import { COLUMNS, renderStock, type StockRow } from './store.ts';

/** Lists stock by SKU. */
export async function listStock(db: Database, cursorKey: Buffer, query: StockQuery) {
  const { q, page = 1, page_size: pageSize = DEFAULT_PAGE_SIZE, cursor } = query;
  const begins = beginsWith(q ?? '');
  const scope = JSON.stringify(['stock', begins]);
  const after = cursor === undefined ? '' : decodeCursor(cursorKey, scope, cursor);
  const offset = cursor === undefined ? offsetOf(page, pageSize) : 0;
  const rows = await db.query<StockRow>(
    `select ${COLUMNS} from stock where sku like $1 and sku ~>~ $2
     order by sku using ~<~ limit $3 offset $4`,
    [begins, after, pageSize + 1, offset],
  );
  const { shown, next } = cutPage(rows, pageSize, ({ sku }) => encodeCursor(cursorKey, scope, sku));
  return {
    stock: shown.map(renderStock),
    ...(await countRows(db, 'select from stock where sku like $1', [begins])),
    page,
    page_size: pageSize,
    next_cursor: next,
  };
}
