/** What can be done with stock and with the counts of pets. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { enqueue } from '@waybill/kit/tasks.ts';
import type { PetChanged, PetStanding } from '@waybill/pets/contract.ts';
import type { InventoryContext } from './context.ts';
import type { DeductStock, ReserveStock, StockReservation } from './contract.ts';
import { makeMovesIn } from './moves.ts';
import type { Line, Move, Reservation } from './rules.ts';
import {
  addSku,
  findStock,
  learnPets,
  listDue,
  readReservations,
  recountPets,
  renderReservation,
  renderStock,
  type PetNews,
} from './store.ts';

export async function reserveStock(
  context: InventoryContext,
  request: ReserveStock,
): Promise<StockReservation> {
  const { reservation_id, lines, expires_in_seconds, allow_unknown = false } = request;
  return move(context, {
    kind: 'reserve',
    id: reservation_id,
    lines: lines.map(normalLine),
    seconds: expires_in_seconds,
    allowUnknown: allow_unknown,
  });
}

/** Gives back what is still held; a reservation that was never made never will be. */
export function releaseStock(context: InventoryContext, id: string): Promise<StockReservation> {
  return move(context, { kind: 'release', id });
}

/** Takes what left the house off what is on hand. */
export function deductStock(
  context: InventoryContext,
  id: string,
  { deduction_id, lines }: DeductStock,
): Promise<StockReservation> {
  const deducted = lines?.map(normalLine);
  return move(context, { kind: 'deduct', id, deductionId: deduction_id, lines: deducted });
}

function normalLine({ sku, quantity }: Line): Line {
  return { sku: sku.normalize('NFC'), quantity };
}

async function move(context: InventoryContext, wanted: Move): Promise<StockReservation> {
  return renderReservation((await context.moveStock(wanted)) as Reservation);
}

export async function findReservation(
  { db }: InventoryContext,
  id: string,
): Promise<StockReservation> {
  const known = (await readReservations(db, [id])).get(id);
  if (known === undefined)
    throw new Refusal(404, 'reservation_not_found', 'There is no such reservation.');
  return renderReservation(known);
}

/** A SKU as JSON text: a repeat gets the same bytes. */
export interface Kept {
  readonly item: string;
  readonly replayed: boolean;
}

/** Says how much is on hand; a SKU that was not known is from now on. */
export function setStock(context: InventoryContext, sku: string, onHand: number): Promise<Kept> {
  return atTheDesk(context, { kind: 'set', sku: sku.normalize('NFC'), onHand }, undefined);
}

/** Adds to what is on hand, or takes from it. */
export function adjustStock(
  context: InventoryContext,
  sku: string,
  by: number,
  idempotency: IdempotencyKey | undefined,
): Promise<Kept> {
  return atTheDesk(context, { kind: 'adjust', sku: sku.normalize('NFC'), by }, idempotency);
}

function atTheDesk(
  { db }: InventoryContext,
  wanted: Extract<Move, { kind: 'set' | 'adjust' }>,
  idempotency: IdempotencyKey | undefined,
): Promise<Kept> {
  return db.transaction(async (tx) => {
    const kept = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (kept !== undefined) return { item: kept.response, replayed: true };
    if (wanted.kind === 'set') await addSku(tx, wanted.sku);
    const [answer] = await makeMovesIn(tx, [wanted]);
    if (answer instanceof Refusal) throw answer;
    const row = await findStock(tx, wanted.sku);
    if (row === undefined) throw new Error(`SKU ${wanted.sku} is gone`);
    const item = JSON.stringify(renderStock(row));
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 200, response: item });
    return { item, replayed: false };
  });
}

const DUE_BATCH = 100;

/** Gives back what was reserved for too long. */
export async function expireReservations(context: InventoryContext): Promise<void> {
  for (;;) {
    const ids = await listDue(context.db, DUE_BATCH);
    await Promise.all(ids.map((id) => context.moveStock({ kind: 'expire', id })));
    if (ids.length < DUE_BATCH) return;
  }
}

/**
 * Orders that will never be fulfilled give back what they hold: the reservation that is named after
 * the order. One that is made only now, by a call that was late, ends when its time is up.
 */
export async function releaseForOrders(tx: Tx, events: readonly CloudEvent[]): Promise<void> {
  const held = await readReservations(
    tx,
    events.map((event) => event.key),
  );
  const open = [...held.values()].filter(({ state }) => state === 'reserved');
  if (open.length === 0) return;
  await makeMovesIn(
    tx,
    open.map(({ id }) => ({ kind: 'release', id })),
  );
}

/** Counts what the events of pets tell. */
export function followPets(tx: Tx, events: readonly CloudEvent[]): Promise<void> {
  return learnPets(tx, events.map(newsOf));
}

function newsOf({ key, version, data }: CloudEvent): PetNews {
  return { key, version, status: (data as unknown as PetChanged).to };
}

export const REBUILD = 'inventory.rebuild';

export async function askForRebuild({ db }: InventoryContext): Promise<void> {
  await db.transaction((tx) => enqueue(tx, [{ kind: REBUILD, key: 'pets', payload: null }]));
}

/**
 * Asks pets where each of them stands, reads the log once more for what has happened meanwhile, and
 * counts anew. Consumers go on at the same time: what they learn is newer, and stays.
 */
export async function rebuildPetCounts({ db, client }: InventoryContext): Promise<void> {
  const ask = <Page>(path: string, after: number) =>
    client.call<Page>(
      'pets',
      { method: 'GET', path, query: { after }, idempotent: true },
      deadlineIn(10_000),
    );
  const learn = (news: readonly PetNews[]) => db.transaction((tx) => learnPets(tx, news));
  for (let after = 0; ;) {
    const { standings } = await ask<PetStanding>('/internal/pets/standings', after);
    const last = standings.at(-1);
    if (last === undefined) break;
    await learn(standings.map(({ id, ...standing }) => ({ key: String(id), ...standing })));
    after = last.id;
  }
  for (let after = 0; ;) {
    const { events } = await ask<{ events: CloudEvent[] }>('/internal/log/pets', after);
    const last = events.at(-1);
    if (last === undefined) break;
    await learn([...new Map(events.map((event) => [event.key, newsOf(event)])).values()]);
    after = last.position;
  }
  await db.transaction(recountPets);
}
