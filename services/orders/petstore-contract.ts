/** Door C: orders for pets, under the published petstore contract (spec chapter C). */
import { Identifier, OneOf, Type, type Static } from '@waybill/kit/schema.ts';

export const PETSTORE_PATH = '/api/v3/store/order';

/** Numbers from here up are allotted; a number that a client gives lies below. */
const FIRST_ALLOTTED = 1_000_000_000;

/** Statuses as the petstore spells them. */
const PETSTORE_STATUSES = ['placed', 'approved', 'delivered'] as const;

/** What clients send. Fields that it does not name are ignored, as the petstore allows. */
export const PlaceOrder = Type.Object(
  {
    id: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: FIRST_ALLOTTED - 1,
        description: 'The number of the order; allotted when absent or 0.',
        examples: [10],
      }),
    ),
    petId: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, examples: [198_772] }),
    quantity: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: 'Kept and shown; there is one of each pet. Absent: 1.',
        examples: [1],
      }),
    ),
    shipDate: Type.Optional(
      Type.String({ format: 'date-time', maxLength: 40, examples: ['2026-01-02T03:04:05Z'] }),
    ),
    status: Type.Optional(
      OneOf(PETSTORE_STATUSES, { description: 'Not looked at: an order begins as placed.' }),
    ),
    complete: Type.Optional(Type.Boolean({ description: 'Not looked at.' })),
  },
  { title: 'PlaceStoreOrder' },
);
export type PlaceOrder = Static<typeof PlaceOrder>;

export const StoreOrder = Type.Object(
  {
    id: Type.Integer({ examples: [1_000_000_000] }),
    petId: Type.Integer({ examples: [198_772] }),
    quantity: Type.Integer({ examples: [1] }),
    shipDate: Type.Optional(Type.String({ format: 'date-time' })),
    status: OneOf(PETSTORE_STATUSES),
    complete: Type.Boolean(),
  },
  { title: 'StoreOrder', description: 'The order.' },
);
export type StoreOrder = Static<typeof StoreOrder>;

/** For whom staff place an order; fields that it does not name are ignored. */
export const PlaceOrderQuery = Type.Object({
  username: Type.Optional(
    Identifier(128, { description: 'Whose order it is, where staff place it.' }),
  ),
});

export const StoreOrderPath = Type.Object(
  { orderId: Type.Integer({ description: 'Number of the order.', examples: [1_000_000_000] }) },
  { additionalProperties: false },
);
