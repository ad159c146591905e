/**
 * The lifecycle of an order (spec chapter 0.1): one table, and pure functions over it.
 */
import { assert, invalidBody, Refusal } from '@waybill/kit/errors.ts';
import { currencyExponent, MAX_AMOUNT_MINOR, toMajor, toMinor } from '@waybill/kit/money.ts';
import type { CheckoutStatus, CreateCheckout } from './checkout-contract.ts';
import type {
  CreateOrder,
  FulfillmentStatus,
  OrderEventType,
  OrderStatus,
  PaymentStatus,
} from './contract.ts';
import type { StoreOrder } from './petstore-contract.ts';

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
  /** Absent: as it was. */
  readonly fulfillmentStatus?: FulfillmentStatus;
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

/** What dispatch tells about the carrying of an order. */
export type CarryingNews = 'ASSIGNED' | 'PICKED_UP' | 'DELIVERED' | 'FAILED';

const CARRIED = {
  ASSIGNED: 'IN_PROGRESS',
  PICKED_UP: 'SHIPPED',
  DELIVERED: 'DELIVERED',
  FAILED: 'IN_PROGRESS',
} as const satisfies Record<CarryingNews, FulfillmentStatus>;

/**
 * What news of the carrying does to an order, step by step; empty when it changes nothing. An order
 * that is not paid yet only notes how far its goods are, and its confirmation catches up.
 */
export function afterCarrying(
  order: OrderState,
  known: FulfillmentStatus,
  news: CarryingNews,
): readonly Change[] {
  const fulfillmentStatus = CARRIED[news];
  if (order.status === 'PENDING' || order.status === 'PAYMENT_PROCESSING')
    return known === fulfillmentStatus
      ? []
      : [{ ...order, fulfillmentStatus, event: 'ORDER_FULFILLMENT_UPDATED' }];
  if (news === 'FAILED')
    return order.status === 'SHIPPED'
      ? [{ ...order, status: 'IN_FULFILLMENT', fulfillmentStatus, event: 'ORDER_IN_FULFILLMENT' }]
      : [];
  return towards(order, fulfillmentStatus);
}

/** The steps from where an order is to where its goods are. */
export function towards(order: OrderState, goods: FulfillmentStatus): readonly Change[] {
  const begun: Change = {
    ...order,
    status: 'IN_FULFILLMENT',
    fulfillmentStatus: 'IN_PROGRESS',
    event: 'ORDER_IN_FULFILLMENT',
  };
  switch (goods) {
    case 'IN_PROGRESS':
      return mayMove(order.status, 'IN_FULFILLMENT') && order.status !== 'SHIPPED' ? [begun] : [];
    case 'SHIPPED': {
      const shipped = { status: 'SHIPPED', fulfillmentStatus: goods } as const;
      if (order.status === 'CONFIRMED')
        return [begun, { ...order, ...shipped, event: 'ORDER_SHIPPED' }];
      return mayMove(order.status, 'SHIPPED')
        ? [{ ...order, ...shipped, event: 'ORDER_SHIPPED' }]
        : [];
    }
    case 'DELIVERED':
      return mayMove(order.status, 'DELIVERED')
        ? [{ ...order, status: 'DELIVERED', fulfillmentStatus: goods, event: 'ORDER_DELIVERED' }]
        : [];
    case 'UNFULFILLED':
    case 'RETURNED':
      return [];
  }
}

const STEPS = {
  approve: {
    to: 'CONFIRMED',
    event: 'ORDER_CONFIRMED',
    refusal: 'not_approvable',
    done: 'approved',
  },
  deliver: {
    to: 'DELIVERED',
    event: 'ORDER_DELIVERED',
    refusal: 'not_deliverable',
    done: 'delivered',
  },
  complete: {
    to: 'COMPLETED',
    event: 'ORDER_COMPLETED',
    refusal: 'not_completable',
    done: 'completed',
  },
} as const;

/** What the owner of the shop does with an order. */
export type Step = keyof typeof STEPS;

/** What a step of the owner does; refused where the order is not at it. */
export function afterStep(order: OrderState, step: Step): Change {
  const { to, event, refusal, done } = STEPS[step];
  if (step === 'approve' && order.paymentStatus !== 'NOT_REQUIRED')
    throw new Refusal(409, refusal, 'An order that must be paid is confirmed by its payment.');
  if (!mayMove(order.status, to))
    throw new Refusal(409, refusal, `An order that is ${order.status} cannot be ${done}.`);
  const delivered = to === 'DELIVERED' ? { fulfillmentStatus: to } : {};
  return { ...order, ...delivered, status: to, event };
}

/** Where an order stands in the petstore's words; a cancelled one is not shown at all. */
export function petstoreStatusOf(status: OrderStatus): Pick<StoreOrder, 'status' | 'complete'> {
  switch (status) {
    case 'CONFIRMED':
    case 'IN_FULFILLMENT':
    case 'SHIPPED':
      return { status: 'approved', complete: false };
    case 'DELIVERED':
      return { status: 'delivered', complete: false };
    case 'COMPLETED':
    case 'RETURNED':
      return { status: 'delivered', complete: true };
    default:
      return { status: 'placed', complete: false };
  }
}

/** A date of shipping in UTC. A leap second, or a year that is a slip of the pen, is refused. */
export function shipDateOf(text: string | undefined): string | null {
  if (text === undefined) return null;
  const moment = new Date(text);
  const year = moment.getUTCFullYear();
  if (!(year >= 1900 && year <= 9999))
    throw invalidBody([
      { pointer: '/shipDate', detail: 'must be a moment of the years 1900 to 9999' },
    ]);
  return moment.toISOString();
}

export interface PricedItem {
  readonly item_id: string;
  readonly item_name: string;
  readonly quantity: number;
  readonly unit_minor: number;
  /** The product's id where the checkout's client gave a number. */
  readonly product_id?: number;
  /** What the given total exceeds the lines by: no product. */
  readonly adjustment?: true;
}

export interface Priced {
  readonly items: readonly PricedItem[];
  readonly totalMinor: number;
  readonly exponent: number;
}

/** Where the lines of a checkout are in its body. */
const POSITIONS = '/orderPositions';

/** Prices the lines exactly, in minor units; refuses with every fault it finds. */
export function priceOrder(request: CreateOrder, currency: string, list = '/items'): Priced {
  const exponent = currencyExponent(currency);
  if (exponent === undefined)
    throw invalidBody([{ pointer: '/currency', detail: 'must be an ISO 4217 code in use' }]);
  const faults: { pointer: string; detail: string }[] = [];
  const items: PricedItem[] = [];
  let total = 0n;
  for (let index = 0; index < request.items.length; index++) {
    const { item_id, item_name, quantity, price } = request.items[index] as CreateOrder['items'][0];
    const unit = toMinor(price, exponent);
    if (typeof unit === 'string') {
      faults.push({ pointer: `${list}/${index}/price`, detail: unit });
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
  if (total > MAX_AMOUNT_MINOR) faults.push({ pointer: list, detail: 'the total is out of range' });
  if (faults.length > 0) throw invalidBody(faults);
  return { items, totalMinor: Number(total), exponent };
}

/**
 * Prices a checkout (spec chapter B). Its total may exceed the lines (delivery, a tip): the rest
 * becomes a line of its own. Below the sum it is believed only where `trusted` says so.
 */
export function priceCheckout(request: CreateCheckout, currency: string, trusted: boolean): Priced {
  const items = request.orderPositions.map(({ productId, price, quantity }) => ({
    item_id: String(productId),
    item_name: String(productId),
    quantity,
    price,
  }));
  const priced = priceOrder({ customer_id: request.username, items }, currency, POSITIONS);
  const total = toMinor(request.totalCost, priced.exponent);
  if (typeof total === 'string') throw invalidBody([{ pointer: '/totalCost', detail: total }]);
  const excess = Number(total) - priced.totalMinor;
  if (excess < 0 && !trusted) {
    const sum = toMajor(priced.totalMinor, priced.exponent);
    const detail = `must be at least ${sum}, the sum of the positions`;
    throw invalidBody([{ pointer: '/totalCost', detail }]);
  }
  const lines: PricedItem[] = priced.items.map((item, index) => {
    const given = request.orderPositions[index]?.productId;
    return typeof given === 'number' ? { ...item, product_id: given } : item;
  });
  if (excess !== 0)
    lines.push({
      item_id: 'adjustment',
      item_name: 'Adjustment',
      quantity: 1,
      unit_minor: excess,
      adjustment: true,
    });
  return { items: lines, totalMinor: Number(total), exponent: priced.exponent };
}

/** How the checkout names where an order stands (spec chapter 0.1). */
export function checkoutStatusOf(status: OrderStatus, failure: string | null): CheckoutStatus {
  if (status === 'PAYMENT_FAILED')
    return failure === 'insufficient_funds' ? 'INSUFFICIENT_FUNDS' : 'FAILED';
  return CHECKOUT_STATUS[status];
}

const CHECKOUT_STATUS = {
  PENDING: 'NEW',
  PAYMENT_PROCESSING: 'NEW',
  CONFIRMED: 'PAID',
  IN_FULFILLMENT: 'IN_PROGRESS',
  SHIPPED: 'IN_PROGRESS',
  DELIVERED: 'DONE',
  COMPLETED: 'DONE',
  RETURNED: 'DONE',
  CANCELLED: 'CANCELED',
} as const satisfies Record<Exclude<OrderStatus, 'PAYMENT_FAILED'>, CheckoutStatus>;

/** Every change that the answer to a charge makes of an order, in order. */
export function afterCharge(order: OrderState, news: PaymentNews): readonly Change[] {
  const begun = afterPayment(order, 'STARTED');
  const settled = afterPayment(begun ?? order, news);
  return [begun, settled].filter((change) => change !== undefined);
}
