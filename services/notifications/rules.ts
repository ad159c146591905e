/** What an answer of a channel means for a sending. */
import type { SendingState } from './contract.ts';

/**
 * What a channel answered: `refused` is final, `delayed` an answer that may change, `outage` no
 * answer at all, or none that was about this message.
 */
export type Outcome =
  | { readonly kind: 'sent' | 'logged' | 'delayed' | 'refused'; readonly detail: string }
  | { readonly kind: 'outage'; readonly detail: string };

export interface SendingPolicy {
  readonly retryAttempts: number;
  readonly retryDelaySeconds: number;
}

/** Where a sending stands before a try. */
export interface Standing {
  readonly attempts: number;
  readonly outages: number;
}

export interface Next {
  readonly state: SendingState;
  readonly attempts: number;
  readonly outages: number;
  readonly waiting_for: string | null;
  readonly entry: { readonly outcome: string; readonly detail: string } | null;
  /** When to try again, before jitter; null: it is over. */
  readonly delayMs: number | null;
}

/** Greylisting asks to come back within the hour; an outage may end at any moment. */
const LONGEST_RETRY_MS = 3_600_000;
const LONGEST_OUTAGE_MS = 60_000;
const LONGEST_DETAIL = 300;

/** The next step after an answer. An outage uses up no attempt. */
export function afterSending(standing: Standing, outcome: Outcome, policy: SendingPolicy): Next {
  const { attempts, outages } = standing;
  const firstMs = policy.retryDelaySeconds * 1000;
  if (outcome.kind === 'outage')
    return {
      state: 'WAITING',
      attempts,
      outages: outages + 1,
      waiting_for: withoutContact(outcome.detail),
      entry: null,
      delayMs: Math.min(LONGEST_OUTAGE_MS, firstMs * 2 ** Math.min(outages, 20)),
    };
  const entry = { outcome: outcome.kind, detail: withoutContact(outcome.detail) };
  const done = { attempts: attempts + 1, outages: 0, waiting_for: null, entry };
  if (outcome.kind === 'sent' || outcome.kind === 'logged')
    return { ...done, state: 'SENT', delayMs: null };
  if (outcome.kind === 'refused' || done.attempts >= policy.retryAttempts)
    return { ...done, state: 'FAILED', delayMs: null };
  const delayMs = Math.min(LONGEST_RETRY_MS, firstMs * 2 ** Math.min(attempts, 20));
  return { ...done, state: 'WAITING', delayMs };
}

/** A sending whose time is over, whatever it waited for. */
export function afterDeadline({ attempts }: Standing): Next {
  return {
    state: 'FAILED',
    attempts: attempts + 1,
    outages: 0,
    waiting_for: null,
    entry: { outcome: 'expired', detail: 'it could not be sent in time' },
    delayMs: null,
  };
}

/** A server's words without the addresses in them, on one line. */
export function withoutContact(text: string): string {
  return text
    .slice(0, 2000)
    .replaceAll(/[^\s@<>]{1,320}@[^\s<>]{1,320}/g, '(address)')
    .replaceAll(/\s+/g, ' ')
    .slice(0, LONGEST_DETAIL);
}
