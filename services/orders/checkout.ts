/**
 * Door B: the checkout (spec chapter B). One synchronous sequence – store as NEW, charge the wallet
 * through payments, tell the customer – that dies well anywhere: what it has stored, the worker of
 * payments, the events and the task of the notice bring to the same end without it.
 */
import { sleep } from '@waybill/kit/clock.ts';
import { deadlineIn, remainingMs, type Deadline } from '@waybill/kit/deadline.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { judgeKept, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { newId, timeOfId } from '@waybill/kit/ids.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import type { Json } from '@waybill/kit/json.ts';
import { counter, currentTraceparent } from '@waybill/kit/telemetry.ts';
import type { ChargedNow, ChargeNow } from '@waybill/payments/contract.ts';
import type { Checkout, CreateCheckout } from './checkout-contract.ts';
import {
  applyChanges,
  cancelOrder,
  refuseUnacceptable,
  stateOf,
  visibleOrder,
} from './commands.ts';
import type { OrderCreated } from './contract.ts';
import type { OrdersContext } from './context.ts';
import { giveNotice } from './notices.ts';
import { afterCharge, priceCheckout, type Change, type PaymentNews } from './rules.ts';
import { findOrder, lockOrders, readKey, renderCheckout, type OrderRow } from './store.ts';

const checkouts = counter('waybill_checkouts_total', 'Checkouts answered', ['status']);

export interface CheckedOut {
  readonly status: number;
  /** The order; as text where a repeat gets the same bytes. */
  readonly body: Checkout | string;
  readonly replayed: boolean;
}

/** How much longer than the request its charge may go on before the worker takes it up. */
const HOLD_MS = 1500;

/** Stores the order, charges the wallet and tells the customer; answers with the outcome. */
export async function checkOut(
  context: OrdersContext,
  identity: Identity,
  request: CreateCheckout,
  options: { idempotency: IdempotencyKey | undefined; async: boolean; deadline: Deadline },
): Promise<CheckedOut> {
  const { idempotency } = options;
  const allowedMs = context.settings.checkoutTimeoutSeconds * 1000;
  const deadline = deadlineIn(Math.min(allowedMs, remainingMs(options.deadline)));
  const username = request.username.normalize('NFC');
  refuseUnacceptable(context, identity, username);
  const row = await newRow(context, request, username);
  const stored = await context.storeOrder({
    row,
    event: createdEvent(row, options.async ? 0 : remainingMs(deadline) + HOLD_MS),
    traceparent: currentTraceparent(),
    idempotency,
  });
  await failpoint('orders.checkout.after_store');
  if (!stored) return repeat(context, idempotency as IdempotencyKey, options.async, deadline);
  if (options.async) return { status: 202, body: renderCheckout(row), replayed: false };
  return { ...(await pay(context, row, idempotency, deadline)), replayed: false };
}

async function newRow(
  context: OrdersContext,
  request: CreateCheckout,
  username: string,
): Promise<OrderRow> {
  const { defaultCurrency: currency, checkoutTotal } = context.settings;
  const priced = priceCheckout(request, currency, checkoutTotal === 'given');
  const id = newId();
  const at = new Date(timeOfId(id)).toISOString();
  return {
    id,
    number: await context.nextNumber(),
    channel: 'checkout',
    customer_id: username,
    currency,
    total_minor: priced.totalMinor,
    status: 'PENDING',
    payment_status: 'PENDING',
    fulfillment_status: 'UNFULFILLED',
    payment_method: 'wallet',
    reference: null,
    fulfillment: null,
    items: priced.items,
    payment_attempts: [],
    payment_failure: null,
    door: { shop_id: request.shopId ?? null },
    cancel_requested_at: null,
    cancel_reason: null,
    version: 1,
    created_at: at,
    updated_at: at,
  };
}

function createdEvent(row: OrderRow, holdMs: number): Json {
  const event: OrderCreated = {
    order_id: row.id,
    number: Number(row.number),
    channel: row.channel,
    customer_id: row.customer_id,
    currency: row.currency,
    total_minor: Number(row.total_minor),
    from: null,
    to: 'PENDING',
    payment: { method: row.payment_method, token: null, hold_ms: Math.ceil(holdMs) },
    items: row.items.map(({ item_id, quantity, unit_minor }) => ({
      item_id,
      quantity,
      unit_minor,
    })),
  };
  return event as unknown as Json;
}

/** The first answer again, or, while there is none, the same sequence taken up where it is. */
async function repeat(
  context: OrdersContext,
  idempotency: IdempotencyKey,
  async: boolean,
  deadline: Deadline,
): Promise<CheckedOut> {
  const kept = await readKey(context.db, idempotency.scope, idempotency.key);
  if (kept === undefined)
    throw new Refusal(409, 'request_in_progress', 'The first request is still running.', {
      headers: { 'retry-after': '1' },
    });
  const { status, response } = judgeKept(idempotency, kept);
  if (response.startsWith('{')) return { status, body: response, replayed: true };
  const row = await findOrder(context.db, response);
  if (row === undefined) throw new Error(`the order ${response} of an idempotency key is gone`);
  if (async) return { status: 202, body: renderCheckout(row), replayed: true };
  const open = row.status === 'PENDING' || row.status === 'PAYMENT_PROCESSING';
  if (!open) return { status: 200, body: renderCheckout(row), replayed: true };
  return { ...(await pay(context, row, idempotency, deadline)), replayed: true };
}

/** Charges a stored order and records the outcome; NEW while the outcome is not known. */
async function pay(
  context: OrdersContext,
  row: OrderRow,
  idempotency: IdempotencyKey | undefined,
  deadline: Deadline,
): Promise<{ status: number; body: Checkout | string }> {
  const charged = await charge(context, row, deadline);
  await failpoint('orders.checkout.charged');
  const news = charged === undefined ? undefined : NEWS[charged.state];
  const settled =
    charged === undefined || news === undefined
      ? row
      : await recordCharge(context, row.id, news, charged, idempotency);
  const body = renderCheckout(settled);
  checkouts.inc({ status: body.status });
  if (settled !== row) await tell(context, settled, deadline);
  return { status: 200, body };
}

/** What a payment's state is news of; the others are not settled. */
const NEWS: Partial<Record<ChargedNow['state'], PaymentNews>> = {
  CAPTURED: 'CAPTURED',
  FAILED: 'FAILED',
  VOIDED: 'VOIDED',
  REFUNDED: 'CAPTURED',
};

/** Undefined when nobody can say: payments is away, or did not answer in time. */
async function charge(
  context: OrdersContext,
  row: OrderRow,
  deadline: Deadline,
): Promise<ChargedNow | undefined> {
  const body: ChargeNow = {
    order_id: row.id,
    customer_id: row.customer_id,
    amount_minor: Number(row.total_minor),
    currency: row.currency,
  };
  try {
    return await context.client.call<ChargedNow>(
      'payments',
      {
        method: 'POST',
        path: '/internal/payments/charges',
        body,
        idempotent: true,
        timeoutMs: remainingMs(deadline),
      },
      deadline,
    );
  } catch (error) {
    if (!(error instanceof Outage)) throw error;
    context.log.warn({ reason: error.message }, 'a checkout goes on in the background');
    return undefined;
  }
}

/** Moves the order as the charge ended, with its events, its notice and the kept answer. */
async function recordCharge(
  context: OrdersContext,
  id: string,
  news: PaymentNews,
  charged: ChargedNow,
  idempotency: IdempotencyKey | undefined,
): Promise<OrderRow> {
  const settled = await context.db.transaction(async (tx) => {
    const [row] = await lockOrders(tx, [id]);
    if (row === undefined) throw new Error(`order ${id} is gone`);
    const changes = row.payment_status === 'PENDING' ? afterCharge(stateOf(row), news) : [];
    const change = changes.at(-1);
    const next = change === undefined ? row : changed(row, change, charged);
    if (change !== undefined)
      await applyChanges(
        tx,
        [
          {
            row,
            passed: changes.slice(0, -1),
            change,
            attempts: charged.attempts,
            failure: charged.failure_code,
          },
        ],
        { noticeDelayMs: NOTICE_DELAY_MS },
      );
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, {
        status: 200,
        response: JSON.stringify(renderCheckout(next)),
      });
    await failpoint('orders.checkout.before_commit');
    return next;
  });
  await failpoint('orders.checkout.after_commit');
  return settled;
}

function changed(row: OrderRow, change: Change, charged: ChargedNow): OrderRow {
  return {
    ...row,
    status: change.status,
    payment_status: change.paymentStatus,
    payment_failure: charged.failure_code,
  };
}

/** A notice that this request did not get through is given by its task after this. */
const NOTICE_DELAY_MS = 15_000;

/** A notice never delays an answer by more than its time, and never fails it. */
async function tell(context: OrdersContext, row: OrderRow, deadline: Deadline): Promise<void> {
  const allowedMs = context.settings.noticeTimeoutSeconds * 1000;
  try {
    await giveNotice(context, row, deadlineIn(Math.min(allowedMs, remainingMs(deadline))));
  } catch (error) {
    context.log.warn({ reason: (error as Error).message }, 'a notice is given later');
  }
}

const REFUND_WAIT_MS = 2000;
const REFUND_POLL_MS = 50;

/** Cancels and refunds; waits a moment for the money to be back before it answers. */
export async function cancelCheckout(
  context: OrdersContext,
  identity: Identity,
  idOrNumber: string,
): Promise<{ status: number; body: Checkout }> {
  const { status } = await cancelOrder(context, identity, idOrNumber, null, undefined);
  for (let waited = 0; ; waited += REFUND_POLL_MS) {
    const row = await visibleOrder(context, identity, idOrNumber);
    const owed = row.payment_status === 'CAPTURED' && row.status === 'CANCELLED';
    if (!owed || waited >= REFUND_WAIT_MS) return { status, body: renderCheckout(row) };
    await sleep(REFUND_POLL_MS);
  }
}
