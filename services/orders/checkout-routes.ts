/** Door B: check out, read, list, cancel. */
import { Refusal } from '@waybill/kit/errors.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { cancelCheckout, checkOut } from './checkout.ts';
import {
  Checkout,
  CHECKOUT_PATH,
  CheckoutList,
  CheckoutQuery,
  CreateCheckout,
} from './checkout-contract.ts';
import { visibleOrder } from './commands.ts';
import type { OrdersContext } from './context.ts';
import { OrderPath } from './contract.ts';
import { renderCheckout } from './store.ts';
import { listOrders } from './views.ts';

const everybody = ['customer', 'operator', 'admin', 'service'] as const;
const notFound = { '404 order_not_found': 'there is none that the caller may see' };

export const checkoutRoutes: readonly Route<OrdersContext>[] = [
  route({
    method: 'POST',
    path: CHECKOUT_PATH,
    access: everybody,
    summary: "Order and pay from the wallet; the answer carries the payment's outcome.",
    description:
      'NEW in the answer: the outcome is not known yet, and the order settles by itself. With ' +
      '`Prefer: respond-async` it answers 202 as soon as the order is stored.',
    body: CreateCheckout,
    idempotent: true,
    replies: { 200: Checkout, 202: Checkout },
    refusals: {
      '403 foreign_customer': 'a customer named somebody else',
      '422 invalid_body':
        'also: a totalCost below the sum of the positions, more decimals than the currency has',
      '422 price_not_trusted': "PRICES=catalog does not take a customer's prices",
    },
    async handle({ identity, body, idempotency, headers, deadline }, context: OrdersContext) {
      const async = prefersAsync(headers['prefer']);
      const done = await checkOut(context, identity, body, { idempotency, async, deadline });
      return { status: done.status, body: done.body, headers: headersOf(done.replayed, async) };
    },
  }),
  route({
    method: 'GET',
    path: CHECKOUT_PATH,
    access: everybody,
    summary: "The caller's orders, newest first.",
    query: CheckoutQuery,
    replies: { 200: CheckoutList },
    refusals: {
      '403 foreign_customer': 'a customer named somebody else',
      '422 invalid_cursor': 'the cursor belongs to another list',
      '422 page_too_deep': 'go on by cursor',
    },
    async handle({ identity, query: { username, ...paging } }, context: OrdersContext) {
      refuseForeign(identity, username);
      const whose = username === undefined ? {} : { customer_id: username };
      const list = await listOrders(
        context.db,
        context.key('cursor'),
        identity,
        { ...whose, ...paging },
        renderCheckout,
      );
      return { status: 200, body: list.orders, headers: linkOf(list.next_cursor, username) };
    },
  }),
  route({
    method: 'GET',
    path: `${CHECKOUT_PATH}/{id}`,
    access: everybody,
    summary: 'One order, by number or id, as the checkout shows it.',
    params: OrderPath,
    replies: { 200: Checkout },
    refusals: notFound,
    async handle({ identity, params }, context: OrdersContext) {
      return {
        status: 200,
        body: renderCheckout(await visibleOrder(context, identity, params.id)),
      };
    },
  }),
  route({
    method: 'DELETE',
    path: `${CHECKOUT_PATH}/{id}`,
    access: everybody,
    summary: 'Cancel an order and refund it.',
    description:
      'While a charge is under way the answer is 202, and the order is cancelled after it.',
    params: OrderPath,
    replies: { 200: Checkout, 202: Checkout },
    refusals: { ...notFound, '409 not_cancellable': 'it is too late' },
    handle: ({ identity, params }, context: OrdersContext) =>
      cancelCheckout(context, identity, params.id),
  }),
];

function refuseForeign(identity: Identity, username: string | undefined): void {
  if (username === undefined || isStaff(identity)) return;
  if (username.normalize('NFC') !== identity.subject)
    throw new Refusal(403, 'foreign_customer', 'username must be your own.');
}

/** RFC 7240. */
function prefersAsync(header: string | string[] | undefined): boolean {
  return /(^|,)\s*respond-async\s*($|[,;])/i.test(String(header ?? ''));
}

function headersOf(replayed: boolean, async: boolean): Record<string, string> {
  return {
    ...(replayed ? { 'idempotent-replayed': 'true' } : {}),
    ...(async ? { 'preference-applied': 'respond-async' } : {}),
  };
}

/** RFC 8288. */
function linkOf(cursor: string | null, username: string | undefined): Record<string, string> {
  if (cursor === null) return {};
  const query = new URLSearchParams({ ...(username === undefined ? {} : { username }), cursor });
  return { link: `<${CHECKOUT_PATH}?${query.toString()}>; rel="next"` };
}
