import { createId } from './chance.ts';
import type { Journal, JournalEntry, NewEntry } from './journal.ts';
import { createTurns } from './turns.ts';

export interface ChargeRequest {
  readonly key: string;
  readonly order_id: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly callback_url?: string;
}

export interface RefundRequest {
  readonly key: string;
  readonly charge_id: string;
  readonly amount_minor: number;
}

/** What is to become of a key that has not been settled. A miss leaves no trace. */
export type Verdict =
  | { readonly kind: 'capture' }
  | { readonly kind: 'decline'; readonly code: string }
  | { readonly kind: 'miss' };

export type ChargeOutcome =
  | {
      readonly kind: 'captured' | 'declined';
      readonly entry: JournalEntry;
      readonly replayed: boolean;
    }
  | { readonly kind: 'voided' }
  | { readonly kind: 'reused' }
  | { readonly kind: 'missed' };

export type VoidOutcome =
  | { readonly kind: 'voided'; readonly entry: JournalEntry }
  | { readonly kind: 'captured'; readonly entry: JournalEntry }
  | { readonly kind: 'reused' };

export type RefundOutcome =
  | { readonly kind: 'refunded'; readonly entry: JournalEntry; readonly replayed: boolean }
  | { readonly kind: 'reused' }
  | { readonly kind: 'unknown_charge' }
  | { readonly kind: 'exceeds' };

export interface Ledger {
  /** `judge` is asked only for a key that nothing has settled yet, and within the key's turn. */
  charge(request: ChargeRequest, judge: () => Promise<Verdict>): Promise<ChargeOutcome>;
  /** Waits for a charge that is being processed under the key. */
  find(key: string): Promise<JournalEntry | undefined>;
  void(key: string, orderId: string): Promise<VoidOutcome>;
  refund(request: RefundRequest, process: () => Promise<void>): Promise<RefundOutcome>;
  findCharge(chargeId: string): JournalEntry | undefined;
}

/**
 * What was charged, declined, voided and refunded. The maps are rebuilt from the journal and change
 * only after it did, so nothing is ever answered that a restart would forget.
 */
export function createLedger(journal: Journal): Ledger {
  const book = openBook(journal);
  const inKeyTurn = createTurns();
  const inRefundKeyTurn = createTurns();
  const inChargeTurn = createTurns();
  return {
    charge: (request, judge) => inKeyTurn(request.key, () => settleCharge(book, request, judge)),
    find: (key) => inKeyTurn(key, async () => book.settled.get(key)),
    void: (key, orderId) => inKeyTurn(key, () => settleVoid(book, key, orderId)),
    // Always the key first and then the charge, so that two refunds cannot wait for each other.
    refund: (request, process) =>
      inRefundKeyTurn(request.key, () =>
        inChargeTurn(request.charge_id, () => settleRefund(book, request, process)),
      ),
    findCharge: (chargeId) => book.charges.get(chargeId),
  };
}

interface Book {
  /** The entry that settled the key: a charge, a decline or, over a decline too, a void. */
  readonly settled: ReadonlyMap<string, JournalEntry>;
  /** By charge id. */
  readonly charges: ReadonlyMap<string, JournalEntry>;
  /** By the refund's key. */
  readonly refunds: ReadonlyMap<string, JournalEntry>;
  /** Sums by charge id. */
  readonly refundedMinor: ReadonlyMap<string, number>;
  /** Makes the entry durable, then visible. */
  write(entry: NewEntry): Promise<JournalEntry>;
}

function openBook(journal: Journal): Book {
  const settled = new Map<string, JournalEntry>();
  const charges = new Map<string, JournalEntry>();
  const refunds = new Map<string, JournalEntry>();
  const refundedMinor = new Map<string, number>();

  function apply(entry: JournalEntry): void {
    if (entry.kind !== 'refund') settled.set(entry.key, entry);
    if (entry.charge_id === null) return;
    if (entry.kind === 'charge') charges.set(entry.charge_id, entry);
    if (entry.kind !== 'refund') return;
    refunds.set(entry.key, entry);
    const already = refundedMinor.get(entry.charge_id) ?? 0;
    refundedMinor.set(entry.charge_id, already + entry.amount_minor);
  }

  for (const entry of journal.entries) apply(entry);
  return {
    settled,
    charges,
    refunds,
    refundedMinor,
    async write(entry) {
      const written = await journal.append(entry);
      apply(written);
      return written;
    },
  };
}

async function settleCharge(
  book: Book,
  request: ChargeRequest,
  judge: () => Promise<Verdict>,
): Promise<ChargeOutcome> {
  const known = book.settled.get(request.key);
  if (known !== undefined) return replayCharge(known, request);
  const verdict = await judge();
  if (verdict.kind === 'miss') return { kind: 'missed' };
  const declined = verdict.kind === 'decline';
  const entry = await book.write({
    kind: declined ? 'decline' : 'charge',
    key: request.key,
    order_id: request.order_id,
    charge_id: createId('ch'),
    amount_minor: request.amount_minor,
    currency: request.currency,
    ...(declined && { decline_code: verdict.code }),
    ...(request.callback_url !== undefined && { callback_url: request.callback_url }),
  });
  return { kind: declined ? 'declined' : 'captured', entry, replayed: false };
}

function replayCharge(known: JournalEntry, request: ChargeRequest): ChargeOutcome {
  if (known.kind === 'void') return { kind: 'voided' };
  const same =
    known.order_id === request.order_id &&
    known.amount_minor === request.amount_minor &&
    known.currency === request.currency;
  if (!same) return { kind: 'reused' };
  const kind = known.kind === 'charge' ? 'captured' : 'declined';
  return { kind, entry: known, replayed: true };
}

async function settleVoid(book: Book, key: string, orderId: string): Promise<VoidOutcome> {
  const known = book.settled.get(key);
  if (known !== undefined && known.order_id !== orderId) return { kind: 'reused' };
  if (known?.kind === 'charge') return { kind: 'captured', entry: known };
  if (known?.kind === 'void') return { kind: 'voided', entry: known };
  const entry = await book.write({
    kind: 'void',
    key,
    order_id: orderId,
    charge_id: null,
    amount_minor: 0,
    currency: null,
  });
  return { kind: 'voided', entry };
}

async function settleRefund(
  book: Book,
  request: RefundRequest,
  process: () => Promise<void>,
): Promise<RefundOutcome> {
  const { key, charge_id, amount_minor } = request;
  const known = book.refunds.get(key);
  if (known !== undefined) {
    const same = known.charge_id === charge_id && known.amount_minor === amount_minor;
    return same ? { kind: 'refunded', entry: known, replayed: true } : { kind: 'reused' };
  }
  const charge = book.charges.get(charge_id);
  if (charge === undefined) return { kind: 'unknown_charge' };
  await process();
  const already = book.refundedMinor.get(charge_id) ?? 0;
  if (already + amount_minor > charge.amount_minor) return { kind: 'exceeds' };
  const { order_id, currency } = charge;
  const refund_id = createId('re');
  const entry = await book.write({
    kind: 'refund',
    key,
    order_id,
    charge_id,
    amount_minor,
    currency,
    refund_id,
  });
  return { kind: 'refunded', entry, replayed: false };
}
