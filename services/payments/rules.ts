/**
 * How a payment moves: what to do next, and what an answer means. Pure; the worker and the
 * callback go through the same functions under the same row lock.
 */
import type { Attempt, PaymentEventType, PaymentState } from './contract.ts';

/** What the rules look at. */
export interface PaymentFacts {
  readonly state: PaymentState;
  readonly amountMinor: number;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly cancelRequested: boolean;
  readonly deadlinePassed: boolean;
}

/** What to do next about a payment. `drop`: nothing was charged for certain, so just end it. */
export type Step = 'charge' | 'ask' | 'void' | 'drop' | 'done';

export function nextStep(payment: PaymentFacts): Step {
  const unwanted =
    payment.cancelRequested || payment.deadlinePassed || payment.attempts >= payment.maxAttempts;
  switch (payment.state) {
    case 'PENDING':
      return unwanted ? 'drop' : 'charge';
    case 'PROCESSING':
    case 'UNKNOWN':
      return unwanted ? 'void' : 'ask';
    default:
      return 'done';
  }
}

/** What came back from a step, in the port's words. */
export type Answer =
  | { readonly kind: 'captured'; readonly reference: string; readonly amountMinor: number }
  | { readonly kind: 'declined'; readonly code: string; readonly message: string }
  | { readonly kind: 'fault'; readonly message: string }
  | { readonly kind: 'outage'; readonly message: string; readonly reached: boolean }
  | { readonly kind: 'none' }
  | { readonly kind: 'voided' };

/** What an answer does to a payment. */
export interface Outcome {
  readonly state: PaymentState;
  readonly attempt?: { readonly status: Attempt['status']; readonly message: string | null };
  readonly event?: PaymentEventType;
  readonly failureCode?: string;
  /** Money came in that must go back. */
  readonly refund?: boolean;
  /** When to go on: at once, after the retry delay, after an outage; absent: it is settled. */
  readonly next?: 'now' | 'retry' | 'outage';
}

export const OPEN_STATES: readonly PaymentState[] = ['PENDING', 'PROCESSING', 'UNKNOWN'];

/**
 * @param before the state before the call was begun: what a call that never arrived returns to
 * @param trial whether the breaker let the call through as its trial, which uses up no attempt
 */
export function afterAnswer(
  payment: PaymentFacts,
  answer: Answer,
  before: PaymentState,
  trial: boolean,
): Outcome {
  switch (answer.kind) {
    case 'captured':
      return afterCapture(payment);
    case 'declined':
      return {
        state: 'FAILED',
        attempt: { status: 'DECLINED', message: answer.message },
        event: payment.cancelRequested ? 'PAYMENT_VOIDED' : 'PAYMENT_FAILED',
        failureCode: answer.code,
      };
    case 'voided':
      return payment.cancelRequested
        ? { state: 'VOIDED', event: 'PAYMENT_VOIDED' }
        : { state: 'FAILED', event: 'PAYMENT_FAILED', failureCode: lastReason(payment) };
    case 'fault':
      if (trial || payment.attempts >= payment.maxAttempts)
        return { state: 'UNKNOWN', next: 'outage' };
      return {
        state: 'UNKNOWN',
        attempt: { status: 'FAILED', message: answer.message },
        event: 'PAYMENT_ATTEMPT_FAILED',
        next: payment.attempts + 1 >= payment.maxAttempts ? 'now' : 'retry',
      };
    case 'outage':
      return { state: answer.reached ? 'UNKNOWN' : before, next: 'outage' };
    case 'none':
      return { state: payment.state, next: 'now' };
  }
}

function afterCapture(payment: PaymentFacts): Outcome {
  const captured: Outcome = {
    state: 'CAPTURED',
    attempt: { status: 'SUCCEEDED', message: null },
    event: 'PAYMENT_CAPTURED',
  };
  // A capture told late for a payment that was given up goes back to the customer.
  const unwanted = payment.cancelRequested || !OPEN_STATES.includes(payment.state);
  return unwanted ? { ...captured, refund: true } : captured;
}

function lastReason(payment: PaymentFacts): string {
  return payment.attempts >= payment.maxAttempts ? 'attempts_used_up' : 'deadline_passed';
}
