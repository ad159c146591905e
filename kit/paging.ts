/**
 * Cursors: opaque to the client and signed, so that a changed or a borrowed one is refused. A
 * cursor holds the sort key of the last row, so its cost does not grow with depth.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from './errors.ts';

/** Deepest row that page numbers reach; cursors go on from there. */
export const MAX_OFFSET = 10_000;
export const DEFAULT_PAGE_SIZE = 20;
/** Totals are exact up to here, then estimates. */
export const EXACT_TOTAL = 10_000;

/** Signs the position; `scope` is the list with its filters, to which the cursor is bound. */
export function encodeCursor(secret: Buffer, scope: string, position: string): string {
  const mac = macOf(secret, scope, position);
  return `${Buffer.from(position).toString('base64url')}.${mac}`;
}

/** The position of a cursor of the same scope; anything else is refused with 422. */
export function decodeCursor(secret: Buffer, scope: string, cursor: string): string {
  const [text = ''] = cursor.split('.');
  const position = Buffer.from(text, 'base64url').toString();
  // Compared whole: base64 has several spellings of the same bytes, and a cursor has one.
  const expected = Buffer.from(encodeCursor(secret, scope, position));
  const given = Buffer.from(cursor);
  if (given.length !== expected.length || !timingSafeEqual(given, expected))
    throw new Refusal(422, 'invalid_cursor', 'The cursor is not one of this list.', {
      faults: [
        { pointer: '?cursor', detail: 'must be a next_cursor of the same list and filters' },
      ],
    });
  return position;
}

/** Rows that were read with one too many, without it; and the cursor of the page after them. */
export function cutPage<Row>(
  rows: readonly Row[],
  size: number,
  cursorOf: (last: Row) => string,
): { shown: Row[]; next: string | null } {
  const last = rows[size - 1];
  const next = rows.length > size && last !== undefined ? cursorOf(last) : null;
  return { shown: rows.slice(0, size), next };
}

function macOf(secret: Buffer, scope: string, position: string): string {
  return createHmac('sha256', secret)
    .update(`${scope}\n${position}`)
    .digest('base64url')
    .slice(0, 22);
}

/** The offset of a page number; past MAX_OFFSET it is refused with 422. */
export function offsetOf(page: number, pageSize: number): number {
  const offset = (page - 1) * pageSize;
  if (offset > MAX_OFFSET)
    throw new Refusal(
      422,
      'page_too_deep',
      `Pages reach ${MAX_OFFSET} rows; narrow the list, or follow its cursor if it has one.`,
      { faults: [{ pointer: '?page', detail: `must stay within the first ${MAX_OFFSET} rows` }] },
    );
  return offset;
}
