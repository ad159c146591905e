/** What the pets service follows: approved orders, and cancelled ones. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import type { Tx } from '@waybill/kit/db.ts';
import type { PetsContext } from './context.ts';
import { settleOrders } from './reservations.ts';

/** Orders of other doors hold no pet, and so change nothing here. */
function follow(outcome: 'sold' | 'released') {
  return (tx: Tx, events: readonly CloudEvent[]): Promise<void> =>
    settleOrders(
      tx,
      events.map((event) => event.key),
      outcome,
    );
}

export const orderNews: ConsumerDefinition<PetsContext> = {
  topic: 'orders',
  restMs: 100,
  handlers: { ORDER_CONFIRMED: follow('sold'), ORDER_CANCELLED: follow('released') },
};
