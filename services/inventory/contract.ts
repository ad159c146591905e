/**
 * Inventory: how many pets have which status, told by their events, and the stock of everything
 * that is sold by the piece.
 *
 * *On hand* is what lies in the house; a *stock reservation* holds a part of it for somebody, until
 * it is deducted (it left the house), released, or its time is up. What is on hand and not held is
 * *available*, and nobody gets more than that.
 */
import {
  Identifier,
  OneOf,
  Text,
  Timestamp,
  Type,
  pageReply,
  pagingQuery,
  type Static,
} from '@waybill/kit/schema.ts';

/** By which name and prefixes the gateway finds the service. */
export const inventoryService = {
  name: 'inventory',
  paths: ['/api/v3/store/inventory', '/api/v1/inventory'],
} as const;

const closed = { additionalProperties: false };

export const PetCounts = Type.Record(Type.String(), Type.Integer(), {
  title: 'PetCounts',
  description: 'How many pets have each status.',
  examples: [{ available: 7, pending: 2, sold: 1 }],
});

export const MAX_ON_HAND = 1_000_000_000_000;
/** Of one SKU in one reservation. */
const MAX_QUANTITY = 1_000_000_000;

const Sku = Identifier(128, { examples: ['item_001'] });

export const StockItem = Type.Object(
  {
    sku: Type.String({ examples: ['item_001'] }),
    on_hand: Type.Integer({ description: 'What lies in the house.', examples: [12] }),
    reserved: Type.Integer({ description: 'Held by reservations.', examples: [2] }),
    available: Type.Integer({ description: 'On hand and not held.', examples: [10] }),
    version: Type.Integer({ description: 'Raised by every change.' }),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { title: 'StockItem', description: 'What there is of a SKU.' },
);
export type StockItem = Static<typeof StockItem>;

export const StockPath = Type.Object({ sku: Sku }, closed);

export const SetStock = Type.Object(
  { on_hand: Type.Integer({ minimum: 0, maximum: MAX_ON_HAND, examples: [12] }) },
  { ...closed, title: 'SetStock' },
);

export const AdjustStock = Type.Object(
  {
    by: Type.Integer({
      minimum: -MAX_ON_HAND,
      maximum: MAX_ON_HAND,
      description: 'Added to what is on hand; negative: taken from it.',
      examples: [5],
    }),
    reason: Type.Optional(Text(200, { examples: ['delivery of the supplier'] })),
  },
  { ...closed, title: 'AdjustStock' },
);

export const StockQuery = Type.Object(
  {
    q: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        description: 'How the SKU begins.',
        examples: ['item'],
      }),
    ),
    ...pagingQuery,
  },
  closed,
);
export type StockQuery = Static<typeof StockQuery>;

export const StockList = Type.Object(
  {
    stock: Type.Array(StockItem),
    ...pageReply({
      description: 'Pass as cursor for the next page.',
      examples: ['aXRlbV8wMDE.c2lnbmF0dXJl'],
    }),
  },
  { title: 'StockList', description: 'A page of stock, by SKU.' },
);

export const Rebuild = Type.Object(
  { state: Type.Literal('rebuilding') },
  { title: 'InventoryRebuild', description: 'The counts are being made anew.' },
);

const Quantity = Type.Integer({ minimum: 1, maximum: MAX_QUANTITY });
const StockLines = Type.Array(Type.Object({ sku: Sku, quantity: Quantity }, closed), {
  minItems: 1,
  maxItems: 500,
});

/** All or nothing; the same id again gets the same answer. */
export const ReserveStock = Type.Object(
  {
    reservation_id: Identifier(128, {
      description: "An order's id: it is released when that order is cancelled or not paid.",
    }),
    lines: StockLines,
    expires_in_seconds: Type.Integer({ minimum: 1, maximum: 31_536_000 }),
    allow_unknown: Type.Optional(
      Type.Boolean({ description: 'SKUs that inventory does not know are left out.' }),
    ),
  },
  { ...closed, title: 'ReserveStock' },
);
export type ReserveStock = Static<typeof ReserveStock>;

/** What left the house. Without lines: everything that is still held. */
export const DeductStock = Type.Object(
  {
    deduction_id: Identifier(128, { description: 'Taken once, for ever: the shipment.' }),
    lines: Type.Optional(StockLines),
  },
  { ...closed, title: 'DeductStock' },
);
export type DeductStock = Static<typeof DeductStock>;

export const ReservationPath = Type.Object({ id: Identifier(128) }, closed);

/** `deducted`: all of it left the house. */
export const STOCK_RESERVATION_STATES = ['reserved', 'released', 'expired', 'deducted'] as const;
export type StockReservationState = (typeof STOCK_RESERVATION_STATES)[number];

export const StockReservation = Type.Object(
  {
    reservation_id: Type.String(),
    state: OneOf(STOCK_RESERVATION_STATES),
    expires_at: Timestamp,
    lines: Type.Array(
      Type.Object({
        sku: Type.String(),
        quantity: Type.Integer({ description: 'Asked for.' }),
        deducted: Type.Integer({ description: 'Of these, left the house.' }),
      }),
    ),
  },
  { title: 'StockReservation', description: 'The reservation.' },
);
export type StockReservation = Static<typeof StockReservation>;

/** STOCK_CHANGED; the key is the SKU. Without a reservation it was the desk. */
export interface StockChanged {
  readonly sku: string;
  readonly on_hand: number;
  readonly reserved: number;
  readonly changes: readonly {
    readonly kind: 'set' | 'reserved' | 'released' | 'expired' | 'deducted';
    readonly reservation_id: string | null;
    readonly quantity: number;
  }[];
}
