/** The owner's steps: approve, deliver, complete. */
import { route, type Route } from '@waybill/kit/route.ts';
import type { OrdersContext } from './context.ts';
import { Order, OrderPath } from './contract.ts';
import { takeStep } from './owner.ts';
import type { Step } from './rules.ts';

const steps = [
  {
    step: 'approve',
    summary: 'Approve an order that has nothing to pay.',
    refusal: '409 not_approvable',
    when: 'it was approved before, is over, or its payment decides',
  },
  {
    step: 'deliver',
    summary: 'Say that an order was delivered.',
    refusal: '409 not_deliverable',
    when: 'it is not confirmed yet, or is over',
  },
  {
    step: 'complete',
    summary: 'Close an order.',
    refusal: '409 not_completable',
    when: 'there is still something to be done, or it is over',
  },
] as const satisfies readonly { step: Step; summary: string; refusal: string; when: string }[];

export const ownerRoutes: readonly Route<OrdersContext>[] = steps.map(
  ({ step, summary, refusal, when }) =>
    route({
      method: 'POST',
      path: `/api/v1/orders/{id}/${step}`,
      access: ['operator', 'admin'],
      summary,
      params: OrderPath,
      idempotent: true,
      replies: { 200: Order },
      refusals: { '404 order_not_found': 'there is none', [refusal]: when },
      async handle({ identity, params, idempotency }, context: OrdersContext) {
        const { order, replayed } = await takeStep(context, identity, params.id, step, idempotency);
        return {
          status: 200,
          body: order,
          headers: replayed ? { 'idempotent-replayed': 'true' } : {},
        };
      },
    }),
);
