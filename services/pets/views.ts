/** Searches for pets: bounded, in order of id, continued by a cursor. */
import type { Database } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { cutPage, decodeCursor, encodeCursor } from '@waybill/kit/paging.ts';
import {
  MAX_FOUND,
  WIRE_STATUSES,
  type Pet,
  type PetStanding,
  type WireStatus,
} from './contract.ts';
import { fromWire } from './rules.ts';
import { COLUMNS, normalTag, renderPet, type PetRow } from './store.ts';

/** A page of pets, and the cursor of the next one if there is more. */
export interface Found {
  readonly pets: Pet[];
  readonly next: string | null;
}

interface Search {
  readonly db: Database;
  readonly cursorKey: Buffer;
  readonly cursor: string | undefined;
}

/** Pets that have any of the statuses. */
export function findByStatus(search: Search, values: readonly string[]): Promise<Found> {
  const wanted = listed(values);
  if (wanted.length === 0 || !wanted.every(isStatus))
    throw refused('status', `must be one or more of ${WIRE_STATUSES.join(', ')}`);
  // A page of each status in the order of its index: no more is read, however many there are.
  return page(
    search,
    ['status', ...wanted],
    `select found.* from unnest($1::text[]) as wanted(status) cross join lateral (
       select ${COLUMNS} from pets
       where pets.status = wanted.status and id > $2 order by id limit ${MAX_FOUND + 1}) found
     order by found.id limit ${MAX_FOUND + 1}`,
    wanted.map((status) => fromWire(status)),
  );
}

/** Pets that have any of the tags. */
export function findByTags(search: Search, values: readonly string[]): Promise<Found> {
  const wanted = listed(values).map(normalTag);
  if (wanted.length === 0) throw refused('tags', 'must name one tag or more');
  return page(
    search,
    ['tags', ...wanted],
    `select ${COLUMNS} from pets where id in (
       select distinct found.pet_id from unnest($1::text[]) as wanted(tag) cross join lateral (
         select pet_id from pet_tags
         where pet_tags.tag = wanted.tag and pet_id > $2
         order by pet_id limit ${MAX_FOUND + 1}) found
       order by found.pet_id limit ${MAX_FOUND + 1})
     order by id`,
    wanted,
  );
}

async function page(
  { db, cursorKey, cursor }: Search,
  scope: readonly string[],
  text: string,
  wanted: readonly string[],
): Promise<Found> {
  const list = JSON.stringify(scope);
  const after = cursor === undefined ? '0' : decodeCursor(cursorKey, list, cursor);
  const rows = await db.query<PetRow>(text, [wanted, after]);
  const { shown, next } = cutPage(rows, MAX_FOUND, ({ id }) =>
    encodeCursor(cursorKey, list, String(id)),
  );
  return { pets: shown.map(renderPet), next };
}

/** Values that were given by comma, by repetition or both, each once. */
function listed(values: readonly string[]): string[] {
  const all = values.flatMap((value) => value.split(',')).map((value) => value.trim());
  return [...new Set(all)].filter((value) => value !== '');
}

function isStatus(text: string): text is WireStatus {
  return (WIRE_STATUSES as readonly string[]).includes(text);
}

function refused(name: string, detail: string): Refusal {
  return new Refusal(400, `invalid_${name}`, `The parameter ${name} ${detail}.`, {
    faults: [{ pointer: `?${name}`, detail }],
  });
}

const STANDINGS = 1000;

/** Pets after an id, the deleted ones too: a page of them. */
export async function listStandings(
  db: Database,
  after: number,
): Promise<PetStanding['standings']> {
  const rows = await db.query<{ id: bigint } & Omit<PetStanding['standings'][0], 'id'>>(
    `select id, version, nullif(status, 'deleted') as status from pets
     where id > $1 order by id limit ${STANDINGS}`,
    [after],
  );
  return rows.map((row) => ({ ...row, id: Number(row.id) }));
}
