/** Deleting by the bite, so that no statement locks for long. */
import type { Queryable } from './db.ts';

const BITE = 5000;

/**
 * Runs a `delete` that takes $1 rows at most, its own values from $2 on. True: it took as many, so
 * that there may be more, as a sweep answers.
 */
export async function deleteBite(
  db: Queryable,
  statement: string,
  values: readonly unknown[] = [],
): Promise<boolean> {
  const [row] = await db.query<{ rows: bigint }>(
    `with gone as (${statement} returning 1) select count(*) as rows from gone`,
    [BITE, ...values],
  );
  return Number(row?.rows) === BITE;
}
