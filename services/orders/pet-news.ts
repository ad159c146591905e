/** What orders follows of pets: a reservation creates its order; without a pet there is none. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { timeOfId } from '@waybill/kit/ids.ts';
import type { Json } from '@waybill/kit/json.ts';
import { wake } from '@waybill/kit/wake.ts';
import type { PetReserved, PetSettled } from '@waybill/pets/contract.ts';
import { arrivalOf } from './arrivals.ts';
import { applyChanges, stateOf } from './commands.ts';
import type { OrdersContext } from './context.ts';
import type { OrderCreated } from './contract.ts';
import { fulfilClaims, insertPetOrders, type Birth } from './petstore-store.ts';
import { afterCancel, mayMove } from './rules.ts';
import { lockOrders } from './store.ts';

/** The reservation is made: its order is born, whatever became of the request that asked for it. */
async function bear(tx: Tx, events: readonly CloudEvent[], context: OrdersContext): Promise<void> {
  const { defaultCurrency, reservationTtlSeconds } = context.settings;
  const births = events.map((event): Birth => {
    const told = event.data as unknown as PetReserved;
    return {
      id: told.order_id,
      number: told.order_number,
      customer_id: told.customer_id,
      currency: defaultCurrency,
      pet_id: told.pet_id,
      pet_name: told.name,
      quantity: told.quantity,
      ship_date: told.ship_date,
      created_at: new Date(timeOfId(told.order_id)).toISOString(),
      reserved_at: event.time,
    };
  });
  const born = await insertPetOrders(tx, births, reservationTtlSeconds);
  const created = births.flatMap((birth) => {
    const number = born.get(birth.id);
    return number === undefined ? [] : [eventOf({ ...birth, number })];
  });
  await emit(tx, 'orders', created);
  await fulfilClaims(tx, [...born.keys()]);
  tx.onCommit(() => {
    for (const id of born.keys()) wake(arrivalOf(id));
  });
}

function eventOf({ id, number, customer_id, currency, pet_id, quantity }: Birth) {
  const data: OrderCreated = {
    order_id: id,
    number,
    channel: 'petstore',
    customer_id,
    currency,
    total_minor: 0,
    from: null,
    to: 'PENDING',
    payment: { method: 'none', token: null },
    items: [{ item_id: String(pet_id), quantity, unit_minor: 0 }],
  };
  return { key: id, version: 1, type: 'ORDER_CREATED', data: data as unknown as Json };
}

/** Usually because the order was cancelled. If not, it is now: it has no pet. */
async function endWithoutPet(tx: Tx, events: readonly CloudEvent[]): Promise<void> {
  const ids = events.flatMap((event) => (event.data as unknown as PetSettled).order_id ?? []);
  const changes = (await lockOrders(tx, ids)).flatMap((row) => {
    const change = mayMove(row.status, 'CANCELLED') ? afterCancel(stateOf(row)) : undefined;
    const reason = 'the pet was released';
    return change === undefined ? [] : [{ row, change, attempts: row.payment_attempts, reason }];
  });
  await applyChanges(tx, changes);
}

export const petNews: ConsumerDefinition<OrdersContext> = {
  topic: 'pets',
  handlers: { PET_RESERVED: bear, PET_RELEASED: endWithoutPet },
};
