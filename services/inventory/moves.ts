/** How stock is moved: gathered into transactions, decided by the rules, told as events. */
import type { Database, Tx } from '@waybill/kit/db.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { gather } from '@waybill/kit/gather.ts';
import type { Json } from '@waybill/kit/json.ts';
import type { StockChanged } from './contract.ts';
import { decideMoves, type Decision, type Move, type Reservation, type Stock } from './rules.ts';
import {
  lockStock,
  readDeductions,
  readReservations,
  writeDecision,
  type LockedStock,
} from './store.ts';

/** Makes a move; resolves once it is durable, rejects with the refusal of the rules. */
export type MoveStock = (move: Move) => Promise<Reservation | Stock>;

/**
 * Each lane has one transaction in flight. A SKU's moves keep to one lane: in two they would wait
 * for each other's locks, in batches half as large. Whoever holds a lock holds up one lane alone.
 */
const LANES = 2;
const MAX_WAITING = 10_000;

/**
 * Moves that arrive while a transaction is in flight share the next one, whatever their SKU: a
 * thousand buyers of one SKU cost its row a few locks, and not a thousand (ADR 0013).
 */
export function createMover(db: Database): MoveStock {
  const lanes = Array.from({ length: LANES }, () =>
    gather((moves: readonly Move[]) => makeMoves(db, moves), {
      maxBatch: 128,
      flights: 1,
      maxWaiting: MAX_WAITING,
      overflow: () => new Outage('database', 'too many moves of stock are waiting'),
    }),
  );
  return async (move) => {
    const answer = await lanes[laneOf(move)]?.(move);
    if (answer === undefined) throw new Error('a move of stock has no lane');
    if (answer instanceof Refusal) throw answer;
    return answer;
  };
}

function laneOf(move: Move): number {
  const [name = 'id' in move ? move.id : ''] = skusOf(move);
  let sum = 0;
  for (let index = 0; index < name.length; index++) sum += name.charCodeAt(index);
  return sum % LANES;
}

/** Two processes may be the first with one reservation: the second one finds the first one's. */
const TRIES = 3;

async function makeMoves(db: Database, moves: readonly Move[]): Promise<Decision['answers']> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction((tx) => makeMovesIn(tx, moves));
    } catch (error) {
      if ((error as { code?: string }).code !== UNIQUE_VIOLATION || attempt === TRIES) throw error;
    }
  }
}

const UNIQUE_VIOLATION = '23505';

/** Makes moves in a transaction that does more than that. */
export async function makeMovesIn(tx: Tx, moves: readonly Move[]): Promise<Decision['answers']> {
  const ids = moves.flatMap((move) => ('id' in move ? [move.id] : []));
  // Which SKUs a reservation holds never changes; all else is read again once they are locked.
  const before = await readReservations(tx, ids);
  const locked = await lockStock(tx, [...new Set([...moves.flatMap(skusOf), ...heldBy(before)])]);
  const reservations = await readReservations(tx, ids);
  if (heldBy(reservations).some((sku) => !locked.has(sku)))
    throw new Outage('database', 'a reservation was made a moment ago');
  const deductionIds = moves.flatMap((move) => (move.kind === 'deduct' ? [move.deductionId] : []));
  const deductions = await readDeductions(tx, deductionIds);
  const decision = decideMoves({ stock: locked, reservations, deductions }, moves);
  const { created, moved, stock } = decision;
  // Most moves of a sold-out sale are refused, and cost nothing but the look.
  if (created.length + moved.length + stock.size + decision.deductions.length > 0) {
    await writeDecision(tx, decision, locked);
    await emit(tx, 'inventory', eventsOf(decision, locked));
  }
  return decision.answers;
}

function skusOf(move: Move): string[] {
  if ('sku' in move) return [move.sku];
  return 'lines' in move ? (move.lines ?? []).map(({ sku }) => sku) : [];
}

function heldBy(reservations: ReadonlyMap<string, Reservation>): string[] {
  return [...reservations.values()].flatMap(({ lines }) => lines.map(({ sku }) => sku));
}

function eventsOf({ stock }: Decision, locked: ReadonlyMap<string, LockedStock>) {
  return [...stock].map(([sku, { onHand, reserved, changes }]) => {
    const data: StockChanged = { sku, on_hand: onHand, reserved, changes };
    const version = (locked.get(sku)?.version ?? 0) + 1;
    return { key: sku, version, type: 'STOCK_CHANGED', data: data as unknown as Json };
  });
}
