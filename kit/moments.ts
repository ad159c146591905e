/** Moments as people write them, and the ids that were made at them. */
import { Refusal } from './errors.ts';

/**
 * Milliseconds of a moment that fits the schema `Moment`; one that does not exist is refused with
 * 422 under the parameter's name. A zone's + may be a space, as query strings decode it.
 */
export function momentOf(name: string, text: string): number {
  const normal = text.replace(/^(\S{10}) /, '$1T').replace(/ (\d{2}:?\d{2})$/, '+$1');
  const hasZone = /([Zz]|[+-]\d{2}:?\d{2})$/.test(normal.slice(10));
  const full = normal.length === 10 ? `${normal}T00:00:00Z` : hasZone ? normal : `${normal}Z`;
  const ms = Date.parse(full);
  const day = Number(text.slice(8, 10));
  const month = Number(text.slice(5, 7));
  const inMonth = new Date(Date.UTC(Number(text.slice(0, 4)), month, 0)).getUTCDate();
  if (Number.isNaN(ms) || month < 1 || month > 12 || day < 1 || day > inMonth) {
    const detail = 'must be an existing date or RFC 3339 time';
    throw new Refusal(422, 'invalid_query', `The parameter ${name} ${detail}.`, {
      faults: [{ pointer: `?${name}`, detail }],
    });
  }
  return ms;
}

/** The smallest UUIDv7 of a millisecond: a range of times is a range of ids. */
export function firstIdAt(ms: number): string {
  const hex = Math.min(Math.max(ms, 0), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
