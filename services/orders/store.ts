/** Every statement on the order table. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import { isUuid } from '@waybill/kit/ids.ts';
import type { Json } from '@waybill/kit/json.ts';
import { currencyExponent, toMajor } from '@waybill/kit/money.ts';
import type { Channel, FulfillmentStatus, Order, OrderStatus, PaymentStatus } from './contract.ts';
import type { Checkout } from './checkout-contract.ts';
import { checkoutStatusOf, type PricedItem } from './rules.ts';

export interface OrderRow {
  id: string;
  number: bigint | number;
  channel: Channel;
  customer_id: string;
  currency: string;
  total_minor: bigint | number;
  status: OrderStatus;
  payment_status: PaymentStatus;
  fulfillment_status: FulfillmentStatus;
  payment_method: string;
  reference: string | null;
  fulfillment: { method: string; address?: string } | null;
  items: readonly PricedItem[];
  payment_attempts: readonly AttemptRow[];
  /** Why it was not paid: the provider's code. */
  payment_failure: string | null;
  /** What the door it came through shows of it besides. */
  door: Door | null;
  cancel_requested_at: string | null;
  cancel_reason: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

/** Chapter B's own fields. */
export interface Door {
  readonly shop_id: string | number | null;
}

export interface AttemptRow {
  readonly attempt_number: number;
  readonly status: 'SUCCEEDED' | 'DECLINED' | 'FAILED';
  readonly amount_minor: number;
  readonly error_message: string | null;
  readonly created_at: string;
}

/** A new order with its event and, when one was sent, its idempotency key. */
export interface Acceptance {
  readonly row: OrderRow;
  readonly event: Json;
  readonly traceparent: string | undefined;
  readonly idempotency: { scope: string; key: string; fingerprint: Buffer } | undefined;
}

export const COLUMNS = `id, number, channel, customer_id, currency, total_minor, status,
  payment_status, fulfillment_status, payment_method, reference, fulfillment, items,
  payment_attempts, payment_failure, door, cancel_requested_at, cancel_reason, version, created_at,
  updated_at`;

const INPUT = `id uuid, number bigint, channel text, customer_id text, currency text,
  total_minor bigint, payment_method text, reference text, fulfillment json, items json,
  door json, created_at timestamptz, event json, traceparent text`;

const ACCEPTED = `insert into orders (id, number, channel, customer_id, currency, total_minor,
    status, payment_status, fulfillment_status, payment_method, reference, fulfillment, items,
    door, version, created_at, updated_at)
  select i.id, i.number, i.channel, i.customer_id, i.currency, i.total_minor, 'PENDING', 'PENDING',
    'UNFULFILLED', i.payment_method, i.reference, i.fulfillment, i.items, i.door, 1, i.created_at,
    i.created_at`;

const ACCEPT = `with input as materialized (
    select * from json_to_recordset($1) as i(${INPUT})),
  accepted as (${ACCEPTED} from input i),
  logged as (insert into log (key, version, type, data, traceparent)
    select i.id::text, 1, 'ORDER_CREATED', i.event, i.traceparent from input i)
  select 1`;

// A key that is there already keeps its order out: the join lets only claimed keys through.
const ACCEPT_WITH_KEYS = `with input as materialized (
    select * from json_to_recordset($1)
      as i(${INPUT}, scope text, key text, fingerprint text)),
  claimed as (insert into idempotency_keys (scope, key, fingerprint, status, response)
    select i.scope, i.key, decode(i.fingerprint, 'hex'), 202, i.id::text
    from input i where i.key is not null order by i.scope, i.key
    on conflict do nothing returning response),
  chosen as (select * from input i
    where i.key is null or i.id::text in (select response from claimed)),
  accepted as (${ACCEPTED} from chosen i),
  logged as (insert into log (key, version, type, data, traceparent)
    select i.id::text, 1, 'ORDER_CREATED', i.event, i.traceparent from chosen i)
  select id from chosen`;

/**
 * Stores accepted orders, their events and their keys in one statement and one commit. Returns the
 * ids that were stored: an order whose key was used before is left out.
 */
export async function insertOrders(
  db: Queryable,
  batch: readonly Acceptance[],
): Promise<ReadonlySet<string>> {
  const keyed = batch.some((acceptance) => acceptance.idempotency !== undefined);
  const input = JSON.stringify(batch.map(inputOf));
  if (!keyed) {
    await db.query(ACCEPT, [input]);
    return new Set(batch.map(({ row }) => row.id));
  }
  const rows = await db.query<{ id: string }>(ACCEPT_WITH_KEYS, [input]);
  return new Set(rows.map((row) => row.id));
}

/** What the statement reads, and no more: parsing it is a third of what PostgreSQL does. */
function inputOf({ row, event, traceparent, idempotency }: Acceptance) {
  const { id, number, channel, customer_id, currency, total_minor, payment_method } = row;
  return {
    id,
    number,
    channel,
    customer_id,
    currency,
    total_minor,
    payment_method,
    reference: row.reference ?? undefined,
    fulfillment: row.fulfillment ?? undefined,
    items: row.items,
    door: row.door ?? undefined,
    created_at: row.created_at,
    event,
    traceparent,
    scope: idempotency?.scope,
    key: idempotency?.key,
    fingerprint: idempotency?.fingerprint.toString('hex'),
  };
}

/** Takes numbers from the sequence, to be given to the next orders. */
export async function takeNumbers(db: Queryable, count: number): Promise<number[]> {
  const rows = await db.query<{ number: bigint }>(
    `select nextval('order_numbers') as number from generate_series(1, $1)`,
    [count],
  );
  return rows.map((row) => Number(row.number));
}

/** By id or number; undefined when there is none. */
export async function findOrder(db: Queryable, idOrNumber: string): Promise<OrderRow | undefined> {
  const byNumber = /^\d+$/.test(idOrNumber);
  const rows = byNumber
    ? await db.query<OrderRow>(`select ${COLUMNS} from orders where number = $1`, [idOrNumber])
    : await db.query<OrderRow>(`select ${COLUMNS} from orders where id = $1`, [idOrNumber]);
  return rows[0];
}

const NUMBER = /^[1-9][0-9]{0,15}$/;

/** By ids and numbers, as they are given; undefined where there is none. */
export async function findOrders(
  db: Queryable,
  names: readonly string[],
): Promise<(OrderRow | undefined)[]> {
  const ids = names.filter(isUuid);
  const numbers = names.filter((name) => NUMBER.test(name));
  const select = `select ${COLUMNS} from orders where`;
  const rows = [
    ...(ids.length === 0 ? [] : await db.query<OrderRow>(`${select} id = any($1::uuid[])`, [ids])),
    ...(numbers.length === 0
      ? []
      : await db.query<OrderRow>(`${select} number = any($1::bigint[])`, [numbers])),
  ];
  const found = new Map(rows.flatMap((row) => [row.id, String(row.number)].map((n) => [n, row])));
  return names.map((name) => found.get(name));
}

/** Locks orders by id; in id order, so that two batches never wait for each other in a ring. */
export function lockOrders(tx: Tx, ids: readonly string[]): Promise<OrderRow[]> {
  return tx.query<OrderRow>(
    `select ${COLUMNS} from orders where id = any($1::uuid[]) order by id for update`,
    [ids],
  );
}

export interface OrderUpdate {
  readonly id: string;
  readonly status: OrderStatus;
  readonly payment_status: PaymentStatus;
  /** Null: as it was. */
  readonly fulfillment_status: FulfillmentStatus | null;
  readonly payment_attempts: readonly AttemptRow[];
  readonly cancel_requested: boolean;
  readonly cancel_reason: string | null;
  readonly payment_failure: string | null;
  /** The version that was locked. */
  readonly known: number;
  readonly version: number;
}

/** Writes changed orders, unless one is not at the version that was locked. */
export async function updateOrders(tx: Tx, updates: readonly OrderUpdate[]): Promise<void> {
  const rows = await tx.query(
    `update orders o set status = u.status, payment_status = u.payment_status,
       fulfillment_status = coalesce(u.fulfillment_status, o.fulfillment_status),
       payment_attempts = u.payment_attempts,
       cancel_requested_at = case when u.cancel_requested
         then coalesce(o.cancel_requested_at, now()) end,
       cancel_reason = u.cancel_reason, payment_failure = u.payment_failure,
       version = u.version, updated_at = now()
     from json_to_recordset($1) as u(id uuid, status text, payment_status text,
       fulfillment_status text,
       payment_attempts json, cancel_requested boolean, cancel_reason text, payment_failure text,
       known integer, version integer)
     where o.id = u.id and o.version = u.known
     returning o.id`,
    [JSON.stringify(updates)],
  );
  if (rows.length !== updates.length) throw new Error('an order changed under its lock');
}

/** The order as it goes over the wire. */
export function renderOrder(row: OrderRow): Order {
  const exponent = currencyExponent(row.currency) ?? 2;
  return {
    id: row.id,
    number: Number(row.number),
    channel: row.channel,
    customer_id: row.customer_id,
    currency: row.currency,
    total_amount: toMajor(row.total_minor, exponent),
    status: row.status,
    payment_status: row.payment_status,
    fulfillment_status: row.fulfillment_status,
    reference: row.reference,
    payment: { method: row.payment_method },
    fulfillment: row.fulfillment,
    cancel_requested_at: row.cancel_requested_at,
    cancel_reason: row.cancel_reason,
    version: row.version,
    created_at: row.created_at,
    updated_at: row.updated_at,
    items: row.items.map(({ item_id, item_name, quantity, unit_minor }) => ({
      item_id,
      item_name,
      quantity,
      price: toMajor(unit_minor, exponent),
    })),
    payment_attempts: row.payment_attempts.map(({ amount_minor, ...attempt }) => ({
      ...attempt,
      amount: toMajor(amount_minor, exponent),
    })),
  };
}

/** The order as the checkout shows it. */
export function renderCheckout(row: OrderRow): Checkout {
  const exponent = currencyExponent(row.currency) ?? 2;
  return {
    id: Number(row.number),
    username: row.customer_id,
    orderPositions: row.items
      .filter((item) => item.adjustment !== true)
      .map(({ item_id, product_id, quantity, unit_minor }) => ({
        productId: product_id ?? item_id,
        price: toMajor(unit_minor, exponent),
        quantity,
      })),
    totalCost: toMajor(row.total_minor, exponent),
    createdAt: row.created_at,
    shopId: row.door?.shop_id ?? null,
    status: checkoutStatusOf(row.status, row.payment_failure),
    deliveryId: null,
  };
}

/** The order as it was when it was accepted: the answer that a repeated request gets. */
export function asAccepted(row: OrderRow): OrderRow {
  return {
    ...row,
    status: 'PENDING',
    payment_status: 'PENDING',
    fulfillment_status: 'UNFULFILLED',
    payment_attempts: [],
    payment_failure: null,
    cancel_requested_at: null,
    cancel_reason: null,
    version: 1,
    updated_at: row.created_at,
  };
}
