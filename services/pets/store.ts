/** Every statement that changes pets and reservations, or looks for one of them. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import type {
  Pet,
  PetInput,
  PetStatus,
  Reservation,
  ReservationState,
  ReserveRequest,
} from './contract.ts';
import { toWire } from './rules.ts';

export interface PetRow {
  id: bigint;
  name: string;
  category: Pet['category'] | null;
  photo_urls: string[];
  tags: Pet['tags'];
  status: PetStatus;
  reservation_id: string | null;
  version: number;
}

export const COLUMNS = `id, name, category, photo_urls, tags, status, reservation_id, version`;

const RESERVE = `
  with held as (
    update pets set status = 'reserved', reservation_id = $2::uuid, version = version + 1,
      updated_at = now()
    where id = $1 and status = 'available'
    returning ${COLUMNS}),
  recorded as (
    insert into reservations (id, pet_id, order_id, state)
    select $2::uuid, id, $3::uuid, 'held' from held),
  logged as (
    insert into log (key, version, type, data, traceparent)
    select id::text, version, 'PET_RESERVED', ($4::jsonb || jsonb_build_object('pet_id', id,
      'name', name, 'from', 'available', 'to', 'reserved'))::json, $5 from held)
  select ${COLUMNS} from held`;

/**
 * Reserves an available pet, records for whom, and tells it: one statement, so that of any number
 * of simultaneous callers one gets a row, and the others wait no longer than for its commit.
 */
export async function reservePet(
  db: Queryable,
  id: number,
  { reservation_id, order_id, ...order }: ReserveRequest,
  traceparent: string | undefined,
): Promise<PetRow | undefined> {
  const told = {
    quantity: 1,
    ship_date: null,
    complete: false,
    requested_at: null,
    payload: {},
    ...order,
    reservation_id,
    order_id,
  };
  const rows = await db.query<PetRow>(RESERVE, [
    id,
    reservation_id,
    order_id,
    JSON.stringify(told),
    traceparent ?? null,
  ]);
  return rows[0];
}

interface ReservationRow {
  reservation_id: string;
  pet_id: bigint;
  order_id: string | null;
  state: ReservationState;
  created_at: string;
}

const RESERVATION = 'id as reservation_id, pet_id, order_id, state, created_at';

export async function findReservation(
  db: Queryable,
  id: string,
): Promise<ReservationRow | undefined> {
  const rows = await db.query<ReservationRow>(
    `select ${RESERVATION} from reservations where id = $1`,
    [id],
  );
  return rows[0];
}

/** Held for at least so many seconds, the oldest first. */
export function listHeld(db: Queryable, olderThanSeconds: number, limit: number) {
  return db.query<ReservationRow>(
    `select ${RESERVATION} from reservations
     where state = 'held' and created_at <= now() - make_interval(secs => $1)
     order by created_at limit $2`,
    [olderThanSeconds, limit],
  );
}

/** Notes that a reservation that was never made never will be; the pet's lock is held. */
export async function forbidReservation(tx: Tx, id: string, petId: number): Promise<void> {
  await tx.query(
    `insert into reservations (id, pet_id, state) values ($1, $2, 'released')
     on conflict do nothing`,
    [id, petId],
  );
}

/** A pet with the reservation that holds it. */
export interface HeldRow extends PetRow {
  reservation_id: string;
  order_id: string;
  state: ReservationState;
}

const HELD = `select p.id, p.name, p.category, p.photo_urls, p.tags, p.status, p.reservation_id,
    p.version, r.order_id, r.state
  from reservations r join pets p on p.reservation_id = r.id`;

/** Locks the pets that these orders hold; by id, so that batches never wait in a ring. */
export function lockHeldByOrders(tx: Tx, orderIds: readonly string[]): Promise<HeldRow[]> {
  return tx.query<HeldRow>(
    `${HELD} where r.order_id = any($1::uuid[]) order by p.id for update of p, r`,
    [orderIds],
  );
}

export async function lockHeld(tx: Tx, reservationId: string): Promise<HeldRow | undefined> {
  const rows = await tx.query<HeldRow>(`${HELD} where r.id = $1 for update of p, r`, [
    reservationId,
  ]);
  return rows[0];
}

/** Moves a locked pet and the reservation that holds it. */
export async function settleReservation(
  tx: Tx,
  held: HeldRow,
  state: ReservationState,
  status: PetStatus,
): Promise<void> {
  await tx.query(
    `with settled as (
       update reservations set state = $2, updated_at = now() where id = $1 returning pet_id)
     update pets set status = $3, version = version + 1, updated_at = now(),
       reservation_id = case when $3 = 'available' then null else reservation_id end
     from settled where pets.id = settled.pet_id`,
    [held.reservation_id, state, status],
  );
}

export async function findPet(db: Queryable, id: number): Promise<PetRow | undefined> {
  const rows = await db.query<PetRow>(
    `select ${COLUMNS} from pets where id = $1 and status <> 'deleted'`,
    [id],
  );
  return rows[0];
}

/** Which photos a pet shows, and since which version; none when it is deleted. */
export async function readShownPhotos(db: Queryable, id: number) {
  const rows = await db.query<Pick<PetRow, 'version' | 'photo_urls'>>(
    'select version, photo_urls from pets where id = $1',
    [id],
  );
  return rows[0];
}

export async function lockPet(tx: Tx, id: number): Promise<PetRow | undefined> {
  const rows = await tx.query<PetRow>(
    `select ${COLUMNS} from pets where id = $1 and status <> 'deleted' for update`,
    [id],
  );
  return rows[0];
}

/** What a request says of a pet; fields that the contract does not name are dropped here. */
function contentOf(input: Omit<PetInput, 'id' | 'status'>) {
  const named = ({ id, name }: { id?: number; name?: string }) => ({
    ...(id === undefined ? {} : { id }),
    ...(name === undefined ? {} : { name }),
  });
  const tags = (input.tags ?? []).map(named);
  const names = tags.flatMap(({ name }) => (name === undefined ? [] : [normalTag(name)]));
  const category = input.category === undefined ? null : JSON.stringify(named(input.category));
  return {
    columns: [input.name, category, JSON.stringify(input.photoUrls), JSON.stringify(tags)],
    tagNames: [...new Set(names)],
  };
}

/** A tag as it is searched: equal texts look equal. */
export function normalTag(name: string): string {
  return name.normalize('NFC').trim();
}

/** Inserts a pet under an id that is free, or whose pet was deleted; otherwise undefined. */
export async function insertPet(
  tx: Tx,
  id: number,
  input: PetInput,
  status: PetStatus,
): Promise<PetRow | undefined> {
  const { columns, tagNames } = contentOf(input);
  const rows = await tx.query<PetRow>(
    `insert into pets as old (id, name, category, photo_urls, tags, status, version)
     values ($1, $2, $3, $4, $5, $6, 1)
     on conflict (id) do update set name = excluded.name, category = excluded.category,
       photo_urls = excluded.photo_urls, tags = excluded.tags, status = excluded.status,
       version = old.version + 1, created_at = now(), updated_at = now()
     where old.status = 'deleted' returning ${COLUMNS}`,
    [id, ...columns, status],
  );
  if (rows[0] !== undefined) await writeTags(tx, id, tagNames);
  return rows[0];
}

async function writeTags(tx: Tx, id: number | bigint, names: readonly string[]): Promise<void> {
  await tx.query('delete from pet_tags where pet_id = $1 and tag <> all($2)', [id, names]);
  if (names.length === 0) return;
  await tx.query(
    `insert into pet_tags (tag, pet_id) select tag, $1 from unnest($2::text[]) as names(tag)
     on conflict do nothing`,
    [id, names],
  );
}

/** The first of the next `among` ids that no pet has had; undefined when each has. */
export async function allotId(tx: Tx, among: number): Promise<number | undefined> {
  const rows = await tx.query<{ id: bigint }>(
    `select next.id
     from (select nextval('pet_ids') as id from generate_series(1, $1)) next
     where not exists (select from pets where pets.id = next.id) order by next.id limit 1`,
    [among],
  );
  return rows[0] === undefined ? undefined : Number(rows[0].id);
}

/** Replaces a locked pet's content. */
export async function replacePet(
  tx: Tx,
  row: PetRow,
  input: Omit<PetInput, 'id' | 'status'>,
  status: PetStatus,
): Promise<PetRow> {
  const { columns, tagNames } = contentOf(input);
  const rows = await tx.query<PetRow>(
    `update pets set name = $3, category = $4, photo_urls = $5, tags = $6, status = $7,
       version = version + 1, updated_at = now()
     where id = $1 and version = $2 returning ${COLUMNS}`,
    [row.id, row.version, ...columns, status],
  );
  if (rows[0] === undefined) throw new Error(`pet ${row.id} changed under its lock`);
  await writeTags(tx, row.id, tagNames);
  return rows[0];
}

/** Leaves of a locked pet its id and version. */
export async function erasePet(tx: Tx, row: PetRow): Promise<void> {
  await tx.query(
    `update pets set status = 'deleted', name = '', category = null, photo_urls = '[]',
       tags = '[]', reservation_id = null, version = version + 1, updated_at = now()
     where id = $1 and version = $2`,
    [row.id, row.version],
  );
  await writeTags(tx, row.id, []);
}

/** The pet as it goes over the wire. */
export function renderPet(row: PetRow): Pet {
  return {
    id: Number(row.id),
    name: row.name,
    ...(row.category === null || row.category === undefined ? {} : { category: row.category }),
    photoUrls: row.photo_urls,
    tags: row.tags,
    status: toWire(row.status),
  };
}

export function renderReservation(row: ReservationRow): Reservation {
  return { ...row, pet_id: Number(row.pet_id) };
}
