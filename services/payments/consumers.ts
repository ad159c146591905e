/** What the payments service follows: orders that are to be charged, and cancellations. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import type { Tx } from '@waybill/kit/db.ts';
import type { OrderCreated } from '@waybill/orders/contract.ts';
import { cancelPayments, openPayments } from './commands.ts';
import type { PaymentsContext } from './context.ts';

async function open(tx: Tx, events: readonly CloudEvent[], context: PaymentsContext) {
  const payments = events.map((event) => {
    const order = event.data as unknown as OrderCreated;
    return {
      order_id: order.order_id,
      amount_minor: order.total_minor,
      currency: order.currency,
      token: order.payment.token,
      customer_id: order.customer_id,
      provider: order.payment.method === 'wallet' ? 'wallet' : context.card.provider.name,
      hold_ms: order.payment.hold_ms ?? 0,
    };
  });
  await openPayments(
    tx,
    context,
    payments.filter((payment) => payment.amount_minor > 0),
  );
}

async function cancel(tx: Tx, events: readonly CloudEvent[], context: PaymentsContext) {
  await cancelPayments(
    tx,
    context,
    events.map((event) => event.key),
  );
}

export const orderNews: ConsumerDefinition<PaymentsContext> = {
  topic: 'orders',
  handlers: {
    ORDER_CREATED: open,
    ORDER_CANCEL_REQUESTED: cancel,
    ORDER_CANCELLED: cancel,
  },
};
