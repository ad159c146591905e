/** How orders hold pets: reserve, sell, release; each once, whoever asks how often. */
import type { Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { emit, wakeSequencer } from '@waybill/kit/eventlog.ts';
import { counter, currentTraceparent } from '@waybill/kit/telemetry.ts';
import type { PetsContext } from './context.ts';
import type { PetSettled, Reservation, ReserveReply, ReserveRequest } from './contract.ts';
import { afterRelease, afterSale, type Settlement } from './rules.ts';
import {
  findPet,
  findReservation,
  forbidReservation,
  lockHeld,
  lockHeldByOrders,
  lockPet,
  renderPet,
  renderReservation,
  reservePet,
  settleReservation,
  type HeldRow,
  type PetRow,
} from './store.ts';

const asked = counter('waybill_pet_reservations_total', 'Asked reservations', ['outcome']);

/**
 * Reserves a pet for an order. Exactly one of any number of simultaneous callers gets it. Asked
 * again under the same reservation id it gives the same answer, and changes nothing.
 */
export async function reserve(
  { db }: PetsContext,
  id: number,
  request: ReserveRequest,
): Promise<ReserveReply> {
  const row = await tryToReserve(db, id, request);
  if (row === undefined) return judgeReservation(db, id, request.reservation_id);
  wakeSequencer('pets');
  asked.inc({ outcome: 'reserved' });
  return { reserved: true, reservation_id: request.reservation_id, pet: renderPet(row) };
}

async function tryToReserve(
  db: PetsContext['db'],
  id: number,
  request: ReserveRequest,
): Promise<PetRow | undefined> {
  try {
    return await reservePet(db, id, request, currentTraceparent());
  } catch (error) {
    // The reservation id has been used, or was released before it came: what it means is written.
    if ((error as { code?: string }).code === '23505') return undefined;
    throw error;
  }
}

async function judgeReservation(
  db: PetsContext['db'],
  id: number,
  reservationId: string,
): Promise<ReserveReply> {
  const known = await findReservation(db, reservationId);
  const pet = await findPet(db, id);
  const mine = known !== undefined && known.order_id !== null && Number(known.pet_id) === id;
  if (mine && pet !== undefined) {
    asked.inc({ outcome: 'repeated' });
    return { reserved: true, reservation_id: reservationId, pet: renderPet(pet) };
  }
  asked.inc({ outcome: 'refused' });
  if (pet === undefined) throw unknownPet();
  throw new Refusal(409, 'pet_not_available', 'The pet is not available.');
}

export function unknownPet(): Refusal {
  return new Refusal(404, 'pet_not_found', 'There is no such pet.');
}

/** Sells a pet to the order that holds it. */
export function sell(context: PetsContext, id: number, reservationId: string) {
  return context.db.transaction(async (tx): Promise<Reservation> => {
    const held = await lockHeld(tx, reservationId);
    if (held !== undefined && Number(held.id) === id)
      await applySettlement(tx, held, afterSale(held.state));
    const known = await findReservation(tx, reservationId);
    if (known === undefined || Number(known.pet_id) !== id)
      throw new Refusal(404, 'reservation_not_found', 'There is no such reservation.');
    if (known.state === 'released')
      throw new Refusal(409, 'reservation_released', 'The reservation was released.');
    return renderReservation(known);
  });
}

/**
 * Releases what the reservation holds. A reservation that is not known is forbidden from then on:
 * a call that was on its way for long can no longer make it.
 */
export function release(context: PetsContext, id: number, reservationId: string) {
  return context.db.transaction(async (tx): Promise<Reservation> => {
    const pet = await lockPet(tx, id);
    const held = await lockHeld(tx, reservationId);
    if (held !== undefined && Number(held.id) === id)
      await applySettlement(tx, held, afterRelease(held.state));
    else if (pet !== undefined) await forbidReservation(tx, reservationId, id);
    const known = await findReservation(tx, reservationId);
    if (known === undefined) throw unknownPet();
    if (Number(known.pet_id) !== id)
      throw new Refusal(404, 'reservation_not_found', 'There is no such reservation.');
    return renderReservation(known);
  });
}

/** Follows orders: those that were approved get their pet, those that were cancelled lose it. */
export async function settleOrders(
  tx: Tx,
  orderIds: readonly string[],
  outcome: 'sold' | 'released',
): Promise<void> {
  const next = outcome === 'sold' ? afterSale : afterRelease;
  for (const held of await lockHeldByOrders(tx, orderIds))
    await applySettlement(tx, held, next(held.state));
}

async function applySettlement(
  tx: Tx,
  held: HeldRow,
  settlement: Settlement | undefined,
): Promise<void> {
  if (settlement === undefined) return;
  const { state, status, event } = settlement;
  await settleReservation(tx, held, state, status);
  const data: PetSettled = {
    pet_id: Number(held.id),
    name: held.name,
    reservation_id: held.reservation_id,
    order_id: held.order_id,
    from: held.status,
    to: status,
  };
  const version = held.version + 1;
  await emit(tx, 'pets', [{ key: String(held.id), version, type: event, data: { ...data } }]);
}
