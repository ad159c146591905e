/**
 * What happens to payments: created by an order, begun, settled by whoever learns the answer
 * (worker or callback), cancelled, refunded. One row lock and one path for all of them.
 */
import type { Tx } from '@waybill/kit/db.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { random } from '@waybill/kit/ids.ts';
import type { Json } from '@waybill/kit/json.ts';
import { enqueue, withdrawTasks } from '@waybill/kit/tasks.ts';
import { counter } from '@waybill/kit/telemetry.ts';
import type { PaymentEvent, PaymentEventType, PaymentState } from './contract.ts';
import {
  CHARGE_WALLET,
  type PaymentsContext,
  type PaymentsSettings,
  type Processor,
} from './context.ts';
import {
  afterAnswer,
  nextStep,
  OPEN_STATES,
  type Answer,
  type Outcome,
  type PaymentFacts,
  type Step,
} from './rules.ts';
import {
  insertAttempt,
  insertPayments,
  lockPayments,
  readAttempts,
  rememberCallback,
  updatePayment,
  type NewPayment,
  type PaymentRow,
} from './store.ts';
import type { Callback } from './provider.ts';

/** Kinds of tasks; a processor has its own, so that none waits behind another's outage. */
export const CHARGE = 'payments.charge';
export const REFUND = 'payments.refund';
export const REFUND_WALLET = 'payments.refund_wallet';

function chargeKind({ provider }: { provider: string }): string {
  return provider === 'wallet' ? CHARGE_WALLET : CHARGE;
}

function refundKind({ provider }: { provider: string }): string {
  return provider === 'wallet' ? REFUND_WALLET : REFUND;
}

const attempts = counter('waybill_payments_attempts_total', 'Answered calls', [
  'provider',
  'outcome',
]);

/** The provider's idempotency key: order and purpose, never the attempt. */
export function chargeKey(orderId: string): string {
  return `${orderId}:charge`;
}

function factsOf(row: PaymentRow, settings: PaymentsSettings): PaymentFacts {
  return {
    state: row.state,
    amountMinor: Number(row.amount_minor),
    attempts: row.attempts,
    maxAttempts: settings.retryAttempts,
    cancelRequested: row.cancel_requested,
    deadlinePassed: row.deadline_passed,
  };
}

/** Payments for new orders, each with its task. */
export async function openPayments(
  tx: Tx,
  context: PaymentsContext,
  payments: readonly (NewPayment & { readonly hold_ms?: number })[],
): Promise<void> {
  await insertPayments(tx, context.settings.deadlineSeconds, payments);
  await enqueue(
    tx,
    payments.map((payment) => ({
      kind: chargeKind(payment),
      key: payment.order_id,
      payload: null,
      delayMs: payment.hold_ms ?? 0,
    })),
  );
}

export interface Begun {
  readonly step: Step;
  /** What the call is made of. */
  readonly row: Pick<
    PaymentRow,
    'order_id' | 'amount_minor' | 'currency' | 'token' | 'customer_id' | 'provider'
  >;
  /** The state to return to when the call never arrives. */
  readonly before: PaymentState;
}

/** Decides the next step and writes down that a call is about to be made, before it is. */
export async function beginStep(
  tx: Tx,
  context: PaymentsContext,
  orderId: string,
): Promise<Begun | undefined> {
  const [row] = await lockPayments(tx, [orderId]);
  if (row === undefined) return undefined;
  const before = row.state;
  const step = nextStep(factsOf(row, context.settings));
  if (step === 'done') return { step, row, before };
  if (step === 'drop') {
    await dropPayment(tx, row);
    return { step, row, before };
  }
  const next = { ...row, calls: row.calls + 1, started: true };
  if (step === 'charge') next.state = 'PROCESSING';
  await save(tx, next, row.started ? undefined : 'PAYMENT_STARTED');
  return { step, row: next, before };
}

/** Ends a payment that certainly charged nothing. An order fails by way of PAYMENT_PROCESSING. */
async function dropPayment(tx: Tx, row: PaymentRow): Promise<void> {
  if (row.cancel_requested) {
    const voided: PaymentRow = { ...row, state: 'VOIDED', failure_code: null, waiting_for: null };
    return save(tx, voided, 'PAYMENT_VOIDED');
  }
  let begun = row;
  if (!row.started) {
    begun = { ...row, started: true };
    await save(tx, begun, 'PAYMENT_STARTED');
    begun = { ...begun, version: row.version + 1 };
  }
  const failure = { failure_code: 'deadline_passed', waiting_for: null };
  await save(tx, { ...begun, ...failure, state: 'FAILED' }, 'PAYMENT_FAILED');
}

export interface Settled {
  readonly outcome: Outcome;
  readonly row: PaymentRow;
}

/**
 * Records what an answer means, under the row lock. A payment that was settled meanwhile (by a
 * callback, or by whoever took the task over) stays as it is.
 */
export async function settle(
  tx: Tx,
  context: PaymentsContext,
  orderId: string,
  answer: Answer,
  before: PaymentState,
  trial: boolean,
): Promise<Settled | undefined> {
  const [row] = await lockPayments(tx, [orderId]);
  if (row === undefined) return undefined;
  const open = OPEN_STATES.includes(row.state);
  const late = !open && answer.kind === 'captured' && row.captured_minor === 0n;
  if (!open && !late) return { outcome: { state: row.state }, row };
  const outcome = afterAnswer(factsOf(row, context.settings), answer, before, trial);
  const next: PaymentRow = { ...row, state: outcome.state };
  next.waiting_for = answer.kind === 'outage' ? answer.message.slice(0, 500) : null;
  next.outages = outcome.next === 'outage' ? row.outages + 1 : 0;
  if (outcome.failureCode !== undefined) next.failure_code = outcome.failureCode;
  if (answer.kind === 'captured') {
    next.captured_minor = BigInt(answer.amountMinor);
    next.provider_reference = answer.reference;
  }
  if (outcome.attempt !== undefined) {
    next.attempts = row.attempts + 1;
    await insertAttempt(tx, orderId, {
      attempt_number: next.attempts,
      status: outcome.attempt.status,
      amount_minor: Number(row.amount_minor),
      error_message: outcome.attempt.message,
    });
  }
  await save(tx, next, outcome.event);
  if (outcome.refund === true)
    await enqueue(tx, [{ kind: refundKind(row), key: orderId, payload: null }]);
  tx.onCommit(() => attempts.inc({ provider: row.provider, outcome: answer.kind }));
  return { outcome, row: next };
}

/** A signed callback: the same settlement as the worker's, once per event id for ever. */
export async function receiveCallback(
  tx: Tx,
  context: PaymentsContext,
  callback: Callback,
): Promise<void> {
  if (!(await rememberCallback(tx, context.card.provider.name, callback.eventId))) return;
  if (callback.answer === undefined) return;
  await settle(tx, context, callback.orderId, callback.answer, 'UNKNOWN', false);
}

/**
 * Cancels payments: one that certainly charged nothing ends at once; one in flight or unknown ends
 * when the provider was asked; a captured one is refunded.
 */
export async function cancelPayments(
  tx: Tx,
  context: PaymentsContext,
  orderIds: readonly string[],
): Promise<void> {
  const rows = await lockPayments(tx, orderIds);
  for (const row of rows) {
    if (row.cancel_requested) continue;
    const next = { ...row, cancel_requested: true };
    if (nextStep(factsOf(next, context.settings)) === 'drop') {
      await save(tx, { ...next, state: 'VOIDED', waiting_for: null }, 'PAYMENT_VOIDED');
      await withdrawTasks(tx, chargeKind(row), [row.order_id]);
      continue;
    }
    await save(tx, next, undefined);
    const kind = row.state === 'CAPTURED' ? refundKind(row) : chargeKind(row);
    if (row.state === 'CAPTURED' || OPEN_STATES.includes(row.state))
      await enqueue(tx, [{ kind, key: row.order_id, payload: null }]);
  }
}

/** Records that everything captured went back. */
export async function recordRefund(tx: Tx, orderId: string): Promise<void> {
  const [row] = await lockPayments(tx, [orderId]);
  if (row === undefined || row.state !== 'CAPTURED') return;
  await save(
    tx,
    { ...row, state: 'REFUNDED', refunded_minor: row.captured_minor },
    'PAYMENT_REFUNDED',
  );
}

async function save(tx: Tx, row: PaymentRow, event: PaymentEventType | undefined): Promise<void> {
  await updatePayment(tx, row, event !== undefined);
  if (event === undefined) return;
  const data: PaymentEvent = {
    order_id: row.order_id,
    status: row.state,
    amount_minor: Number(row.amount_minor),
    currency: row.currency,
    failure_code: row.failure_code,
    attempts: row.attempts === 0 ? [] : await readAttempts(tx, row.order_id),
  };
  await emit(tx, 'payments', [
    { key: row.order_id, version: row.version + 1, type: event, data: data as unknown as Json },
  ]);
}

/** How long until the next try: growing, with jitter. */
export function delayOf(
  next: Outcome['next'],
  row: PaymentRow,
  settings: PaymentsSettings,
  { outageCapMs }: Processor,
): number {
  const base = settings.retryDelaySeconds * 1000;
  if (next === 'retry') return base * 2 ** (row.attempts - 1) * (1 + random() * 0.2);
  const grown = Math.max(base, 200) * 2 ** Math.min(row.outages - 1, 10);
  return Math.min(grown, outageCapMs) * (0.75 + random() * 0.25);
}
