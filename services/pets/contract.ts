/**
 * Pets: unique things for sale, under the published petstore contract (`/api/v3/pet`).
 *
 * A *reservation* is one order's hold on one pet: held, then sold, or released. Its id is chosen by
 * whoever reserves, so that a call whose answer was lost is asked again, or settled, by it.
 */
import { Identifier, OneOf, Text, Timestamp, Type, type Static } from '@waybill/kit/schema.ts';

/** By which name and prefixes the gateway finds the service. */
export const petsService = { name: 'pets', paths: ['/api/v3/pet'] } as const;

/** Statuses as the petstore spells them; `pending` is what everybody else calls reserved. */
export const WIRE_STATUSES = ['available', 'pending', 'sold'] as const;
export type WireStatus = (typeof WIRE_STATUSES)[number];

/** Statuses as tables and events spell them. */
export const PET_STATUSES = ['available', 'reserved', 'sold'] as const;
export type PetStatus = (typeof PET_STATUSES)[number];

export const MAX_PHOTO_URLS = 100;
/** Pets in one answer of a search; the rest follows by the cursor of its Link header. */
export const MAX_FOUND = 1000;

const closed = { additionalProperties: false };
const PetId = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, examples: [10] });
const AnyId = Type.Integer({
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
  examples: [1],
});

const Category = Type.Object(
  { id: Type.Optional(AnyId), name: Type.Optional(Text(200, { examples: ['Dogs'] })) },
  { title: 'PetCategory' },
);

const Tag = Type.Object(
  { id: Type.Optional(AnyId), name: Type.Optional(Text(100, { examples: ['friendly'] })) },
  { title: 'PetTag' },
);

const PET = {
  name: Text(300, { examples: ['doggie'] }),
  category: Type.Optional(Category),
  photoUrls: Type.Array(Text(2000, { examples: ['https://example.com/doggie.png'] }), {
    maxItems: MAX_PHOTO_URLS,
    description: 'Stored and shown, never fetched.',
  }),
  tags: Type.Optional(Type.Array(Tag, { maxItems: 100 })),
  status: Type.Optional(
    OneOf(WIRE_STATUSES, { description: 'Absent: available when new, otherwise kept.' }),
  ),
};

/** What clients send. Fields that it does not name are ignored, as the petstore allows. */
export const PetInput = Type.Object(
  {
    id: Type.Optional({ ...PetId, description: 'Allotted when absent or 0.' }),
    ...PET,
  },
  { title: 'PetInput' },
);
export type PetInput = Static<typeof PetInput>;

export const PetUpdate = Type.Object({ id: PetId, ...PET }, { title: 'PetUpdate' });

export const Pet = Type.Object(
  {
    id: Type.Integer({ examples: [10] }),
    name: Type.String({ examples: ['doggie'] }),
    category: Type.Optional(Category),
    photoUrls: Type.Array(Type.String({ examples: ['https://example.com/doggie.png'] })),
    tags: Type.Array(Tag),
    status: OneOf(WIRE_STATUSES),
  },
  { title: 'Pet', description: 'The pet.' },
);
export type Pet = Static<typeof Pet>;

export const PetPath = Type.Object(
  { petId: Type.Integer({ description: 'ID of the pet.', examples: [10] }) },
  closed,
);

/** What an upload answers. */
export const UploadReply = Type.Object(
  {
    code: Type.Integer({ examples: [200] }),
    type: Type.String({ examples: ['image/webp'] }),
    message: Type.String({
      description: 'Where the photo is.',
      examples: ['/api/v1/photos/019a0000-0000-7000-8000-000000000001'],
    }),
  },
  { title: 'UploadReply', description: 'The photo is stored.' },
);
export type UploadReply = Static<typeof UploadReply>;

const Uuid = Type.String({ format: 'uuid', maxLength: 36 });

/** What an order asks for. All of it is told again by PET_RESERVED, which creates the order. */
export const ReserveRequest = Type.Object(
  {
    reservation_id: Uuid,
    order_id: Uuid,
    order_number: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    customer_id: Identifier(128),
    quantity: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647 })),
    ship_date: Type.Optional(Type.Union([Text(64), Type.Null()])),
    complete: Type.Optional(Type.Boolean()),
    requested_at: Type.Optional(Timestamp),
    payload: Type.Optional(
      Type.Record(Type.String({ maxLength: 64 }), Type.Unknown(), {
        description: 'Anything else that the order shall be created with; not looked at.',
      }),
    ),
  },
  closed,
);
export type ReserveRequest = Static<typeof ReserveRequest>;

export const ReserveReply = Type.Object({
  reserved: Type.Literal(true),
  reservation_id: Uuid,
  pet: Pet,
});
export type ReserveReply = Static<typeof ReserveReply>;

export const SettleRequest = Type.Object({ reservation_id: Uuid }, closed);

export const RESERVATION_STATES = ['held', 'sold', 'released'] as const;
export type ReservationState = (typeof RESERVATION_STATES)[number];

export const Reservation = Type.Object({
  reservation_id: Uuid,
  pet_id: Type.Integer(),
  /** Null: it was released before it was ever made, and so never will be. */
  order_id: Type.Union([Uuid, Type.Null()]),
  state: OneOf(RESERVATION_STATES),
  created_at: Timestamp,
});
export type Reservation = Static<typeof Reservation>;

/** Where pets stand, for whoever counts them anew; status null: the pet was deleted. */
export const PetStanding = Type.Object({
  standings: Type.Array(
    Type.Object({
      id: Type.Integer(),
      version: Type.Integer(),
      status: Type.Union([OneOf(PET_STATUSES), Type.Null()]),
    }),
  ),
});
export type PetStanding = Static<typeof PetStanding>;

export const ReservationList = Type.Object({ reservations: Type.Array(Reservation) });

/** What every event of a pet carries; `from` is null for a new pet, `to` for one that is gone. */
export interface PetChanged {
  readonly pet_id: number;
  readonly name: string;
  readonly from: PetStatus | null;
  readonly to: PetStatus | null;
}

/** PET_RELEASED and PET_SOLD. */
export interface PetSettled extends PetChanged {
  readonly reservation_id: string;
  readonly order_id: string | null;
}

/** PET_RESERVED: everything that the order is created with. */
export interface PetReserved extends PetChanged {
  readonly from: 'available';
  readonly to: 'reserved';
  readonly reservation_id: string;
  readonly order_id: string;
  readonly order_number: number;
  readonly customer_id: string;
  readonly quantity: number;
  readonly ship_date: string | null;
  readonly complete: boolean;
  readonly requested_at: string | null;
  readonly payload: Readonly<Record<string, unknown>>;
}

export type PetEventType =
  | 'PET_CREATED'
  | 'PET_UPDATED'
  | 'PET_DELETED'
  | 'PET_RESERVED'
  | 'PET_RELEASED'
  | 'PET_SOLD';
