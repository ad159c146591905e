/** What dispatch follows: orders that end, and orders that change. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { ConsumerDefinition, HandleEvents } from '@waybill/kit/consumer.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { enqueue } from '@waybill/kit/tasks.ts';
import type { OrderEventType } from '@waybill/orders/contract.ts';
import type { DispatchContext } from './context.ts';
import { endOrders } from './store.ts';
import { REPRICE } from './tasks.ts';

function ended(status: string) {
  return (tx: Tx, events: readonly CloudEvent[]): Promise<void> =>
    endOrders(
      tx,
      events.map((event) => event.key),
      status,
    );
}

/** Asking the sources is no business of this transaction. */
async function changed(tx: Tx, events: readonly CloudEvent[]): Promise<void> {
  await enqueue(
    tx,
    events.map(({ key, version }) => ({
      kind: REPRICE,
      key: `${key}:${version}`,
      payload: { order_id: key },
    })),
  );
}

/**
 * Chapter D fixes what they mean here, while orders that change or come back are the business of
 * chapter E, of which orders tells nothing so far; every other name is one that orders declares.
 */
type OtherNews = 'ORDER_UPDATED' | 'ORDER_RETURNED';

type Handlers = Partial<Record<OrderEventType | OtherNews, HandleEvents<DispatchContext>>>;

export const orderNews: ConsumerDefinition<DispatchContext> = {
  topic: 'orders',
  restMs: 100,
  handlers: {
    ORDER_CANCELLED: ended('CANCELLED'),
    ORDER_PAYMENT_FAILED: ended('PAYMENT_FAILED'),
    ORDER_DELIVERED: ended('DELIVERED'),
    ORDER_COMPLETED: ended('COMPLETED'),
    ORDER_RETURNED: ended('RETURNED'),
    ORDER_UPDATED: changed,
  } satisfies Handlers,
};
