/**
 * Charging a wallet while the caller waits (spec chapter B). The payment is opened with its first
 * call written down in one statement; the task that comes with it is due only when this request is
 * certainly gone, so that a worker ends what a killed process began.
 */
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';
import { remainingMs, type Deadline } from '@waybill/kit/deadline.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { newId } from '@waybill/kit/ids.ts';
import type { Json } from '@waybill/kit/json.ts';
import { taskOfRequest } from '@waybill/kit/tasks.ts';
import { currentTraceparent } from '@waybill/kit/telemetry.ts';
import { CHARGE_WALLET, type PaymentsContext } from './context.ts';
import type { ChargedNow, ChargeNow, PaymentEvent } from './contract.ts';
import type { Begun } from './commands.ts';
import { OPEN_STATES } from './rules.ts';
import { findPayment, readAttempts, type PaymentRow } from './store.ts';
import { begin, goOn } from './tasks.ts';

/** Left for recording and answering when a call has used up its time. */
const MARGIN_MS = 250;
/** Tries within one request; the worker goes on after them. */
const TRIES = 3;
const POLL_MS = 20;

/** Charges the order, or joins whoever is at it, until the outcome is known or time is up. */
export async function chargeNow(
  context: PaymentsContext,
  request: ChargeNow,
  deadline: Deadline,
): Promise<ChargedNow> {
  const until = monotonicMs() + remainingMs(deadline) - MARGIN_MS;
  const leftMs = () => Math.max(0, until - monotonicMs());
  const holdMs = () => leftMs() + 4 * MARGIN_MS;
  const task = taskOfRequest(CHARGE_WALLET, request.order_id, holdMs);
  let begun = await open(context, request, holdMs());
  await failpoint('payments.open.after_commit');
  for (let tries = 1; ;) {
    begun ??= await beginUnlessBusy(context, request.order_id, task);
    if (begun === undefined) return outcomeWithin(context, request, leftMs);
    const next = await goOn(task, context, begun);
    begun = undefined;
    if (next === 'now') continue;
    if (next === 'settled' || tries++ === TRIES || next.afterMs >= leftMs()) break;
    await sleep(next.afterMs);
  }
  return outcomeWithin(context, request, () => 0);
}

async function open(
  { openBegun }: PaymentsContext,
  request: ChargeNow,
  holdMs: number,
): Promise<Begun | undefined> {
  const { order_id, customer_id, amount_minor, currency } = request;
  const status = 'PROCESSING';
  const event: PaymentEvent = {
    order_id,
    status,
    amount_minor,
    currency,
    failure_code: null,
    attempts: [],
  };
  const opened = await openBegun({
    order_id,
    amount_minor,
    currency,
    customer_id,
    task_id: newId(),
    hold_ms: holdMs,
    event: event as unknown as Json,
    traceparent: currentTraceparent(),
  });
  if (!opened) return undefined;
  const row = { order_id, amount_minor: BigInt(amount_minor), currency, customer_id };
  return {
    step: 'charge',
    before: 'PENDING',
    row: { ...row, provider: 'wallet', token: null },
  };
}

/** Begins the next step where nobody has a call under way; undefined where somebody has. */
async function beginUnlessBusy(
  context: PaymentsContext,
  orderId: string,
  task: ReturnType<typeof taskOfRequest>,
): Promise<Begun | undefined> {
  const row = await findPayment(context.db, orderId);
  return row?.state === 'PENDING' || row?.state === 'UNKNOWN' ? begin(task, context) : undefined;
}

async function outcomeWithin(
  { db }: PaymentsContext,
  request: ChargeNow,
  leftMs: () => number,
): Promise<ChargedNow> {
  for (;;) {
    const row = await findPayment(db, request.order_id);
    if (row === undefined) throw new Error(`payment ${request.order_id} is gone`);
    refuseAnother(row, request);
    if (!OPEN_STATES.includes(row.state) || leftMs() === 0)
      return {
        state: row.state,
        failure_code: row.failure_code,
        attempts: await readAttempts(db, row.order_id),
      };
    await sleep(Math.min(POLL_MS, leftMs()));
  }
}

/** One payment per order: whoever asks with another amount is mistaken. */
function refuseAnother(row: PaymentRow, request: ChargeNow): void {
  if (row.amount_minor !== BigInt(request.amount_minor) || row.currency !== request.currency)
    throw new Refusal(409, 'payment_differs', 'The order has a payment of another amount.');
}
