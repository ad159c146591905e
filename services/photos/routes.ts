/** Photos for everybody to see, and what pets say of them. */
import { Refusal } from '@waybill/kit/errors.ts';
import { MAX_UPLOAD_BYTES, route, type Call, type Reply, type Route } from '@waybill/kit/route.ts';
import { registerPhotos, storePhoto } from './commands.ts';
import type { PhotosContext } from './context.ts';
import {
  Album,
  AlbumPath,
  MEDIA_TYPE,
  PhotoPath,
  PhotoReply,
  RegisterPhotos,
  RegisterReply,
  UploadQuery,
} from './contract.ts';
import { keyOf, type Size } from './photo-store.ts';
import { matchesTag, partOf } from './rules.ts';
import { findPhoto, readAlbum } from './store.ts';

const picture = {
  description: 'The picture.',
  content: { [MEDIA_TYPE]: { schema: { type: 'string', format: 'binary' } } },
};
const shown = {
  method: 'GET',
  access: 'public',
  params: PhotoPath,
  replies: {
    200: picture,
    206: { ...picture, description: 'The part of it that Range asks for.' },
    304: { description: 'The caller has it already.' },
  },
  refusals: {
    '404 photo_not_found': 'there is no such photo',
    '416 range_not_satisfiable': 'the photo ends before the range begins',
  },
} as const;
const internal = { internal: true, access: ['service'] } as const;

export const routes: readonly Route<PhotosContext>[] = [
  route({
    ...shown,
    path: '/api/v1/photos/{id}',
    summary: 'A photo, as WebP.',
    handle: (call, context: PhotosContext) => show(context, call, 'photo'),
  }),
  route({
    ...shown,
    path: '/api/v1/photos/{id}/thumbnail',
    summary: 'A photo, at most 256 pixels wide and high.',
    handle: (call, context: PhotosContext) => show(context, call, 'thumbnail'),
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/photos/register',
    summary: 'Write down what a pet shows.',
    body: RegisterPhotos,
    replies: { 200: RegisterReply },
    async handle({ body }, context: PhotosContext) {
      return { status: 200, body: { registered: await registerPhotos(context, body) } };
    },
  }),
  route({
    ...internal,
    method: 'GET',
    path: '/internal/photos/albums/{pet_id}',
    summary: 'What a pet shows, as far as it was told here.',
    params: AlbumPath,
    replies: { 200: Album },
    refusals: { '404 album_not_found': 'nothing was told of the pet' },
    async handle({ params }, { db }: PhotosContext) {
      const album = await readAlbum(db, params.pet_id);
      if (album === undefined)
        throw new Refusal(404, 'album_not_found', 'Nothing is known of this pet.');
      return { status: 200, body: { ...params, ...album } };
    },
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/photos/uploads',
    summary: 'Store a photo.',
    query: UploadQuery,
    upload: { maxBytes: MAX_UPLOAD_BYTES },
    replies: { 200: PhotoReply },
    refusals: {
      '413 photo_too_large': 'it has more bytes or pixels than are taken',
      '413 photo_quota_exceeded': 'its owner has stored as much as one may',
      '415 unsupported_image': 'it is no PNG, JPEG or WebP picture',
      '422 invalid_image': 'it begins like a picture and cannot be decoded',
    },
    async handle({ query, rawBody }, context: PhotosContext) {
      const { owner, upload_key: uploadKey, metadata } = query;
      const bytes = rawBody ?? Buffer.alloc(0);
      const photo = await storePhoto(context, { owner, uploadKey, metadata, bytes });
      return { status: 200, body: photo };
    },
  }),
];

/**
 * Nothing that a stranger sent is ever run: it is a picture by its making, its type is not guessed
 * at, it is saved rather than opened on its own, and if opened all the same it may do nothing.
 */
const HARMLESS = {
  'content-type': MEDIA_TYPE,
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'cross-origin',
};

type PhotoCall = Call<{ readonly id: string }>;

async function show(
  { db, photoStore, log }: PhotosContext,
  { params, headers }: PhotoCall,
  size: Size,
): Promise<Reply> {
  const row = await findPhoto(db, params.id);
  if (row === undefined) throw noPhoto();
  const [length, tag] =
    size === 'photo' ? [row.bytes, row.tag] : [row.thumbnail_bytes, row.thumbnail_tag];
  // The bytes of an id never change.
  const kept = { etag: tag, 'cache-control': 'public, max-age=31536000, immutable' };
  if (matchesTag(textOf(headers['if-none-match']), tag)) return { status: 304, headers: kept };
  const part = partOf(textOf(headers['range']), length);
  const { start, end } = part ?? { start: 0, end: length };
  const body = await photoStore.read(keyOf(row.id, size), start, end);
  if (body === undefined) {
    log.warn({ photo: row.id, size }, 'the file of a photo is gone');
    throw noPhoto();
  }
  return {
    status: part === undefined ? 200 : 206,
    body,
    headers: {
      ...HARMLESS,
      ...kept,
      'accept-ranges': 'bytes',
      'content-disposition': `attachment; filename="${row.id}.webp"`,
      ...(part === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${length}` }),
    },
  };
}

function noPhoto(): Refusal {
  return new Refusal(404, 'photo_not_found', 'There is no such photo.');
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}
