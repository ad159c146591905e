/** Callbacks of providers, and a look at an order's payment. */
import { Refusal } from '@waybill/kit/errors.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { Type } from '@waybill/kit/schema.ts';
import { chargeNow } from './checkout.ts';
import { receiveCallback } from './commands.ts';
import type { PaymentsContext } from './context.ts';
import { ChargeNow, Payment, PaymentPath } from './contract.ts';
import { findPayment, readAttempts, renderPayment } from './store.ts';

export const routes: readonly Route<PaymentsContext>[] = [
  route({
    method: 'GET',
    path: '/api/v1/payments/{order_id}',
    access: ['operator', 'admin', 'service'],
    summary: "An order's payment with its attempts.",
    params: PaymentPath,
    replies: { 200: Payment },
    refusals: { '404 payment_not_found': 'the order has none (yet)' },
    async handle({ params }, { db }: PaymentsContext) {
      const row = await findPayment(db, params.order_id);
      if (row === undefined)
        throw new Refusal(404, 'payment_not_found', 'The order has no payment (yet).');
      const attempts = await readAttempts(db, params.order_id);
      return { status: 200, body: renderPayment(row, attempts) };
    },
  }),
  route({
    method: 'POST',
    path: '/internal/payments/charges',
    access: ['service'],
    internal: true,
    summary: "Charge the customer's wallet while the caller waits; a repeat joins.",
    body: ChargeNow,
    replies: { 200: { description: 'Where the payment stands: settled, or still open.' } },
    refusals: { '409 payment_differs': 'the order has a payment of another amount' },
    async handle({ body, deadline }, context: PaymentsContext) {
      return { status: 200, body: await chargeNow(context, body, deadline) };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/payments/callbacks',
    access: 'public',
    summary: "The provider's signed news of a charge.",
    description:
      'The signature over the raw body is what is believed: `Sandbox-Signature`, or ' +
      '`Stripe-Signature`. Every event id is taken once, for ever.',
    body: Type.Object({}, { additionalProperties: true }),
    rawBody: true,
    replies: { 200: Type.Object({ received: Type.Boolean() }, { description: 'Taken.' }) },
    refusals: { '401 invalid_signature': 'forged, or older than five minutes' },
    async handle({ headers, rawBody }, context: PaymentsContext) {
      const callback = context.card.provider.readCallback(headers, rawBody ?? Buffer.alloc(0));
      await context.db.transaction(async (tx) => {
        await receiveCallback(tx, context, callback);
        await failpoint('payments.callback.before_commit');
      });
      await failpoint('payments.callback.after_commit');
      return { status: 200, body: { received: true } };
    },
  }),
];
