/**
 * What moves do to stock, one after the other: pure functions. Everything that changes stock goes
 * through here, many moves at a time, over rows that are locked meanwhile.
 */
import { Refusal, type Fault } from '@waybill/kit/errors.ts';
import { MAX_ON_HAND, type StockChanged, type StockReservationState } from './contract.ts';

export interface Line {
  readonly sku: string;
  readonly quantity: number;
}

/** Something that shall happen to stock. */
export type Move =
  | {
      readonly kind: 'reserve';
      readonly id: string;
      readonly lines: readonly Line[];
      readonly seconds: number;
      readonly allowUnknown: boolean;
    }
  | { readonly kind: 'release' | 'expire'; readonly id: string }
  | {
      readonly kind: 'deduct';
      readonly id: string;
      readonly deductionId: string;
      readonly lines: readonly Line[] | undefined;
    }
  | { readonly kind: 'set'; readonly sku: string; readonly onHand: number }
  | { readonly kind: 'adjust'; readonly sku: string; readonly by: number };

export interface Stock {
  onHand: number;
  reserved: number;
}

export interface Reservation {
  readonly id: string;
  state: StockReservationState;
  /** The lines as they were asked for, to tell a repeat from another request. */
  readonly asked: string;
  readonly allowUnknown: boolean;
  /** Seconds to live when it is new. */
  readonly seconds: number;
  expiresAt: string;
  readonly lines: { readonly sku: string; readonly quantity: number; deducted: number }[];
}

export interface Deduction {
  readonly id: string;
  readonly reservationId: string;
  readonly asked: string;
}

/** What is known of everything that the moves are about. */
export interface Books {
  readonly stock: ReadonlyMap<string, Stock>;
  readonly reservations: ReadonlyMap<string, Reservation>;
  readonly deductions: ReadonlyMap<string, Deduction>;
}

type StockChange = StockChanged['changes'][number];

/** What is to be written, and what each move is told. */
export interface Decision {
  readonly answers: readonly (Reservation | Stock | Refusal)[];
  readonly stock: ReadonlyMap<string, Stock & { readonly changes: readonly StockChange[] }>;
  readonly created: readonly Reservation[];
  readonly moved: readonly Reservation[];
  readonly deductions: readonly Deduction[];
}

/** The books while moves are made; a refused move leaves them as they were. */
interface Open {
  readonly books: Books;
  readonly stock: Map<string, Stock & { readonly changes: StockChange[] }>;
  readonly created: Map<string, Reservation>;
  readonly moved: Map<string, Reservation>;
  readonly deductions: Map<string, Deduction>;
}

/** Makes the moves in their order. */
export function decideMoves(books: Books, moves: readonly Move[]): Decision {
  const open: Open = {
    books,
    stock: new Map(),
    created: new Map(),
    moved: new Map(),
    deductions: new Map(),
  };
  const answers = moves.map((move) => makeMove(open, move));
  return {
    answers,
    stock: open.stock,
    created: [...open.created.values()],
    moved: [...open.moved.values()],
    deductions: [...open.deductions.values()],
  };
}

function makeMove(open: Open, move: Move): Reservation | Stock | Refusal {
  switch (move.kind) {
    case 'reserve':
      return reserve(open, move);
    case 'release':
      return release(open, move.id);
    case 'expire':
      return expire(open, move.id);
    case 'deduct':
      return deduct(open, move);
    case 'set':
      return setOnHand(open, move.sku, move.onHand);
    case 'adjust':
      return setOnHand(open, move.sku, (stockOf(open, move.sku)?.onHand ?? 0) + move.by);
  }
}

function reserve(open: Open, move: Extract<Move, { kind: 'reserve' }>): Reservation | Refusal {
  const { id, allowUnknown, seconds } = move;
  const merged = mergeLines(move.lines);
  const asked = textOf(merged);
  const known = reservationOf(open, id);
  if (known !== undefined) return againReserved(known, asked);
  const at = (sku: string) => `/lines/${move.lines.findIndex((line) => line.sku === sku)}`;
  const unknown = merged.filter(({ sku }) => stockOf(open, sku) === undefined);
  if (unknown.length > 0 && !allowUnknown)
    return new Refusal(422, 'unknown_sku', 'Inventory does not know every SKU; see errors.', {
      faults: unknown.map(({ sku }) => ({ pointer: `${at(sku)}/sku`, detail: 'is not known' })),
    });
  const tracked = merged.filter((line) => !unknown.includes(line));
  const faults: Fault[] = [];
  for (const { sku, quantity } of tracked) {
    const { onHand, reserved } = stockOf(open, sku) as Stock;
    if (onHand - reserved < quantity)
      faults.push({
        pointer: `${at(sku)}/quantity`,
        detail: `must be at most ${onHand - reserved}, which is what is available`,
      });
  }
  if (faults.length > 0)
    return new Refusal(409, 'insufficient_stock', 'There is not enough; see errors.', { faults });
  for (const { sku, quantity } of tracked)
    change(open, sku, 0, quantity, { kind: 'reserved', reservation_id: id, quantity });
  const lines = tracked.map((line) => ({ ...line, deducted: 0 }));
  const made: Reservation = {
    id,
    state: 'reserved',
    asked,
    allowUnknown,
    seconds,
    expiresAt: '',
    lines,
  };
  open.created.set(id, made);
  return made;
}

function againReserved(known: Reservation, asked: string): Reservation | Refusal {
  if (known.state === 'released' || known.state === 'expired') return ended(known.state);
  if (known.asked === asked) return known;
  return new Refusal(
    422,
    'reservation_differs',
    'This reservation_id was used with other lines before.',
  );
}

/** A reservation that is released before it is made never will be: its call may be late. */
function release(open: Open, id: string): Reservation | Refusal {
  const known = reservationOf(open, id);
  if (known === undefined) {
    const state = 'released';
    const nothing = { id, state, asked: '', allowUnknown: false, seconds: 0 } as const;
    const never: Reservation = { ...nothing, expiresAt: '', lines: [] };
    open.created.set(id, never);
    return never;
  }
  if (known.state === 'deducted') return ended('deducted');
  return known.state === 'reserved' ? free(open, known, 'released') : known;
}

function expire(open: Open, id: string): Reservation | Refusal {
  const known = reservationOf(open, id);
  if (known === undefined) return notFound();
  return known.state === 'reserved' ? free(open, known, 'expired') : known;
}

function free(open: Open, known: Reservation, state: 'released' | 'expired'): Reservation {
  for (const { sku, quantity, deducted } of known.lines)
    if (quantity > deducted)
      change(open, sku, 0, deducted - quantity, {
        kind: state,
        reservation_id: known.id,
        quantity: quantity - deducted,
      });
  return touch(open, known, (reservation) => {
    reservation.state = state;
  });
}

function deduct(open: Open, move: Extract<Move, { kind: 'deduct' }>): Reservation | Refusal {
  const known = reservationOf(open, move.id);
  if (known === undefined) return notFound();
  const asked = move.lines === undefined ? 'all' : textOf(mergeLines(move.lines));
  const before =
    open.deductions.get(move.deductionId) ?? open.books.deductions.get(move.deductionId);
  if (before !== undefined)
    return before.reservationId === move.id && before.asked === asked
      ? known
      : new Refusal(422, 'deduction_differs', 'This deduction_id was used for something else.');
  if (known.state !== 'reserved') return ended(known.state);
  const left = new Map(known.lines.map((line) => [line.sku, line.quantity - line.deducted]));
  const wanted =
    move.lines === undefined
      ? [...left].map(([sku, quantity]) => ({ sku, quantity }))
      : mergeLines(move.lines).filter(({ sku }) => left.has(sku) || !known.allowUnknown);
  const over = wanted.filter(({ sku, quantity }) => quantity > (left.get(sku) ?? 0));
  if (over.length > 0)
    return new Refusal(409, 'exceeds_reservation', 'More is deducted than is held; see errors.', {
      faults: over.map(({ sku }) => ({
        pointer: `/lines/${move.lines?.findIndex((line) => line.sku === sku) ?? 0}/quantity`,
        detail: `must be at most ${left.get(sku) ?? 0}, which is what is held`,
      })),
    });
  for (const { sku, quantity } of wanted)
    if (quantity > 0)
      change(open, sku, -quantity, -quantity, {
        kind: 'deducted',
        reservation_id: known.id,
        quantity,
      });
  const { deductionId: id } = move;
  open.deductions.set(id, { id, reservationId: known.id, asked });
  return touch(open, known, (reservation) => {
    for (const line of reservation.lines)
      line.deducted += wanted.find(({ sku }) => sku === line.sku)?.quantity ?? 0;
    if (reservation.lines.every((line) => line.deducted === line.quantity))
      reservation.state = 'deducted';
  });
}

function setOnHand(open: Open, sku: string, onHand: number): Stock | Refusal {
  const stock = stockOf(open, sku);
  if (stock === undefined) return new Refusal(404, 'sku_not_found', 'There is no such SKU.');
  if (onHand < stock.reserved)
    return new Refusal(
      409,
      'below_reserved',
      `${stock.reserved} are held by reservations; that many must stay on hand.`,
    );
  if (onHand > MAX_ON_HAND)
    return new Refusal(409, 'too_much_stock', `At most ${MAX_ON_HAND} may be on hand.`);
  const quantity = onHand - stock.onHand;
  if (quantity !== 0)
    change(open, sku, quantity, 0, { kind: 'set', reservation_id: null, quantity });
  return stockOf(open, sku) as Stock;
}

function stockOf({ books, stock }: Open, sku: string): Stock | undefined {
  return stock.get(sku) ?? books.stock.get(sku);
}

function reservationOf({ books, created, moved }: Open, id: string): Reservation | undefined {
  return created.get(id) ?? moved.get(id) ?? books.reservations.get(id);
}

function change(open: Open, sku: string, onHand: number, reserved: number, told: StockChange) {
  const now = open.stock.get(sku) ?? { ...(stockOf(open, sku) as Stock), changes: [] };
  now.onHand += onHand;
  now.reserved += reserved;
  now.changes.push(told);
  open.stock.set(sku, now);
}

/** Changes a reservation, in a copy if it is one of the books. */
function touch(open: Open, known: Reservation, edit: (own: Reservation) => void): Reservation {
  const fresh = open.created.has(known.id);
  const own = fresh ? known : { ...known, lines: known.lines.map((line) => ({ ...line })) };
  edit(own);
  if (!fresh) open.moved.set(known.id, own);
  return own;
}

function ended(state: StockReservationState): Refusal {
  return new Refusal(409, `reservation_${state}`, `The reservation is ${state}.`);
}

function notFound(): Refusal {
  return new Refusal(404, 'reservation_not_found', 'There is no such reservation.');
}

/** One line per SKU, by SKU. */
function mergeLines(lines: readonly Line[]): Line[] {
  const sums = new Map<string, number>();
  for (const { sku, quantity } of lines) sums.set(sku, (sums.get(sku) ?? 0) + quantity);
  return [...sums]
    .map(([sku, quantity]) => ({ sku, quantity }))
    .toSorted((a, b) => (a.sku < b.sku ? -1 : 1));
}

function textOf(lines: readonly Line[]): string {
  return JSON.stringify(lines.map(({ sku, quantity }) => [sku, quantity]));
}
