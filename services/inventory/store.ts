/** Every statement that changes stock or the counts of pets, or looks for one of them. */
import type { Database, Queryable, Tx } from '@waybill/kit/db.ts';
import type { StockItem, StockReservation, StockReservationState } from './contract.ts';
import type { Decision, Deduction, Reservation, Stock } from './rules.ts';

export interface StockRow {
  sku: string;
  on_hand: bigint;
  reserved: bigint;
  version: number;
  created_at: string;
  updated_at: string;
}

export const COLUMNS = 'sku, on_hand, reserved, version, created_at, updated_at';

export async function findStock(db: Queryable, sku: string): Promise<StockRow | undefined> {
  const rows = await db.query<StockRow>(`select ${COLUMNS} from stock where sku = $1`, [sku]);
  return rows[0];
}

/** Makes a SKU known, with nothing on hand. */
export async function addSku(tx: Tx, sku: string): Promise<void> {
  await tx.query('insert into stock (sku) values ($1) on conflict do nothing', [sku]);
}

export interface LockedStock extends Stock {
  readonly version: number;
}

/** Locks SKUs; in their order, so that two batches never wait for each other in a ring. */
export async function lockStock(
  tx: Tx,
  skus: readonly string[],
): Promise<Map<string, LockedStock>> {
  const rows = await tx.query<StockRow>(
    `select sku, on_hand, reserved, version from stock where sku = any($1)
     order by sku for update`,
    [skus],
  );
  return new Map(
    rows.map(({ sku, on_hand, reserved, version }) => [
      sku,
      { onHand: Number(on_hand), reserved: Number(reserved), version },
    ]),
  );
}

interface ReservationRow {
  id: string;
  state: StockReservationState;
  asked: string;
  allow_unknown: boolean;
  expires_at: string;
  lines: { sku: string; quantity: number; deducted: number }[] | null;
}

export async function readReservations(
  db: Queryable,
  ids: readonly string[],
): Promise<Map<string, Reservation>> {
  const rows = await db.query<ReservationRow>(
    `select r.id, r.state, r.asked, r.allow_unknown, r.expires_at,
       (select json_agg(json_build_object('sku', l.sku, 'quantity', l.quantity,
           'deducted', l.deducted) order by l.sku)
         from reservation_lines l where l.reservation_id = r.id) as lines
     from reservations r where r.id = any($1)`,
    [ids],
  );
  return new Map(
    rows.map(({ id, state, asked, allow_unknown, expires_at, lines }) => [
      id,
      {
        id,
        state,
        asked,
        allowUnknown: allow_unknown,
        seconds: 0,
        expiresAt: expires_at,
        lines: lines ?? [],
      },
    ]),
  );
}

export async function readDeductions(
  tx: Tx,
  ids: readonly string[],
): Promise<Map<string, Deduction>> {
  const rows = await tx.query<{ id: string; reservation_id: string; asked: string }>(
    'select id, reservation_id, asked from deductions where id = any($1)',
    [ids],
  );
  return new Map(
    rows.map(({ id, reservation_id, asked }) => [id, { id, reservationId: reservation_id, asked }]),
  );
}

const WRITE = `with stocked as (
    update stock s set on_hand = n.on_hand, reserved = n.reserved, version = n.version,
      updated_at = now()
    from json_to_recordset($1) as n(sku text, on_hand bigint, reserved bigint, version integer)
    where s.sku = n.sku and s.version = n.version - 1 returning s.sku),
  created as (
    insert into reservations (id, state, asked, allow_unknown, expires_at)
    select c.id, c.state, c.asked, c."allowUnknown", now() + make_interval(secs => c.seconds)
    from json_to_recordset($2) as c(id text, state text, asked text, "allowUnknown" boolean,
      seconds integer)
    returning id, expires_at),
  lined as (
    insert into reservation_lines (reservation_id, sku, quantity, deducted)
    select c.id, l.sku, l.quantity, l.deducted
    from json_to_recordset($2) as c(id text, lines json)
    cross join json_to_recordset(c.lines) as l(sku text, quantity bigint, deducted bigint)),
  moved as (
    update reservations r set state = m.state, updated_at = now()
    from json_to_recordset($3) as m(id text, state text) where r.id = m.id),
  deducted as (
    update reservation_lines r set deducted = l.deducted
    from json_to_recordset($3) as m(id text, lines json)
    cross join json_to_recordset(m.lines) as l(sku text, deducted bigint)
    where r.reservation_id = m.id and r.sku = l.sku and r.deducted <> l.deducted),
  noted as (
    insert into deductions (id, reservation_id, asked)
    select d.id, d."reservationId", d.asked
    from json_to_recordset($4) as d(id text, "reservationId" text, asked text))
  select id, expires_at, (select count(*) from stocked) as stocked from created
  union all select null, null, (select count(*) from stocked)`;

/** Writes what was decided over locked rows, in one statement. */
export async function writeDecision(
  tx: Tx,
  decision: Decision,
  locked: ReadonlyMap<string, LockedStock>,
): Promise<void> {
  const stock = [...decision.stock].map(([sku, { onHand, reserved }]) => ({
    sku,
    on_hand: onHand,
    reserved,
    version: (locked.get(sku)?.version ?? 0) + 1,
  }));
  const rows = await tx.query<{ id: string | null; expires_at: string; stocked: bigint }>(WRITE, [
    JSON.stringify(stock),
    JSON.stringify(decision.created),
    JSON.stringify(decision.moved),
    JSON.stringify(decision.deductions),
  ]);
  if (Number(rows.at(-1)?.stocked) !== stock.length)
    throw new Error('stock changed under its lock');
  const ends = new Map(rows.map((row) => [row.id, row.expires_at]));
  for (const made of decision.created) made.expiresAt = ends.get(made.id) ?? '';
}

/** Reservations whose time is up. */
export async function listDue(db: Database, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `select id from reservations where state = 'reserved' and expires_at <= now()
     order by expires_at limit $1`,
    [limit],
  );
  return rows.map((row) => row.id);
}

/** What an event or a rebuild says of a pet; null: it is gone. */
export interface PetNews {
  readonly key: string;
  readonly version: number;
  readonly status: string | null;
}

const LEARN = `with news as materialized (
    select * from json_to_recordset($1) as n(key text, version integer, status text)),
  before as materialized (
    select p.key, p.status from pets p join news n on n.key = p.key and p.version <= n.version),
  fresh as materialized (
    select n.key, n.version, n.status, b.status as was from news n
    left join before b on b.key = n.key
    where b.key is not null or not exists (select from pets p where p.key = n.key)),
  learnt as (
    insert into pets (key, version, status) select key, version, status from fresh order by key
    on conflict (key) do update set version = excluded.version, status = excluded.status),
  shifts as (
    select status, sum(by) as by from (
      select status, 1 as by from fresh where status is not null
      union all select was, -1 from fresh where was is not null) each_one
    group by status)
  update pet_counts c set pets = c.pets + s.by from shifts s where c.status = s.status`;

/** Learns what became of pets, and counts it; what is older than what is known changes nothing. */
export async function learnPets(tx: Tx, news: readonly PetNews[]): Promise<void> {
  await lockCounts(tx);
  await tx.query(LEARN, [JSON.stringify(news)]);
}

/** Counts all pets anew. */
export async function recountPets(tx: Tx): Promise<void> {
  await lockCounts(tx);
  await tx.query(
    `update pet_counts c set pets = (select count(*) from pets p where p.status = c.status)`,
  );
}

/** Whoever learns or counts does it alone: the three rows are the hottest there are anyway. */
async function lockCounts(tx: Tx): Promise<void> {
  await tx.query('select from pet_counts order by status for update');
}

export async function readPetCounts(db: Queryable): Promise<Map<string, number>> {
  const rows = await db.query<{ status: string; pets: bigint }>(
    'select status, pets from pet_counts',
  );
  return new Map(rows.map(({ status, pets }) => [status, Number(pets)]));
}

export function renderStock(row: StockRow): StockItem {
  const { sku, version, created_at, updated_at } = row;
  const onHand = Number(row.on_hand);
  const reserved = Number(row.reserved);
  return {
    sku,
    on_hand: onHand,
    reserved,
    available: onHand - reserved,
    version,
    created_at,
    updated_at,
  };
}

export function renderReservation({ id, state, expiresAt, lines }: Reservation): StockReservation {
  return { reservation_id: id, state, expires_at: expiresAt, lines };
}
