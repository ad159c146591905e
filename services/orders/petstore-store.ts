/** Statements on orders for pets, and on the numbers claimed for them. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import type { StoreOrder } from './petstore-contract.ts';
import { petstoreStatusOf } from './rules.ts';
import { COLUMNS, type OrderRow } from './store.ts';

/** An order with the pet that it holds. */
export interface PetOrderRow extends OrderRow {
  pet_id: bigint;
  ship_date: string | null;
}

const PET_ORDER = `select ${COLUMNS}, pet_id, ship_date
  from orders join pet_orders on pet_orders.order_id = orders.id`;

export async function findPetOrder(
  db: Queryable,
  number: number,
): Promise<PetOrderRow | undefined> {
  const rows = await db.query<PetOrderRow>(`${PET_ORDER} where number = $1`, [number]);
  return rows[0];
}

export async function findPetOrderById(
  db: Queryable,
  id: string,
): Promise<PetOrderRow | undefined> {
  const rows = await db.query<PetOrderRow>(`${PET_ORDER} where id = $1`, [id]);
  return rows[0];
}

/** Which of the orders are there. */
export async function findArrived(
  db: Queryable,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await db.query<{ id: string }>('select id from orders where id = any($1::uuid[])', [
    ids,
  ]);
  return new Set(rows.map((row) => row.id));
}

/** A number with the order that will have it. */
export interface Claim {
  readonly order_id: string;
  readonly number: number;
  readonly pet_id: number;
}

/** Whoever asked is gone by then: a request lives 30 s, and its last statement 10 s. */
const CLAIM = "interval '60 seconds'";

/** Claims a number for an order. False: it is in use, or claimed. */
export async function claimNumber(
  tx: Tx,
  { number, order_id, pet_id }: Claim,
  idempotency: { readonly scope: string; readonly key: string } | undefined,
): Promise<boolean> {
  const rows = await tx.query(
    `insert into order_claims (number, order_id, pet_id, scope, key, expires_at)
     select $1, $2, $3, $4, $5, now() + ${CLAIM}
     where not exists (select from orders where number = $1)
     on conflict (number) do nothing returning number`,
    [number, order_id, pet_id, idempotency?.scope ?? null, idempotency?.key ?? null],
  );
  return rows.length === 1;
}

export async function findClaimOfKey(
  db: Queryable,
  scope: string,
  key: string,
): Promise<Claim | undefined> {
  const rows = await db.query<{ order_id: string; number: bigint; pet_id: bigint }>(
    'select order_id, number, pet_id from order_claims where scope = $1 and key = $2',
    [scope, key],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return { order_id: row.order_id, number: Number(row.number), pet_id: Number(row.pet_id) };
}

/** Gives up what was claimed for an order that never came; the key may be used again. */
export async function dropClaim(db: Queryable, orderId: string): Promise<void> {
  await db.query(
    `with dropped as (
       delete from order_claims
       where order_id = $1 and not exists (select from orders where id = $1)
       returning scope, key)
     delete from idempotency_keys k using dropped d
     where k.scope = d.scope and k.key = d.key and k.response = ''`,
    [orderId],
  );
}

/** Claims whose order did not come in time, put off as they are read. */
export async function takeDueClaims(db: Queryable, limit: number): Promise<Claim[]> {
  const rows = await db.query<{ order_id: string; number: bigint; pet_id: bigint }>(
    `update order_claims set expires_at = now() + ${CLAIM}
     where number in (select number from order_claims where expires_at <= now()
       order by expires_at limit $1 for update skip locked)
     returning order_id, number, pet_id`,
    [limit],
  );
  return rows.map(({ order_id, number, pet_id }) => ({
    order_id,
    number: Number(number),
    pet_id: Number(pet_id),
  }));
}

/** An order that a reservation brings into being. */
export interface Birth {
  readonly id: string;
  readonly number: number;
  readonly customer_id: string;
  readonly currency: string;
  readonly pet_id: number;
  readonly pet_name: string;
  readonly quantity: number;
  readonly ship_date: string | null;
  readonly created_at: string;
  readonly reserved_at: string;
}

/**
 * Stores the orders of reservations. Returns their ids and numbers: a number that somebody has
 * taken meanwhile, which needs a claim that was given up too early, is replaced by a fresh one.
 */
export async function insertPetOrders(
  tx: Tx,
  births: readonly Birth[],
  ttlSeconds: number,
): Promise<ReadonlyMap<string, number>> {
  const rows = await tx.query<{ id: string; number: bigint }>(
    `with births as materialized (
       select * from json_to_recordset($1) as b(id uuid, number bigint, customer_id text,
         currency text, pet_id bigint, pet_name text, quantity integer, ship_date timestamptz,
         created_at timestamptz, reserved_at timestamptz)),
     born as (
       insert into orders (id, number, channel, customer_id, currency, total_minor, status,
         payment_status, fulfillment_status, payment_method, items, version, created_at,
         updated_at)
       select b.id, case when exists (select from orders o where o.number = b.number)
           then nextval('order_numbers') else b.number end,
         'petstore', b.customer_id, b.currency, 0, 'PENDING', 'NOT_REQUIRED', 'UNFULFILLED',
         'none', json_build_array(json_build_object('item_id', b.pet_id::text, 'item_name',
           b.pet_name, 'quantity', b.quantity, 'unit_minor', 0)), 1, b.created_at, b.created_at
       from births b on conflict (id) do nothing returning id, number),
     holding as (
       insert into pet_orders (order_id, pet_id, ship_date, expires_at)
       select b.id, b.pet_id, b.ship_date, b.reserved_at + make_interval(secs => $2)
       from births b where b.id in (select id from born))
     select id, number from born`,
    [JSON.stringify(births), ttlSeconds],
  );
  return new Map(rows.map(({ id, number }) => [id, Number(number)]));
}

/** Completes the claims of orders that are there: their keys, and the numbers that clients gave. */
export async function fulfilClaims(tx: Tx, orderIds: readonly string[]): Promise<void> {
  await tx.query(
    `with kept as (
       update idempotency_keys k set status = 200, response = c.order_id::text
       from order_claims c
       where c.order_id = any($1::uuid[]) and k.scope = c.scope and k.key = c.key
         and k.response = ''),
     allotted as (
       delete from order_claims where order_id = any($1::uuid[]) and number >= 1000000000)
     update order_claims set expires_at = null, scope = null, key = null
     where order_id = any($1::uuid[]) and number < 1000000000`,
    [orderIds],
  );
}

/** Orders that were not approved in time. */
export async function listOverdue(db: Queryable, limit: number): Promise<string[]> {
  const rows = await db.query<{ order_id: string }>(
    'select order_id from pet_orders where expires_at <= now() order by expires_at limit $1',
    [limit],
  );
  return rows.map((row) => row.order_id);
}

export async function forgetExpiry(tx: Tx, orderIds: readonly string[]): Promise<void> {
  await tx.query('update pet_orders set expires_at = null where order_id = any($1::uuid[])', [
    orderIds,
  ]);
}

/** The order as the petstore shows it. */
export function renderStoreOrder(row: PetOrderRow): StoreOrder {
  return {
    id: Number(row.number),
    petId: Number(row.pet_id),
    quantity: row.items[0]?.quantity ?? 1,
    ...(row.ship_date === null ? {} : { shipDate: row.ship_date }),
    ...petstoreStatusOf(row.status),
  };
}
