/** Door B: the checkout that pays from a wallet and answers with the outcome (spec chapter B). */
import {
  Amount,
  Identifier,
  Nullable,
  OneOf,
  Timestamp,
  Type,
  type Static,
} from '@waybill/kit/schema.ts';

export const CHECKOUT_PATH = '/api/v1/order';

export const CHECKOUT_STATUSES = [
  'NEW',
  'PAID',
  'INSUFFICIENT_FUNDS',
  'FAILED',
  'IN_PROGRESS',
  'DONE',
  'CANCELED',
] as const;
export type CheckoutStatus = (typeof CHECKOUT_STATUSES)[number];

const closed = { additionalProperties: false };
const MAX_INTEGER = Number.MAX_SAFE_INTEGER;

/** An id of the client's own making: text or a number, given back as it came. */
const givenId = { ...Identifier(128), minimum: 0, maximum: MAX_INTEGER };
const GivenId = Type.Unsafe<string | number>({
  ...givenId,
  type: ['string', 'integer'],
  examples: ['sku-1'],
});
const GivenIdOrNull = Type.Unsafe<string | number | null>({
  ...givenId,
  type: ['string', 'integer', 'null'],
  examples: [1],
});

const Price = Type.Number({
  exclusiveMinimum: 0,
  maximum: 1_000_000_000,
  description: "In major units, with at most the currency's decimals.",
  examples: [19],
});

const Ignored = Type.Optional(
  Type.Unknown({ description: 'Ignored: published clients send it.', examples: [null] }),
);

export const CreateCheckout = Type.Object(
  {
    username: Identifier(128, { description: "The caller's own.", examples: ['ada'] }),
    shopId: Type.Optional(GivenIdOrNull),
    totalCost: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1_000_000_000_000,
      description: 'What is charged; not below the sum of the positions.',
      examples: [19],
    }),
    orderPositions: Type.Array(
      Type.Object(
        {
          productId: GivenId,
          price: Price,
          quantity: Type.Integer({ minimum: 1, maximum: 1_000_000, examples: [1] }),
        },
        closed,
      ),
      { minItems: 1, maxItems: 500 },
    ),
    createdAt: Ignored,
    status: Ignored,
    deliveryId: Ignored,
  },
  { ...closed, title: 'CreateCheckout' },
);
export type CreateCheckout = Static<typeof CreateCheckout>;

export const Checkout = Type.Object(
  {
    id: Type.Integer({ description: "The order's number.", examples: [1_000_000_000] }),
    username: Type.String({ examples: ['ada'] }),
    orderPositions: Type.Array(
      Type.Object({
        productId: GivenId,
        price: Amount,
        quantity: Type.Integer(),
      }),
    ),
    totalCost: Type.Number({ examples: [19] }),
    createdAt: Timestamp,
    shopId: GivenIdOrNull,
    status: OneOf(CHECKOUT_STATUSES, { examples: ['PAID'] }),
    deliveryId: Nullable(Type.String({ description: 'Of the shipment, once there is one.' })),
  },
  { title: 'Checkout', description: 'An order as the checkout shows it.' },
);
export type Checkout = Static<typeof Checkout>;

export const CheckoutList = Type.Array(Checkout, {
  title: 'CheckoutList',
  description: 'A page of orders, newest first; `Link` names the next one.',
});

export const CheckoutQuery = Type.Object(
  {
    username: Type.Optional(
      Identifier(128, { description: 'Whose; the caller unless staff names somebody.' }),
    ),
    page: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'From 1' })),
    page_size: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 400, description: 'From the `Link` of a page.' }),
    ),
  },
  closed,
);
export type CheckoutQuery = Static<typeof CheckoutQuery>;
