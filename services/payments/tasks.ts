/** The payment worker: charges and refunds in the background. */
import { Outage } from '@waybill/kit/errors.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import type { TaskHandler, TaskRun } from '@waybill/kit/tasks.ts';
import {
  beginStep,
  CHARGE,
  chargeKey,
  delayOf,
  recordRefund,
  REFUND,
  settle,
  type Begun,
} from './commands.ts';
import type { PaymentsContext } from './context.ts';
import type { ChargeRequest } from './provider.ts';
import type { Answer } from './rules.ts';
import { findPayment } from './store.ts';

export const chargeTask: TaskHandler<PaymentsContext> = {
  kind: CHARGE,
  room: (running, { breaker }) => breaker.room(running),
  claimed: (asked, got, { breaker }) => breaker.began(asked, got),
  timeoutMs: 180_000,
  maxAttempts: 20,
  async run(task, context) {
    while (await takeStep(task, context));
  },
};

/** Takes one step; true when the next one follows at once. */
async function takeStep(task: TaskRun, context: PaymentsContext): Promise<boolean> {
  const { db } = context;
  const begun = await db.transaction(async (tx) => {
    const next = await beginStep(tx, context, task.key);
    if (next === undefined || next.step === 'done' || next.step === 'drop') {
      await task.finish(tx);
      return undefined;
    }
    await failpoint('payments.begin.before_commit');
    return next;
  });
  if (begun === undefined) return false;
  await failpoint('payments.charge.before');
  let called = await call(context, begun);
  if (await failpoint('payments.charge.after')) called = await call(context, begun);
  const { answer, trial } = called;
  // Too late, or taken over: whoever has the task next asks the provider what became of the call.
  if (task.signal.aborted) throw new Outage('lease', 'the task ran out of time');
  const goesOn = await db.transaction(async (tx) => {
    const settled = await settle(tx, context, task.key, answer, begun.before, trial);
    const next = settled?.outcome.next;
    if (settled === undefined || next === undefined) await task.finish(tx);
    else if (next !== 'now') await task.again(tx, delayOf(next, settled.row, context.settings));
    await failpoint('payments.settle.before_commit');
    return next === 'now';
  });
  await failpoint('payments.settle.after_commit');
  return goesOn;
}

/** Calls the provider for a step. What nothing is known about is charged in the same breath. */
async function call(
  context: PaymentsContext,
  { step, row }: Begun,
): Promise<{ answer: Answer; trial: boolean }> {
  const { provider, breaker } = context;
  const request: ChargeRequest = {
    key: chargeKey(row.order_id),
    orderId: row.order_id,
    amountMinor: Number(row.amount_minor),
    currency: row.currency,
    token: row.token,
  };
  if (step === 'void') return breaker.run(() => provider.voidKey(request));
  if (step === 'charge') return breaker.run(() => provider.charge(request));
  const found = await breaker.run(() => provider.find(request));
  await failpoint('payments.ask.after');
  return found.answer.kind === 'none' ? breaker.run(() => provider.charge(request)) : found;
}

export const refundTask: TaskHandler<PaymentsContext> = {
  kind: REFUND,
  room: (running, { breaker }) => Math.min(breaker.room(running), 16 - running),
  timeoutMs: 120_000,
  maxAttempts: 20,
  async run(task, context) {
    const { db, provider, breaker } = context;
    const row = await findPayment(db, task.key);
    if (row === undefined || row.state !== 'CAPTURED' || row.provider_reference === null) return;
    const request = {
      key: `${row.order_id}:refund`,
      reference: row.provider_reference,
      amountMinor: Number(row.captured_minor),
      currency: row.currency,
    };
    await failpoint('payments.refund.before');
    let { answer } = await breaker.run(() => provider.refund(request));
    if (await failpoint('payments.refund.after'))
      ({ answer } = await breaker.run(() => provider.refund(request)));
    if (answer.kind !== 'refunded') throw new Outage('provider', answer.message);
    await db.transaction(async (tx) => {
      await recordRefund(tx, row.order_id);
      await task.finish(tx);
      await failpoint('payments.refund.before_commit');
    });
    await failpoint('payments.refund.after_commit');
  },
};
