/** The filter of a list: conditions with numbered values, and how many rows it leaves. */
import type { Database } from './db.ts';
import { Refusal } from './errors.ts';
import { EXACT_TOTAL } from './paging.ts';

export interface Filter {
  readonly conditions: string[];
  readonly values: unknown[];
}

/** Adds a value; returns what stands for it in a condition. */
export function bind({ values }: Filter, value: unknown): string {
  return `$${values.push(value)}`;
}

/** Adds a condition: a column with its operator, and the value that it is held against. */
export function add(filter: Filter, comparison: string, value: unknown, cast = ''): void {
  filter.conditions.push(`${comparison} ${bind(filter, value)}${cast}`);
}

/** The filter as a clause; nothing where there are no conditions. */
export function where({ conditions }: Filter): string {
  return conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
}

/** A `like` pattern for what begins with the text, in which `%` and `_` are themselves. */
export function beginsWith(text: string): string {
  return `${text.normalize('NFC').replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
}

/** The word that a query parameter means, in whatever case it is given; otherwise 422. */
export function wordOf<Word extends string>(
  name: string,
  words: readonly Word[],
  text: string,
): Word {
  const word = words.find((candidate) => candidate === text.toUpperCase());
  if (word !== undefined) return word;
  const detail = `must be one of ${words.join(', ')}, in any case`;
  throw new Refusal(422, 'invalid_query', `The parameter ${name} ${detail}.`, {
    faults: [{ pointer: `?${name}`, detail }],
  });
}

/** How many rows a `select from …` has: exact to 10 000; above, the planner's estimate. */
export async function countRows(
  db: Database,
  rows: string,
  values: readonly unknown[],
): Promise<{ total: number; total_is_estimate?: boolean }> {
  const [counted] = await db.queryOnce<{ total: bigint }>(
    `select count(*) as total from (${rows} limit ${EXACT_TOTAL + 1}) counted`,
    values,
  );
  const total = Number(counted?.total ?? 0n);
  if (total <= EXACT_TOTAL) return { total };
  const [plan] = await db.queryOnce<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `explain (format json) ${rows}`,
    values,
  );
  const estimate = plan?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? total;
  return { total: Math.max(total, estimate), total_is_estimate: true };
}
