/** The petstore's operations on pets. */
import { Refusal } from '@waybill/kit/errors.ts';
import { MAX_UPLOAD_BYTES, route, type Route } from '@waybill/kit/route.ts';
import { Type } from '@waybill/kit/schema.ts';
import { addPet, deletePet, renamePet, updatePet, type Saved } from './commands.ts';
import type { PetsContext } from './context.ts';
import {
  Pet,
  PetInput,
  PetPath,
  PetUpdate,
  UploadReply,
  WIRE_STATUSES,
  type WireStatus,
} from './contract.ts';
import { unknownPet } from './reservations.ts';
import { findPet, renderPet } from './store.ts';
import { uploadPhoto } from './uploads.ts';
import { findByStatus, findByTags, type Found } from './views.ts';

/** Whoever runs the shop. Customers and strangers look. */
const owners = ['operator', 'admin', 'service'] as const;
const closed = { additionalProperties: false };

const held = { '409 pet_reserved': 'an order holds the pet, and its status would change' };
const changing = { '409 pet_changing': 'somebody adds and deletes it at the same time' };
const unknown = { '404 pet_not_found': 'there is no such pet' };
const Cursor = Type.Optional(
  Type.String({ minLength: 1, maxLength: 400, description: 'Of the Link header of a page.' }),
);
const Pets = Type.Array(Pet, { description: 'At most 1,000; Link leads to the next ones.' });
const Values = (description: string, example: string) =>
  Type.Optional(
    Type.Array(Type.String({ maxLength: 1000 }), {
      maxItems: 100,
      description,
      examples: [[example]],
    }),
  );

function saved({ pet, replayed }: Saved) {
  return { status: 200, body: pet, headers: replayed ? { 'idempotent-replayed': 'true' } : {} };
}

function found(path: string, name: string, values: readonly string[], { pets, next }: Found) {
  if (next === null) return { status: 200, body: pets };
  const query = new URLSearchParams([...values.map((value) => [name, value]), ['cursor', next]]);
  return {
    status: 200,
    body: pets,
    headers: { link: `<${path}?${query.toString()}>; rel="next"` },
  };
}

const changes: readonly Route<PetsContext>[] = [
  route({
    method: 'POST',
    path: '/api/v3/pet',
    access: owners,
    summary: 'Add a pet to the store.',
    description:
      'A pet whose id is there already is updated, as by PUT, unless If-None-Match is `*`. ' +
      'Fields that are not known are ignored.',
    body: PetInput,
    idempotent: true,
    replies: { 200: Pet },
    refusals: {
      ...held,
      ...changing,
      '412 pet_exists': 'there is such a pet, and If-None-Match is `*`',
    },
    async handle({ body, headers, idempotency }, context: PetsContext) {
      const addOnly = headers['if-none-match'] === '*';
      return saved(await addPet(context, body, addOnly, idempotency));
    },
  }),
  route({
    method: 'PUT',
    path: '/api/v3/pet',
    access: owners,
    summary: 'Update a pet; what is left out is removed, but for the status.',
    body: PetUpdate,
    replies: { 200: Pet },
    refusals: { ...unknown, ...held },
    async handle({ body }, context: PetsContext) {
      return { status: 200, body: await updatePet(context, body.id, body) };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v3/pet/{petId}',
    access: owners,
    summary: 'Change the name or the status of a pet.',
    params: PetPath,
    query: Type.Object(
      {
        name: Type.Optional(Type.String({ maxLength: 1000, description: '1 to 300 characters.' })),
        status: Type.Optional(
          Type.String({ maxLength: 100, description: `One of ${WIRE_STATUSES.join(', ')}.` }),
        ),
      },
      closed,
    ),
    idempotent: true,
    replies: { 200: Pet },
    refusals: {
      '400 invalid_input': 'neither name nor status is given, or one of them is not acceptable',
      ...unknown,
      ...held,
    },
    async handle({ params, query, idempotency }, context: PetsContext) {
      const change = { name: query.name, status: query.status as WireStatus | undefined };
      refuseUnfit(change);
      return saved(await renamePet(context, params.petId, change, idempotency));
    },
  }),
  route({
    method: 'DELETE',
    path: '/api/v3/pet/{petId}',
    access: owners,
    summary: 'Delete a pet that no order holds.',
    params: PetPath,
    replies: { 200: Type.Object({}, { title: 'PetDeleted', description: 'It is deleted.' }) },
    refusals: { ...unknown, '409 pet_reserved': 'an order holds it, or it was sold to one' },
    async handle({ params }, context: PetsContext) {
      await deletePet(context, params.petId);
      return { status: 200, body: {} };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v3/pet/{petId}/uploadImage',
    access: owners,
    summary: 'Upload a photo of a pet: PNG, JPEG or WebP.',
    description:
      'It is decoded, stripped of everything but its pixels and kept as WebP, at most 2048 ' +
      'pixels wide and high, with a thumbnail. Its address joins the photoUrls of the pet.',
    params: PetPath,
    query: Type.Object(
      { additionalMetadata: Type.Optional(Type.String({ maxLength: 1000 })) },
      closed,
    ),
    upload: { maxBytes: MAX_UPLOAD_BYTES },
    idempotent: true,
    replies: { 200: UploadReply },
    refusals: {
      '400 no_file': 'nothing was sent',
      ...unknown,
      '409 too_many_photos': 'the pet has as many photos as it may have',
      '413 photo_too_large': 'it has more bytes or pixels than are taken',
      '413 photo_quota_exceeded': 'the caller has stored as much as one caller may',
      '415 unsupported_image': 'it is no PNG, JPEG or WebP picture, whatever it is called',
      '422 invalid_image': 'it begins like a picture and cannot be decoded',
    },
    async handle(
      { params, query, rawBody, identity, idempotency, deadline },
      context: PetsContext,
    ) {
      const upload = {
        bytes: rawBody ?? Buffer.alloc(0),
        metadata: query.additionalMetadata,
        identity,
      };
      const { answer, replayed } = await uploadPhoto(
        context,
        params.petId,
        upload,
        idempotency,
        deadline,
      );
      const headers = replayed ? { 'idempotent-replayed': 'true' } : {};
      return { status: 200, body: answer, headers };
    },
  }),
];

const looks: readonly Route<PetsContext>[] = [
  route({
    method: 'GET',
    path: '/api/v3/pet/findByStatus',
    access: 'public',
    summary: 'Find pets by status.',
    query: Type.Object(
      {
        status: Values(
          `Any of ${WIRE_STATUSES.join(', ')}, by comma or repeated; default available.`,
          'available',
        ),
        cursor: Cursor,
      },
      closed,
    ),
    replies: { 200: Pets },
    refusals: {
      '400 invalid_status': 'a status is not known',
      '422 invalid_cursor': 'the cursor belongs to another search',
    },
    async handle({ query }, context: PetsContext) {
      const { status = ['available'], cursor } = query;
      const search = { db: context.db, cursorKey: context.key('cursor'), cursor };
      const path = '/api/v3/pet/findByStatus';
      return found(path, 'status', status, await findByStatus(search, status));
    },
  }),
  route({
    method: 'GET',
    path: '/api/v3/pet/findByTags',
    access: 'public',
    summary: 'Find pets by tags.',
    query: Type.Object(
      { tags: Values('Names of tags, by comma or repeated.', 'friendly'), cursor: Cursor },
      closed,
    ),
    replies: { 200: Pets },
    refusals: {
      '400 invalid_tags': 'no tag is named',
      '422 invalid_cursor': 'the cursor belongs to another search',
    },
    async handle({ query }, context: PetsContext) {
      const { tags = [], cursor } = query;
      const search = { db: context.db, cursorKey: context.key('cursor'), cursor };
      return found('/api/v3/pet/findByTags', 'tags', tags, await findByTags(search, tags));
    },
  }),
  route({
    method: 'GET',
    path: '/api/v3/pet/{petId}',
    access: 'public',
    summary: 'One pet by its id.',
    params: PetPath,
    replies: { 200: Pet },
    refusals: unknown,
    async handle({ params }, { db }: PetsContext) {
      const row = await findPet(db, params.petId);
      if (row === undefined) throw unknownPet();
      return { status: 200, body: renderPet(row) };
    },
  }),
];

export const routes: readonly Route<PetsContext>[] = [...changes, ...looks];

/** The petstore's contract answers a bad name or status here with 400. */
function refuseUnfit({ name, status }: { name?: string | undefined; status?: string | undefined }) {
  const faults = [
    ...(name === undefined || /^\P{Cc}{1,300}$/u.test(name)
      ? []
      : [{ pointer: '?name', detail: 'must be 1 to 300 characters, none a control character' }]),
    ...(status === undefined || (WIRE_STATUSES as readonly string[]).includes(status)
      ? []
      : [{ pointer: '?status', detail: `must be one of ${WIRE_STATUSES.join(', ')}` }]),
    ...(name === undefined && status === undefined
      ? [{ pointer: '?name', detail: 'or status must be given' }]
      : []),
  ];
  if (faults.length > 0)
    throw new Refusal(400, 'invalid_input', 'The pet cannot be changed like that.', { faults });
}
