/**
 * Door B: the checkout (spec chapter B). One synchronous sequence – store as NEW, charge the wallet
 * through payments, tell the customer – that dies well anywhere: what it has stored, the worker of
 * payments, the events and the task of the notice bring to the same end without it.
 */
import { sleep } from '@waybill/kit/clock.ts';
import { deadlineIn, remainingMs, type Deadline } from '@waybill/kit/deadline.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { keepAnswer, readKept, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { counter } from '@waybill/kit/telemetry.ts';
import type { ChargedNow, ChargeNow } from '@waybill/payments/contract.ts';
import type { Checkout, CreateCheckout } from './checkout-contract.ts';
import {
  applyChanges,
  cancelOrder,
  placeOrder,
  refuseUnacceptable,
  stateOf,
  visibleOrder,
} from './commands.ts';
import type { OrdersContext, Paid } from './context.ts';
import { giveNotice } from './notices.ts';
import { afterCharge, priceCheckout, type Change, type PaymentNews } from './rules.ts';
import { findOrder, lockOrders, renderCheckout, type OrderRow } from './store.ts';

const checkouts = counter('waybill_checkouts_total', 'Checkouts answered', ['status']);

export interface CheckedOut extends Paid {
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
  refuseUnacceptable(context, identity, username, 'username');
  const { defaultCurrency: currency, checkoutTotal } = context.settings;
  const { items, totalMinor } = priceCheckout(request, currency, checkoutTotal === 'given');
  const holdMs = options.async ? 0 : Math.ceil(remainingMs(deadline)) + HOLD_MS;
  const { row, stored } = await placeOrder(
    context,
    {
      channel: 'checkout',
      customer_id: username,
      currency,
      total_minor: totalMinor,
      payment_method: 'wallet',
      reference: null,
      fulfillment: null,
      items,
      door: { shop_id: request.shopId ?? null },
    },
    { token: null, hold_ms: holdMs },
    idempotency,
  );
  await failpoint('orders.checkout.after_store');
  if (!stored) return repeat(context, idempotency as IdempotencyKey, options.async, deadline);
  if (options.async) return { status: 202, body: renderCheckout(row), replayed: false };
  return { ...(await payTogether(context, row, idempotency, deadline)), replayed: false };
}

/** The first answer again, or, while there is none, the same sequence taken up where it is. */
async function repeat(
  context: OrdersContext,
  idempotency: IdempotencyKey,
  async: boolean,
  deadline: Deadline,
): Promise<CheckedOut> {
  const { status, response } = await readKept(context.db, idempotency);
  if (response.startsWith('{')) return { status, body: response, replayed: true };
  const row = await findOrder(context.db, response);
  if (row === undefined) throw new Error(`the order ${response} of an idempotency key is gone`);
  if (async) return { status: 202, body: renderCheckout(row), replayed: true };
  const open = row.status === 'PENDING' || row.status === 'PAYMENT_PROCESSING';
  if (!open) return { status: 200, body: renderCheckout(row), replayed: true };
  return { ...(await payTogether(context, row, idempotency, deadline)), replayed: true };
}

/** A repeat that comes while the order is being paid here waits for that, and does nothing. */
function payTogether(
  context: OrdersContext,
  row: OrderRow,
  idempotency: IdempotencyKey | undefined,
  deadline: Deadline,
): Promise<Paid> {
  const underWay = context.paying.get(row.id);
  if (underWay !== undefined) return withinOwnTime(underWay, row, deadline);
  const paying = pay(context, row, idempotency, deadline).finally(() =>
    context.paying.delete(row.id),
  );
  context.paying.set(row.id, paying);
  return paying;
}

/** What another request brings about, or NEW when the time of this one is over first. */
async function withinOwnTime(
  underWay: Promise<Paid>,
  row: OrderRow,
  deadline: Deadline,
): Promise<Paid> {
  const answered = new AbortController();
  const late = sleep(remainingMs(deadline), answered.signal).then(() => ({
    status: 200,
    body: renderCheckout(row),
  }));
  return Promise.race([underWay, late]).finally(() => answered.abort());
}

/** Charges a stored order and records the outcome; NEW while the outcome is not known. */
async function pay(
  context: OrdersContext,
  row: OrderRow,
  idempotency: IdempotencyKey | undefined,
  deadline: Deadline,
): Promise<Paid> {
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
