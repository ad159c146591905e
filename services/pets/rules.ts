/** What may become of a pet and of its reservation; pure functions. */
import { Refusal } from '@waybill/kit/errors.ts';
import type { PetEventType, PetStatus, ReservationState, WireStatus } from './contract.ts';

/** What the rules look at. */
export interface PetState {
  readonly status: PetStatus;
  /** Whether an order holds it. */
  readonly held: boolean;
}

export function toWire(status: PetStatus): WireStatus {
  return status === 'reserved' ? 'pending' : status;
}

export function fromWire(status: WireStatus): PetStatus {
  return status === 'pending' ? 'reserved' : status;
}

/**
 * The status after a request that names one, or none. While an order holds the pet no request
 * changes it: the order's own life does.
 */
export function afterRequest(pet: PetState, wanted: WireStatus | undefined): PetStatus {
  const status = wanted === undefined ? pet.status : fromWire(wanted);
  if (pet.held && status !== pet.status) throw heldByOrder('its status cannot be changed');
  return status;
}

/** Refuses to delete a pet that an order holds, or that was sold to one. */
export function refuseHeld(pet: PetState): void {
  if (pet.held) throw heldByOrder('it cannot be deleted');
}

function heldByOrder(consequence: string): Refusal {
  return new Refusal(409, 'pet_reserved', `An order holds this pet: ${consequence}.`);
}

/** How a reservation goes on, and what the pet becomes of it. */
export interface Settlement {
  readonly state: ReservationState;
  readonly status: PetStatus;
  readonly event: PetEventType;
}

/** What approval does to a reservation; undefined when it was done before. */
export function afterSale(state: ReservationState): Settlement | undefined {
  return state === 'held' ? { state: 'sold', status: 'sold', event: 'PET_SOLD' } : undefined;
}

/** What a cancellation does, also after the sale; undefined when it was done before. */
export function afterRelease(state: ReservationState): Settlement | undefined {
  return state === 'released'
    ? undefined
    : { state: 'released', status: 'available', event: 'PET_RELEASED' };
}
