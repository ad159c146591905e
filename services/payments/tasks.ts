/** The payment worker: charges and refunds in the background. */
import type { Tx } from '@waybill/kit/db.ts';
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
  REFUND_WALLET,
  settle,
  type Begun,
  type Settled,
} from './commands.ts';
import { CHARGE_WALLET, processorOf, type PaymentsContext, type Processor } from './context.ts';
import type { ChargeRequest } from './provider.ts';
import type { Answer } from './rules.ts';
import { findPayment } from './store.ts';

type Which = (context: PaymentsContext) => Processor;

function chargeTask(kind: string, which: Which): TaskHandler<PaymentsContext> {
  return {
    kind,
    room: (running, context) => which(context).breaker.room(running),
    claimed: (asked, got, context) => which(context).breaker.began(asked, got),
    timeoutMs: 180_000,
    maxAttempts: 20,
    async run(task, context) {
      for (let next: Next = 'now'; next === 'now';) {
        const begun = await begin(task, context);
        next = begun === undefined ? 'settled' : await goOn(task, context, begun);
      }
    },
  };
}

/** What follows a step: another at once, one after so many milliseconds, or none. */
export type Next = 'now' | 'settled' | { readonly afterMs: number };

/** Writes down which call is about to be made; undefined when there is none left to make. */
export function begin(task: TaskRun, context: PaymentsContext): Promise<Begun | undefined> {
  return context.db.transaction(async (tx) => {
    const next = await beginStep(tx, context, task.key);
    if (next === undefined || next.step === 'done' || next.step === 'drop') {
      await task.finish(tx);
      return undefined;
    }
    await failpoint('payments.begin.before_commit');
    return next;
  });
}

/** Makes the call that was written down, and records what its answer means. */
export async function goOn(task: TaskRun, context: PaymentsContext, begun: Begun): Promise<Next> {
  await failpoint('payments.charge.before');
  let called = await call(context, begun);
  if (await failpoint('payments.charge.after')) called = await call(context, begun);
  const { answer, trial } = called;
  // Too late, or taken over: whoever has the task next asks the provider what became of the call.
  if (task.signal.aborted) throw new Outage('lease', 'the task ran out of time');
  const next = await context.db.transaction(async (tx): Promise<Next> => {
    const settled = await settle(tx, context, task.key, answer, begun.before, trial);
    const after = await follow(tx, task, context, settled);
    await failpoint('payments.settle.before_commit');
    return after;
  });
  await failpoint('payments.settle.after_commit');
  return next;
}

async function follow(
  tx: Tx,
  task: TaskRun,
  context: PaymentsContext,
  settled: Settled | undefined,
): Promise<Next> {
  const next = settled?.outcome.next;
  if (next === 'now') return 'now';
  if (settled === undefined || next === undefined) {
    await task.finish(tx);
    return 'settled';
  }
  const { row } = settled;
  const afterMs = delayOf(next, row, context.settings, processorOf(context, row.provider));
  await task.again(tx, afterMs);
  return { afterMs };
}

/** Calls the provider for a step. What nothing is known about is charged in the same breath. */
async function call(
  context: PaymentsContext,
  { step, row }: Begun,
): Promise<{ answer: Answer; trial: boolean }> {
  const { provider, breaker } = processorOf(context, row.provider);
  const request: ChargeRequest = {
    key: chargeKey(row.order_id),
    orderId: row.order_id,
    customerId: row.customer_id,
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

function refundTask(kind: string, which: Which): TaskHandler<PaymentsContext> {
  return {
    kind,
    room: (running, context) => Math.min(which(context).breaker.room(running), 16 - running),
    timeoutMs: 120_000,
    maxAttempts: 20,
    run: refund,
  };
}

async function refund(task: TaskRun, context: PaymentsContext): Promise<void> {
  const { db } = context;
  const row = await findPayment(db, task.key);
  if (row === undefined || row.state !== 'CAPTURED' || row.provider_reference === null) return;
  const { provider, breaker } = processorOf(context, row.provider);
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
}

export const tasks: readonly TaskHandler<PaymentsContext>[] = [
  chargeTask(CHARGE, ({ card }) => card),
  chargeTask(CHARGE_WALLET, ({ wallet }) => wallet),
  refundTask(REFUND, ({ card }) => card),
  refundTask(REFUND_WALLET, ({ wallet }) => wallet),
];
