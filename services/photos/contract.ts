/**
 * Photos: pictures of pets. An *upload* is decoded, re-encoded and kept here; any other address
 * that a pet shows is only written down. The *owner* of an upload is whoever sent it.
 */
import { Identifier, Text, Type, matching, type Static } from '@waybill/kit/schema.ts';

/** By which name and prefixes the gateway finds the service. */
export const photosService = { name: 'photos', paths: ['/api/v1/photos'] } as const;

/** How every photo is kept and sent. */
export const MEDIA_TYPE = 'image/webp';

const closed = { additionalProperties: false };
const Uuid = Type.String({
  ...matching('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$', 'be a UUID'),
  examples: ['019a0000-0000-7000-8000-000000000001'],
});

export const PhotoPath = Type.Object({ id: Uuid }, closed);

/** Everything that a pet shows, as of one version of it. */
export const RegisterPhotos = Type.Object(
  {
    pet_id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    pet_version: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }),
    urls: Type.Array(Text(2000), { maxItems: 100 }),
  },
  closed,
);
export type RegisterPhotos = Static<typeof RegisterPhotos>;

export const RegisterReply = Type.Object({
  /** False: newer news of this pet came before. */
  registered: Type.Boolean(),
});

export const UploadQuery = Type.Object(
  {
    owner: Identifier(200),
    upload_key: Type.String({
      pattern: '^[0-9a-f-]{36,64}$',
      description: 'The same upload again has the same key, and is stored once.',
    }),
    metadata: Type.Optional(Type.String({ maxLength: 1000 })),
  },
  closed,
);

export const PhotoReply = Type.Object({
  id: Uuid,
  url: Type.String(),
  thumbnail_url: Type.String(),
  media_type: Type.String(),
  width: Type.Integer(),
  height: Type.Integer(),
  bytes: Type.Integer(),
});
export type PhotoReply = Static<typeof PhotoReply>;

export const AlbumPath = Type.Object({ pet_id: Type.Integer({ minimum: 1 }) }, closed);

/** What is known of a pet's photos. */
export const Album = Type.Object({
  pet_id: Type.Integer(),
  pet_version: Type.Integer(),
  urls: Type.Array(Type.String()),
});
