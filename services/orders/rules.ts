/**
 * The lifecycle of an order (spec chapter 0.1): one table, and pure functions over it.
 */
import { assert, Refusal } from '@waybill/kit/errors.ts';
import { currencyExponent, MAX_AMOUNT_MINOR, toMinor } from '@waybill/kit/money.ts';
import type { CreateOrder, OrderEventType, OrderStatus, PaymentStatus } from './contract.ts';

/** Where an order may go from where it is. */
export const TRANSITIONS = {
  PENDING: ['PAYMENT_PROCESSING', 'CONFIRMED', 'CANCELLED'],
  PAYMENT_PROCESSING: ['CONFIRMED', 'PAYMENT_FAILED', 'CANCELLED'],
  CONFIRMED: ['IN_FULFILLMENT', 'DELIVERED', 'COMPLETED', 'CANCELLED'],
  PAYMENT_FAILED: [],
  IN_FULFILLMENT: ['SHIPPED', 'DELIVERED', 'CANCELLED'],
  SHIPPED: ['DELIVERED', 'IN_FULFILLMENT'],
  DELIVERED: ['COMPLETED', 'RETURNED'],
  COMPLETED: ['RETURNED'],
  RETURNED: [],
  CANCELLED: [],
} as const satisfies Record<OrderStatus, readonly OrderStatus[]>;

/** What the rules look at. */
export interface OrderState {
  readonly status: OrderStatus;
  readonly paymentStatus: PaymentStatus;
  readonly cancelRequested: boolean;
}

/** A change of state with the event that tells it. */
export interface Change {
  readonly status: OrderStatus;
  readonly paymentStatus: PaymentStatus;
  readonly cancelRequested: boolean;
  readonly event: OrderEventType;
}

export function mayMove(from: OrderStatus, to: OrderStatus): boolean {
  return (TRANSITIONS[from] as readonly OrderStatus[]).includes(to);
}

/** What the payments service tells about an order's payment. */
export type PaymentNews =
  | 'STARTED'
  | 'ATTEMPT_FAILED'
  | 'CAPTURED'
  | 'FAILED'
  | 'VOIDED'
  | 'REFUNDED';

/** What news of the payment does to an order; undefined when it changes nothing. */
export function afterPayment(order: OrderState, news: PaymentNews): Change | undefined {
  const stay = (paymentStatus: PaymentStatus): Change => ({
    ...order,
    paymentStatus,
    event: 'ORDER_PAYMENT_UPDATED',
  });
  const unsettled = order.status === 'PENDING' || order.status === 'PAYMENT_PROCESSING';
  switch (news) {
    case 'STARTED':
      return order.status === 'PENDING'
        ? { ...order, status: 'PAYMENT_PROCESSING', event: 'ORDER_PAYMENT_PROCESSING' }
        : undefined;
    case 'ATTEMPT_FAILED':
      return stay(order.paymentStatus);
    case 'CAPTURED':
      if (!unsettled) return stay('CAPTURED');
      return order.cancelRequested
        ? { ...order, status: 'CANCELLED', paymentStatus: 'CAPTURED', event: 'ORDER_CANCELLED' }
        : { ...order, status: 'CONFIRMED', paymentStatus: 'CAPTURED', event: 'ORDER_CONFIRMED' };
    case 'FAILED':
      if (!unsettled) return stay('FAILED');
      // The table knows no way from PENDING to PAYMENT_FAILED: a payment is begun, then fails.
      assert(order.status !== 'PENDING', 'a payment failed that was never begun');
      return order.cancelRequested
        ? { ...order, status: 'CANCELLED', paymentStatus: 'FAILED', event: 'ORDER_CANCELLED' }
        : {
            ...order,
            status: 'PAYMENT_FAILED',
            paymentStatus: 'FAILED',
            event: 'ORDER_PAYMENT_FAILED',
          };
    case 'VOIDED':
      return unsettled
        ? { ...order, status: 'CANCELLED', paymentStatus: 'NOT_REQUIRED', event: 'ORDER_CANCELLED' }
        : stay('NOT_REQUIRED');
    case 'REFUNDED':
      return stay('REFUNDED');
  }
}

/**
 * What a cancellation does now. While a charge may be under way it is only recorded, and carried
 * out once the charge is known. Undefined when there is nothing left to do.
 */
export function afterCancel(order: OrderState): Change | undefined {
  if (order.status === 'CANCELLED') return undefined;
  if (order.status === 'PAYMENT_PROCESSING')
    return order.cancelRequested
      ? undefined
      : { ...order, cancelRequested: true, event: 'ORDER_CANCEL_REQUESTED' };
  if (!mayMove(order.status, 'CANCELLED'))
    throw new Refusal(
      409,
      'not_cancellable',
      `An order that is ${order.status} cannot be cancelled.`,
    );
  return { ...order, status: 'CANCELLED', cancelRequested: true, event: 'ORDER_CANCELLED' };
}

export interface PricedItem {
  readonly item_id: string;
  readonly item_name: string;
  readonly quantity: number;
  readonly unit_minor: number;
}

export interface Priced {
  readonly items: readonly PricedItem[];
  readonly totalMinor: number;
  readonly exponent: number;
}

/** Prices the lines exactly, in minor units; refuses with every fault it finds. */
export function priceOrder(request: CreateOrder, currency: string): Priced {
  const exponent = currencyExponent(currency);
  if (exponent === undefined)
    throw unprocessable([{ pointer: '/currency', detail: 'must be an ISO 4217 code in use' }]);
  const faults: { pointer: string; detail: string }[] = [];
  const items: PricedItem[] = [];
  let total = 0n;
  for (let index = 0; index < request.items.length; index++) {
    const { item_id, item_name, quantity, price } = request.items[index] as CreateOrder['items'][0];
    const unit = toMinor(price, exponent);
    if (typeof unit === 'string') {
      faults.push({ pointer: `/items/${index}/price`, detail: unit });
      continue;
    }
    total += unit * BigInt(quantity);
    items.push({
      item_id: item_id.normalize('NFC'),
      item_name,
      quantity,
      unit_minor: Number(unit),
    });
  }
  if (total > MAX_AMOUNT_MINOR)
    faults.push({ pointer: '/items', detail: 'the total is out of range' });
  if (faults.length > 0) throw unprocessable(faults);
  return { items, totalMinor: Number(total), exponent };
}

function unprocessable(faults: readonly { pointer: string; detail: string }[]): Refusal {
  return new Refusal(422, 'invalid_body', 'The order cannot be priced; see errors.', { faults });
}
