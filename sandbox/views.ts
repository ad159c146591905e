import { problem } from './app.ts';
import type { Problem } from './app.ts';
import type { JournalEntry } from './journal.ts';

const DECLINE_MESSAGES: Readonly<Record<string, string>> = {
  card_declined: 'The card was declined',
  insufficient_funds: 'The card has insufficient funds',
  unknown_token: 'There is no such payment token',
};

/** The body of a 402, the same on every repeat. */
export function toDecline(entry: JournalEntry): Problem {
  const code = entry.decline_code ?? 'card_declined';
  return problem(code, DECLINE_MESSAGES[code] ?? 'The payment was declined');
}

/** What settled a key, as the wire shows it. */
export function toCharge(entry: JournalEntry): object {
  const { key, order_id, at: created_at } = entry;
  if (entry.kind === 'void') return { key, order_id, status: 'voided', created_at };
  return {
    id: entry.charge_id,
    key,
    order_id,
    amount_minor: entry.amount_minor,
    currency: entry.currency,
    status: entry.kind === 'charge' ? 'captured' : 'declined',
    created_at,
    ...(entry.kind === 'decline' && toDecline(entry)),
  };
}

/** A refund, as the wire shows it. */
export function toRefund(entry: JournalEntry): object {
  return {
    id: entry.refund_id,
    key: entry.key,
    charge_id: entry.charge_id,
    order_id: entry.order_id,
    amount_minor: entry.amount_minor,
    currency: entry.currency,
    status: 'succeeded',
    created_at: entry.at,
  };
}
