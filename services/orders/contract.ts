/**
 * Orders: the one order table of the platform, and the door of chapter A.
 *
 * An *order* is what a customer asked for; it moves through the lifecycle of rules.ts. Its *number*
 * is for people, its *id* for programs; both find it.
 */
import {
  Amount,
  Identifier,
  Moment,
  Nullable,
  OneOf,
  Text,
  Timestamp,
  Type,
  matching,
  pageReply,
  pagingQuery,
  type Static,
} from '@waybill/kit/schema.ts';

/** By which name and prefixes the gateway finds the service. */
export const ordersService = {
  name: 'orders',
  paths: ['/api/v1/orders', '/api/v1/order', '/api/v3/store/order'],
} as const;

export const ORDER_STATUSES = [
  'PENDING',
  'PAYMENT_PROCESSING',
  'CONFIRMED',
  'PAYMENT_FAILED',
  'IN_FULFILLMENT',
  'SHIPPED',
  'DELIVERED',
  'COMPLETED',
  'RETURNED',
  'CANCELLED',
] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

export const PAYMENT_STATUSES = [
  'NOT_REQUIRED',
  'PENDING',
  'CAPTURED',
  'PARTIALLY_REFUNDED',
  'REFUNDED',
  'FAILED',
] as const;
export type PaymentStatus = (typeof PAYMENT_STATUSES)[number];

export const FULFILLMENT_STATUSES = [
  'UNFULFILLED',
  'IN_PROGRESS',
  'SHIPPED',
  'DELIVERED',
  'RETURNED',
] as const;
export type FulfillmentStatus = (typeof FULFILLMENT_STATUSES)[number];

/** Through which door an order came. */
export const CHANNELS = ['delivery', 'checkout', 'petstore'] as const;
export type Channel = (typeof CHANNELS)[number];

const closed = { additionalProperties: false };
const EXAMPLE_ID = '019a0000-0000-7000-8000-000000000001';

export const CreateOrder = Type.Object(
  {
    customer_id: Identifier(128, { description: 'Whose order it is.', examples: ['customer_123'] }),
    items: Type.Array(
      Type.Object(
        {
          item_id: Identifier(128, { examples: ['item_001'] }),
          item_name: Text(300, { examples: ['Burger'] }),
          quantity: Type.Integer({ minimum: 1, maximum: 1_000_000, examples: [2] }),
          price: Type.Number({
            exclusiveMinimum: 0,
            maximum: 1_000_000_000,
            description: "Unit price in major units, with at most the currency's decimals.",
            examples: [12.99],
          }),
        },
        closed,
      ),
      { minItems: 1, maxItems: 500 },
    ),
    currency: Type.Optional(
      Type.String({
        ...matching('^[A-Z]{3}$', 'be an ISO 4217 code such as USD'),
        description: 'ISO 4217; default DEFAULT_CURRENCY.',
        examples: ['USD'],
      }),
    ),
    reference: Type.Optional(
      Text(200, { description: "The caller's own text.", examples: ['table 12'] }),
    ),
    payment: Type.Optional(
      Type.Object(
        {
          method: OneOf(['card', 'wallet']),
          token: Type.Optional(
            Type.String({
              ...matching('^[A-Za-z0-9_-]{1,255}$', 'be 1 to 255 letters, digits, _ and -'),
              description: "The provider's token.",
              examples: ['tok_ok'],
            }),
          ),
        },
        closed,
      ),
    ),
    fulfillment: Type.Optional(
      Type.Object(
        {
          method: OneOf(['none', 'shipping', 'courier']),
          address: Type.Optional(Text(1000)),
        },
        { ...closed, examples: [{ method: 'courier', address: '1 Main Street, Springfield' }] },
      ),
    ),
  },
  { ...closed, title: 'CreateOrder' },
);
export type CreateOrder = Static<typeof CreateOrder>;

const PaymentAttempt = Type.Object(
  {
    attempt_number: Type.Integer(),
    status: OneOf(['SUCCEEDED', 'DECLINED', 'FAILED']),
    amount: Amount,
    error_message: Nullable(Type.String()),
    created_at: Timestamp,
  },
  { title: 'PaymentAttempt' },
);

export const Order = Type.Object(
  {
    id: Type.String({ description: 'UUIDv7', examples: [EXAMPLE_ID] }),
    number: Type.Integer({ description: 'For people; unique.', examples: [1_000_000_000] }),
    channel: OneOf(CHANNELS),
    customer_id: Type.String({ examples: ['customer_123'] }),
    currency: Type.String({ examples: ['USD'] }),
    total_amount: Type.Number({ description: 'Computed here, exactly.', examples: [25.98] }),
    status: OneOf(ORDER_STATUSES),
    payment_status: OneOf(PAYMENT_STATUSES, { examples: ['PENDING'] }),
    fulfillment_status: OneOf(FULFILLMENT_STATUSES),
    reference: Nullable(Type.String({ examples: ['table 12'] })),
    payment: Type.Object({ method: Type.String({ examples: ['card'] }) }),
    fulfillment: Nullable(
      Type.Object({
        method: Type.String({ examples: ['courier'] }),
        address: Type.Optional(Type.String({ examples: ['1 Main Street, Springfield'] })),
      }),
    ),
    cancel_requested_at: Type.Union([Timestamp, Type.Null()], { examples: [null] }),
    cancel_reason: Type.Union([Type.String(), Type.Null()], { examples: [null] }),
    version: Type.Integer({ description: 'Raised by every change.' }),
    created_at: Timestamp,
    updated_at: Timestamp,
    items: Type.Array(
      Type.Object({
        item_id: Type.String({ examples: ['item_001'] }),
        item_name: Type.String({ examples: ['Burger'] }),
        quantity: Type.Integer({ examples: [2] }),
        price: Amount,
      }),
    ),
    payment_attempts: Type.Array(PaymentAttempt, { examples: [[]] }),
  },
  { title: 'Order', description: 'The order.' },
);
export type Order = Static<typeof Order>;

/** So many at most are asked for at once. */
export const MAX_FOUND = 64;

/** What other services find orders by: ids or numbers. */
export const FindOrders = Type.Object(
  { ids: Type.Array(Identifier(128), { minItems: 1, maxItems: MAX_FOUND }) },
  closed,
);

export type FindOrders = Static<typeof FindOrders>;

export interface FoundOrders {
  readonly orders: readonly (Order | null)[];
}

export const OrderPath = Type.Object(
  {
    id: Type.String({
      ...matching(
        '^([1-9][0-9]{0,15}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$',
        "be an order's id (a UUID) or number",
      ),
      description: "The order's id or number.",
      examples: [EXAMPLE_ID],
    }),
  },
  closed,
);

export const ListQuery = Type.Object(
  {
    customer_id: Type.Optional(Identifier(128)),
    status: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 30,
        description: 'One status, in any case.',
        examples: ['confirmed'],
      }),
    ),
    created_from: Type.Optional(Moment),
    created_to: Type.Optional(Moment),
    q: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        description: 'An id or number, or how a reference or customer id begins.',
        examples: ['table'],
      }),
    ),
    ...pagingQuery,
  },
  closed,
);
export type ListQuery = Static<typeof ListQuery>;

export const OrderList = Type.Object(
  {
    orders: Type.Array(Order),
    ...pageReply({
      description: 'Pass as cursor for the next page.',
      examples: ['MDE5YQ.c2lnbmF0dXJl'],
    }),
  },
  { title: 'OrderList', description: 'A page of orders, newest first.' },
);

export const CancelOrder = Type.Object(
  { reason: Type.Optional(Text(500, { examples: ['changed my mind'] })) },
  { ...closed, title: 'CancelOrder' },
);

/** What ORDER_CREATED carries: ids and facts, no contact data. */
export interface OrderCreated {
  readonly order_id: string;
  readonly number: number;
  readonly channel: Channel;
  readonly customer_id: string;
  readonly currency: string;
  readonly total_minor: number;
  readonly from: null;
  readonly to: 'PENDING';
  readonly payment: {
    readonly method: string;
    readonly token: string | null;
    /** So long may a request still be charging it; the worker waits until that is over. */
    readonly hold_ms?: number;
  };
  readonly items: readonly {
    readonly item_id: string;
    readonly quantity: number;
    readonly unit_minor: number;
  }[];
}

/** What every later event of an order carries. */
export interface OrderChanged {
  readonly order_id: string;
  readonly number: number;
  readonly customer_id: string;
  readonly from: OrderStatus;
  readonly to: OrderStatus;
  readonly payment_status: PaymentStatus;
}

export type OrderEventType =
  | 'ORDER_CREATED'
  | 'ORDER_PAYMENT_PROCESSING'
  | 'ORDER_PAYMENT_UPDATED'
  | 'ORDER_CONFIRMED'
  | 'ORDER_PAYMENT_FAILED'
  | 'ORDER_FULFILLMENT_UPDATED'
  | 'ORDER_IN_FULFILLMENT'
  | 'ORDER_SHIPPED'
  | 'ORDER_DELIVERED'
  | 'ORDER_COMPLETED'
  | 'ORDER_CANCEL_REQUESTED'
  | 'ORDER_CANCELLED';
