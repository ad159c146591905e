/**
 * Door C: placing an order for a pet (spec chapter C). The order's id and number are allotted
 * first, then pets is asked to reserve; the reservation's event creates the order. The id names the
 * reservation too, so that a call whose answer was lost is asked again, or settled, by it.
 */
import { monotonicMs } from '@waybill/kit/clock.ts';
import { deadlineIn, type Deadline } from '@waybill/kit/deadline.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import {
  claimKey,
  keepAnswer,
  type IdempotencyKey,
  type KeptAnswer,
} from '@waybill/kit/idempotency.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { newId } from '@waybill/kit/ids.ts';
import { counter } from '@waybill/kit/telemetry.ts';
import { waitForWake } from '@waybill/kit/wake.ts';
import type { Reservation, ReserveRequest } from '@waybill/pets/contract.ts';
import { arrivalOf } from './arrivals.ts';
import { applyChanges, cancelOrder, stateOf } from './commands.ts';
import type { OrdersContext } from './context.ts';
import type { PlaceOrder, StoreOrder } from './petstore-contract.ts';
import {
  claimNumber,
  dropClaim,
  findClaimOfKey,
  findPetOrder,
  findPetOrderById,
  forgetExpiry,
  listOverdue,
  renderStoreOrder,
  takeDueClaims,
  type Claim,
  type PetOrderRow,
} from './petstore-store.ts';
import { afterCancel, shipDateOf } from './rules.ts';
import { lockOrders } from './store.ts';

const placed = counter('waybill_pet_orders_total', 'Orders for pets, by answer', ['outcome']);

export interface Placed {
  /** 200: the order is there; 202: it will be. */
  readonly status: 200 | 202;
  readonly order: StoreOrder;
  readonly replayed: boolean;
}

export interface PlaceOptions {
  readonly username: string | undefined;
  readonly idempotency: IdempotencyKey | undefined;
  readonly deadline: Deadline;
}

/** Kept while nobody knows whether there will be an order; its birth puts its id there. */
const UNDECIDED = { status: 200, response: '' };

/** How long an answer waits for the order that the reservation's event creates. */
const ARRIVAL_MS = 2000;

/** Places an order: of any number of simultaneous callers for one pet, one gets it. */
export async function placeOrder(
  context: OrdersContext,
  identity: Identity,
  request: PlaceOrder,
  options: PlaceOptions,
): Promise<Placed> {
  const customerId = (options.username ?? identity.subject).normalize('NFC');
  if (!isStaff(identity) && customerId !== identity.subject)
    throw new Refusal(403, 'foreign_customer', 'username must be your own.');
  const { petId, quantity = 1 } = request;
  const shipDate = shipDateOf(request.shipDate);
  const { claim, born, replayed } = await allot(context, request, options.idempotency);
  if (born !== undefined) return { status: 200, order: asPlaced(born), replayed };
  await failpoint('orders.place.claimed');
  await reserve(context, claim, options.deadline, {
    customer_id: customerId,
    quantity,
    ship_date: shipDate,
  });
  await failpoint('orders.place.reserved');
  const arrived = await waitForArrival(context, claim.order_id);
  placed.inc({ outcome: arrived ? 'placed' : 'late' });
  return {
    status: arrived ? 200 : 202,
    order: {
      id: claim.number,
      petId,
      quantity,
      ...(shipDate === null ? {} : { shipDate }),
      status: 'placed',
      complete: false,
    },
    replayed,
  };
}

interface Allotted {
  readonly claim: Claim;
  /** The order of an earlier request with the same key. */
  readonly born?: PetOrderRow;
  readonly replayed: boolean;
}

/**
 * Allots id and number. A number that the client gave is claimed, and so is what a key stands for;
 * a request with neither leaves no trace until it has its pet.
 */
async function allot(
  context: OrdersContext,
  { id: given = 0, petId }: PlaceOrder,
  idempotency: IdempotencyKey | undefined,
): Promise<Allotted> {
  const number = given === 0 ? await context.nextNumber() : given;
  const claim: Claim = { order_id: newId(), number, pet_id: petId };
  if (given === 0 && idempotency === undefined) return { claim, replayed: false };
  for (let turn = 0; turn < RESUME_TURNS; turn++) {
    const kept = await claimOnce(context, claim, idempotency);
    if (kept === undefined || idempotency === undefined) return { claim, replayed: false };
    if (kept.response !== UNDECIDED.response) {
      const born = await findPetOrderById(context.db, kept.response);
      if (born === undefined) throw new Error(`the order ${kept.response} of a key is gone`);
      return { claim, born, replayed: true };
    }
    // The request is under way, or was lost with its process: the same reservation is asked for.
    const known = await findClaimOfKey(context.db, idempotency.scope, idempotency.key);
    if (known !== undefined) return { claim: known, replayed: true };
    // It has just ended: the key says how.
  }
  throw new Refusal(409, 'request_in_progress', 'The first request is just ending.', {
    headers: { 'retry-after': '1' },
  });
}

const RESUME_TURNS = 3;

/** Claims number and key, or returns what the key stands for. */
function claimOnce(
  { db }: OrdersContext,
  claim: Claim,
  idempotency: IdempotencyKey | undefined,
): Promise<KeptAnswer | undefined> {
  return db.transaction(async (tx) => {
    const known = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (known !== undefined) return known;
    if (!(await claimNumber(tx, claim, idempotency)))
      throw new Refusal(409, 'order_id_in_use', `There is an order ${claim.number} already.`);
    if (idempotency !== undefined) await keepAnswer(tx, idempotency, UNDECIDED);
    return undefined;
  });
}

/** Asks pets for the pet. What is refused leaves nothing claimed. */
async function reserve(
  context: OrdersContext,
  { order_id, number, pet_id }: Claim,
  deadline: Deadline,
  wishes: Pick<ReserveRequest, 'customer_id' | 'quantity' | 'ship_date'>,
): Promise<void> {
  const body: ReserveRequest = {
    reservation_id: order_id,
    order_id,
    order_number: number,
    ...wishes,
  };
  const call = { method: 'POST', path: `/internal/pets/${pet_id}/reserve`, body } as const;
  try {
    await context.client.call('pets', { ...call, idempotent: true }, deadline);
    if (await failpoint('orders.place.asked'))
      await context.client.call('pets', { ...call, idempotent: true }, deadline);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await dropClaim(context.db, order_id);
    placed.inc({ outcome: 'refused' });
    if (error.status === 409)
      throw new Refusal(409, 'pet_not_available', 'Somebody else has this pet.');
    throw new Refusal(422, 'pet_not_found', 'There is no such pet.', {
      faults: [{ pointer: '/petId', detail: 'is not the id of a pet' }],
    });
  }
}

const POLL_MS = 50;

/** The order may be created by another process: those who wait here ask together. */
async function waitForArrival(context: OrdersContext, id: string): Promise<boolean> {
  const end = monotonicMs() + ARRIVAL_MS;
  const { signal } = new AbortController();
  for (;;) {
    const woken = waitForWake(arrivalOf(id), POLL_MS, signal);
    if (await context.hasArrived(id)) return true;
    if (monotonicMs() >= end) return false;
    await woken;
  }
}

/** The order if the caller may see it and it was not cancelled; otherwise there is none (404). */
export async function visiblePetOrder(
  context: OrdersContext,
  identity: Identity,
  number: number,
): Promise<PetOrderRow> {
  const row = await findPetOrder(context.db, number);
  const foreign = !isStaff(identity) && row?.customer_id !== identity.subject;
  if (row === undefined || row.status === 'CANCELLED' || foreign)
    throw new Refusal(404, 'order_not_found', 'There is no such order.');
  return row;
}

/** Cancels an order; its event releases the pet. */
export async function deletePetOrder(
  context: OrdersContext,
  identity: Identity,
  number: number,
): Promise<void> {
  const { id } = await visiblePetOrder(context, identity, number);
  await cancelOrder(context, identity, id, null, undefined);
}

/** The order as it was when it was placed: what a repeated request is told. */
function asPlaced(row: PetOrderRow): StoreOrder {
  return renderStoreOrder({ ...row, status: 'PENDING' });
}

const SWEEP_BATCH = 100;

/** Cancels orders that nobody approved in time, which releases their pets. */
export async function cancelOverdue({ db }: OrdersContext): Promise<void> {
  for (;;) {
    const ids = await listOverdue(db, SWEEP_BATCH);
    if (ids.length === 0) return;
    await db.transaction(async (tx) => {
      const changes = (await lockOrders(tx, ids)).flatMap((row) => {
        const change = row.status === 'PENDING' ? afterCancel(stateOf(row)) : undefined;
        const reason = 'not approved in time';
        return change === undefined
          ? []
          : [{ row, change, attempts: row.payment_attempts, reason }];
      });
      await applyChanges(tx, changes);
      await forgetExpiry(tx, ids);
      await failpoint('orders.expire.before_commit');
    });
  }
}

/**
 * Settles claims whose order did not come: pets knows by the reservation's id. What it holds, or
 * held, will be an order when its event comes; what it does not know is forbidden, and given up.
 */
export async function settleClaims(context: OrdersContext): Promise<void> {
  for (const { order_id, pet_id } of await takeDueClaims(context.db, SWEEP_BATCH)) {
    const deadline = deadlineIn(10_000);
    try {
      if (await isReserved(context, order_id, deadline)) continue;
      const path = `/internal/pets/${pet_id}/release`;
      const body = { reservation_id: order_id };
      await context.client.call('pets', { method: 'POST', path, body, idempotent: true }, deadline);
    } catch (error) {
      if (error instanceof Outage) return;
      // There is no such pet, so nothing can hold it.
      if (!(error instanceof Refusal)) throw error;
    }
    await dropClaim(context.db, order_id);
  }
}

async function isReserved(
  { client }: OrdersContext,
  id: string,
  deadline: Deadline,
): Promise<boolean> {
  const path = `/internal/pets/reservations/${id}`;
  try {
    const known = await client.call<Reservation>(
      'pets',
      { method: 'GET', path, idempotent: true },
      deadline,
    );
    return known.order_id !== null;
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return false;
    throw error;
  }
}
