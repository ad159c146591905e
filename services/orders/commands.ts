/** What can be done with orders: accept, cancel, follow their payment. */
import { sleep } from '@waybill/kit/clock.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { emit, type NewEvent } from '@waybill/kit/eventlog.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { claimKey, keepAnswer, readKept, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { newId, timeOfId } from '@waybill/kit/ids.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import type { Json } from '@waybill/kit/json.ts';
import { enqueue } from '@waybill/kit/tasks.ts';
import { counter, currentTraceparent } from '@waybill/kit/telemetry.ts';
import type { CreateOrder, Order, OrderChanged, OrderCreated } from './contract.ts';
import type { OrdersContext } from './context.ts';
import { trustsPrices } from './settings.ts';
import { afterCancel, priceOrder, towards, type Change } from './rules.ts';
import {
  asAccepted,
  findOrder,
  lockOrders,
  renderOrder,
  updateOrders,
  type AttemptRow,
  type OrderRow,
} from './store.ts';

/** The task that tells a customer how the payment of an order ended. */
export const NOTIFY = 'orders.notify';

const accepted = counter('waybill_orders_accepted_total', 'Orders accepted', ['channel']);
const moved = counter('waybill_orders_by_status_total', 'Orders that entered a status', ['status']);

export interface Accepted {
  readonly order: Order;
  readonly replayed: boolean;
}

/** Accepts an order at once; it is charged in the background (spec chapter A). */
export async function acceptOrder(
  context: OrdersContext,
  identity: Identity,
  request: CreateOrder,
  idempotency: IdempotencyKey | undefined,
): Promise<Accepted> {
  const customerId = request.customer_id.normalize('NFC');
  refuseUnacceptable(context, identity, customerId, 'customer_id');
  const currency = request.currency ?? context.settings.defaultCurrency;
  const { items, totalMinor } = priceOrder(request, currency);
  const { row, stored } = await placeOrder(
    context,
    {
      channel: 'delivery',
      customer_id: customerId,
      currency,
      total_minor: totalMinor,
      payment_method: request.payment?.method ?? 'card',
      reference: request.reference ?? null,
      fulfillment: fulfillmentOf(context, request),
      items,
      door: null,
    },
    { token: request.payment?.token ?? null },
    idempotency,
  );
  if (!stored)
    return { order: await replay(context, idempotency as IdempotencyKey), replayed: true };
  return { order: renderOrder(row), replayed: false };
}

/** What a door knows of a new order; the rest is how every order begins that is to be paid. */
type NewOrder = Pick<
  OrderRow,
  | 'channel'
  | 'customer_id'
  | 'currency'
  | 'total_minor'
  | 'payment_method'
  | 'reference'
  | 'fulfillment'
  | 'items'
  | 'door'
>;

/** Stores a new order with its number and event; not stored: its idempotency key was used. */
export async function placeOrder(
  context: OrdersContext,
  given: NewOrder,
  payment: Omit<OrderCreated['payment'], 'method'>,
  idempotency: IdempotencyKey | undefined,
): Promise<{ row: OrderRow; stored: boolean }> {
  const id = newId();
  const at = new Date(timeOfId(id)).toISOString();
  const number = await context.nextNumber();
  const row: OrderRow = {
    ...given,
    id,
    number,
    status: 'PENDING',
    payment_status: 'PENDING',
    fulfillment_status: 'UNFULFILLED',
    payment_attempts: [],
    payment_failure: null,
    cancel_requested_at: null,
    cancel_reason: null,
    version: 1,
    created_at: at,
    updated_at: at,
  };
  const event: OrderCreated = {
    order_id: id,
    number,
    channel: row.channel,
    customer_id: row.customer_id,
    currency: row.currency,
    total_minor: Number(row.total_minor),
    from: null,
    to: 'PENDING',
    payment: { method: row.payment_method, ...payment },
    items: row.items.map(({ item_id, quantity, unit_minor }) => ({
      item_id,
      quantity,
      unit_minor,
    })),
  };
  const stored = await context.storeOrder({
    row,
    event: event as unknown as Json,
    traceparent: currentTraceparent(),
    idempotency,
  });
  if (stored) accepted.inc({ channel: row.channel });
  return { row, stored };
}

/** A customer orders for themselves alone, at their own prices only where these are trusted. */
export function refuseUnacceptable(
  context: OrdersContext,
  identity: Identity,
  customerId: string,
  field: 'customer_id' | 'username',
): void {
  if (!isStaff(identity) && customerId !== identity.subject)
    throw new Refusal(403, 'foreign_customer', `${field} must be your own user name.`, {
      faults: [{ pointer: `/${field}`, detail: 'must be your own user name' }],
    });
  if (!trustsPrices(context.settings) && !isStaff(identity))
    throw new Refusal(
      422,
      'price_not_trusted',
      "A customer's prices are not taken (PRICES=catalog).",
    );
}

function fulfillmentOf(context: OrdersContext, request: CreateOrder): OrderRow['fulfillment'] {
  if (request.fulfillment !== undefined) return request.fulfillment;
  const method = context.settings.fulfillmentDefault;
  return method === 'none' ? null : { method };
}

async function replay(context: OrdersContext, idempotency: IdempotencyKey): Promise<Order> {
  const { response } = await readKept(context.db, idempotency);
  const row = await findOrder(context.db, response);
  if (row === undefined) throw new Error(`the order ${response} of an idempotency key is gone`);
  return renderOrder(asAccepted(row));
}

const CANCEL_WAIT_MS = 1000;
const CANCEL_POLL_MS = 50;

/** Kept with the effect and replaced by the answer; a repeat that finds it waits for its own. */
const CANCEL_UNANSWERED = { status: 202, response: '' };

export interface Cancelled {
  readonly status: number;
  /** The order as JSON text: a repeat gets the same bytes. */
  readonly order: string;
  readonly replayed: boolean;
}

/**
 * Cancels an order. While its charge is under way the cancellation is recorded (202) and carried
 * out when the charge is known; a second is given to that before answering.
 */
export async function cancelOrder(
  context: OrdersContext,
  identity: Identity,
  idOrNumber: string,
  reason: string | null,
  idempotency: IdempotencyKey | undefined,
): Promise<Cancelled> {
  const { db } = context;
  const id = (await visibleOrder(context, identity, idOrNumber)).id;
  const kept = await db.transaction(async (tx) => {
    const known = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (known !== undefined) return known;
    const [row] = await lockOrders(tx, [id]);
    if (row === undefined) throw new Error(`order ${id} is gone`);
    const change = afterCancel(stateOf(row));
    if (change !== undefined)
      await applyChanges(tx, [{ row, change, attempts: row.payment_attempts, reason }]);
    if (idempotency !== undefined) await keepAnswer(tx, idempotency, CANCEL_UNANSWERED);
    await failpoint('orders.cancel.before_commit');
    return undefined;
  });
  await failpoint('orders.cancel.after_commit');
  if (kept !== undefined && kept.response !== CANCEL_UNANSWERED.response)
    return { status: kept.status, order: kept.response, replayed: true };
  for (let waited = 0; ; waited += CANCEL_POLL_MS) {
    const row = await findOrder(db, id);
    if (row === undefined) throw new Error(`order ${id} is gone`);
    if (row.status !== 'PAYMENT_PROCESSING' || waited >= CANCEL_WAIT_MS) {
      const status = row.status === 'PAYMENT_PROCESSING' ? 202 : 200;
      const response = JSON.stringify(renderOrder(row));
      if (idempotency !== undefined)
        await db.transaction((tx) => keepAnswer(tx, idempotency, { status, response }));
      return { status, order: response, replayed: kept !== undefined };
    }
    await sleep(CANCEL_POLL_MS);
  }
}

/** The order if the caller may see it; otherwise there is none (404), also for a foreign one. */
export async function visibleOrder(
  context: OrdersContext,
  identity: Identity,
  idOrNumber: string,
): Promise<OrderRow> {
  const row = await findOrder(context.db, idOrNumber);
  if (row === undefined || (!isStaff(identity) && row.customer_id !== identity.subject))
    throw new Refusal(404, 'order_not_found', 'There is no such order.');
  return row;
}

export function stateOf(row: OrderRow) {
  return {
    status: row.status,
    paymentStatus: row.payment_status,
    cancelRequested: row.cancel_requested_at !== null,
  };
}

export interface OrderChange {
  readonly row: OrderRow;
  /** Changes that the order passes through on the way, in the same transaction. */
  readonly passed?: readonly Change[];
  readonly change: Change;
  readonly attempts: readonly AttemptRow[];
  readonly reason?: string | null;
  /** Why it was not paid. */
  readonly failure?: string | null;
}

/** How long a notice waits for the request that may yet give it itself. */
export interface NoticeDelay {
  readonly noticeDelayMs: number;
}

/** Writes changes of locked orders and their events. */
export async function applyChanges(
  tx: Tx,
  asked: readonly OrderChange[],
  { noticeDelayMs }: NoticeDelay = { noticeDelayMs: 0 },
): Promise<void> {
  if (asked.length === 0) return;
  const changes = asked.map(caughtUp);
  await updateOrders(
    tx,
    changes.map(({ row, passed = [], change, attempts, reason, failure }) => ({
      id: row.id,
      status: change.status,
      payment_status: change.paymentStatus,
      fulfillment_status: change.fulfillmentStatus ?? null,
      payment_attempts: attempts,
      cancel_requested: change.cancelRequested,
      cancel_reason: reason ?? row.cancel_reason,
      payment_failure: failure ?? row.payment_failure,
      known: row.version,
      version: row.version + passed.length + 1,
    })),
  );
  await emit(tx, 'orders', changes.flatMap(eventsOf));
  await enqueueNotices(tx, asked, noticeDelayMs);
  tx.onCommit(() => {
    for (const { row, change } of changes)
      if (row.status !== change.status) moved.inc({ status: change.status });
  });
}

/** An order that is confirmed when its goods are already on their way goes to where they are. */
function caughtUp(asked: OrderChange): OrderChange {
  const { row, passed = [], change } = asked;
  if (change.status !== 'CONFIRMED' || row.status === 'CONFIRMED') return asked;
  const steps = towards(change, row.fulfillment_status);
  const last = steps.at(-1);
  if (last === undefined) return asked;
  return { ...asked, passed: [...passed, change, ...steps.slice(0, -1)], change: last };
}

function eventsOf({ row, passed = [], change }: OrderChange): NewEvent[] {
  let from = row.status;
  return [...passed, change].map((step, index) => {
    const data: OrderChanged = {
      order_id: row.id,
      number: Number(row.number),
      customer_id: row.customer_id,
      from,
      to: step.status,
      payment_status: step.paymentStatus,
    };
    from = step.status;
    return { key: row.id, version: row.version + index + 1, type: step.event, data: { ...data } };
  });
}

/** A paid order of the checkout leaves a notice, and so does an unpaid one (spec chapter B). */
async function enqueueNotices(
  tx: Tx,
  changes: readonly OrderChange[],
  delayMs: number,
): Promise<void> {
  const settled = changes.filter(
    ({ row, change }) =>
      row.channel === 'checkout' &&
      row.status !== change.status &&
      (change.status === 'CONFIRMED' || change.status === 'PAYMENT_FAILED'),
  );
  await enqueue(
    tx,
    settled.map(({ row }) => ({ kind: NOTIFY, key: row.id, payload: null, delayMs })),
  );
}
