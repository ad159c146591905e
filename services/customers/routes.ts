/** Profiles: the public door, and what other services ask. */
import { route, type Route } from '@waybill/kit/route.ts';
import { Identifier, Type } from '@waybill/kit/schema.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import {
  amendProfile,
  createProfile,
  eraseProfile,
  readProfile,
  registerProfile,
  replaceProfile,
  withdrawProfile,
} from './commands.ts';
import {
  AmendProfile,
  Contact,
  CreateProfile,
  ErasedProfile,
  PersonExport,
  Profile,
  ProfilePath,
  RegisterProfile,
  ReplaceProfile,
} from './contract.ts';
import { exportPerson } from './export.ts';
import { renderContact, renderProfile, type ProfileRow } from './store.ts';

const everybody = ['customer', 'operator', 'admin', 'service'] as const;
const REFUSED = {
  '404 profile_not_found': 'there is none that the caller may see, or it was erased',
} as const;

const publicRoutes: readonly Route<ServiceContext>[] = [
  route({
    method: 'POST',
    path: '/api/v1/user',
    access: ['admin', 'service'],
    summary: "Make a person's profile.",
    description:
      'For programs and admins; whoever registers themselves gets their profile by registering.',
    body: CreateProfile,
    idempotent: true,
    replies: { 201: Profile },
    refusals: {
      '404 profile_not_found': 'a repeat came after the profile was erased',
      '409 profile_exists': 'the name has a profile, or had one that was erased',
    },
    async handle({ body, idempotency }, context: ServiceContext) {
      const { row, replayed } = await createProfile(context, body.username, body, idempotency);
      const location = `/api/v1/user/${encodeURIComponent(row.username)}`;
      const headers = replayed ? { location, 'idempotent-replayed': 'true' } : { location };
      return { status: 201, body: renderProfile(row), headers: { ...tag(row), ...headers } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/user/{username}',
    access: everybody,
    summary: "A person's profile; a customer's own alone.",
    params: ProfilePath,
    replies: { 200: Profile },
    refusals: REFUSED,
    async handle({ identity, params }, context: ServiceContext) {
      const row = await readProfile(context, identity, params.username);
      return { status: 200, body: renderProfile(row), headers: tag(row) };
    },
  }),
  route({
    method: 'PUT',
    path: '/api/v1/user/{username}',
    access: everybody,
    summary: 'Replace a profile as a whole, addresses included.',
    description:
      'What is left out is gone. With `If-Match` (the ETag that a profile is read with) it is ' +
      'replaced only when nobody has changed it since.',
    params: ProfilePath,
    body: ReplaceProfile,
    replies: { 200: Profile },
    refusals: {
      ...REFUSED,
      '400 invalid_if_match': 'If-Match holds no ETag of a profile',
      '412 profile_changed': 'it was changed since it was read',
      '422 invalid_body': "also: another user name than the path's",
    },
    async handle({ identity, params, body, headers }, context: ServiceContext) {
      const ifMatch = headers['if-match'];
      const condition = Array.isArray(ifMatch) ? ifMatch.join() : ifMatch;
      const row = await replaceProfile(context, identity, params.username, body, condition);
      return { status: 200, body: renderProfile(row), headers: tag(row) };
    },
  }),
  route({
    method: 'DELETE',
    path: '/api/v1/user/{username}',
    access: everybody,
    summary: "Erase a person's data for ever.",
    description:
      'The profile is gone at once, the sign-in and the notifications follow. Orders, with the ' +
      'address that one was sent to, and the ledger stay under the user name, which is never ' +
      'given to anybody else. A repeat says when it was erased.',
    params: ProfilePath,
    replies: { 200: ErasedProfile },
    refusals: { '404 profile_not_found': 'there never was one that the caller may see' },
    async handle({ identity, params }, context: ServiceContext) {
      const { username, updated_at } = await eraseProfile(context, identity, params.username);
      return { status: 200, body: { username, erasedAt: updated_at } };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/user/{username}/export',
    access: everybody,
    summary: 'Everything that is held about a person.',
    description:
      'Profile, sign-in, orders, wallet and notifications in one document. A part that cannot be ' +
      'asked for now makes the whole answer a 503: nothing is ever left out in silence.',
    params: ProfilePath,
    replies: { 200: PersonExport },
    refusals: {
      ...REFUSED,
      '409 export_too_large': 'more than one answer holds; an operator must help',
    },
    async handle({ identity, params, deadline }, context: ServiceContext) {
      return {
        status: 200,
        body: await exportPerson(context, identity, params.username, deadline),
      };
    },
  }),
];

const internalRoutes: readonly Route<ServiceContext>[] = [
  route({
    method: 'POST',
    path: '/internal/customers/profiles',
    access: ['service'],
    summary: 'Make the profile of a registration, once.',
    internal: true,
    body: RegisterProfile,
    replies: { 200: Contact, 201: Contact },
    refusals: {
      '409 profile_exists': 'the name has a profile, or had one that was erased',
      '409 registration_withdrawn': 'the registration was undone before this came',
    },
    async handle({ body }, context: ServiceContext) {
      const { row, made } = await registerProfile(context, body);
      return { status: made ? 201 : 200, body: renderContact(row) };
    },
  }),
  route({
    method: 'GET',
    path: '/internal/customers/profiles/{username}',
    access: ['service'],
    summary: 'How a person is reached.',
    internal: true,
    params: ProfilePath,
    replies: { 200: Contact },
    refusals: { '404 profile_not_found': 'there is none, or it was erased' },
    async handle({ identity, params }, context: ServiceContext) {
      const row = await readProfile(context, identity, params.username);
      return { status: 200, body: renderContact(row) };
    },
  }),
  route({
    method: 'PUT',
    path: '/internal/customers/profiles/{username}',
    access: ['service'],
    summary: 'Change what is given of a profile.',
    internal: true,
    params: ProfilePath,
    body: AmendProfile,
    replies: { 200: Contact },
    refusals: { '404 profile_not_found': 'there is none, or it was erased' },
    async handle({ params, body }, context: ServiceContext) {
      const row = await amendProfile(context, params.username, body);
      return { status: 200, body: renderContact(row) };
    },
  }),
  route({
    method: 'POST',
    path: '/internal/customers/profiles/{username}/erase',
    access: ['service'],
    summary: "Erase a person's data for ever.",
    internal: true,
    params: ProfilePath,
    replies: { 200: ErasedProfile },
    refusals: { '404 profile_not_found': 'there never was one' },
    async handle({ identity, params }, context: ServiceContext) {
      const { username, updated_at } = await eraseProfile(context, identity, params.username);
      return { status: 200, body: { username, erasedAt: updated_at } };
    },
  }),
  route({
    method: 'DELETE',
    path: '/internal/customers/profiles/{username}',
    access: ['service'],
    summary: 'Undo what a registration made.',
    internal: true,
    params: ProfilePath,
    query: Type.Object({ registration_id: Identifier(128) }, { additionalProperties: false }),
    replies: { 200: Type.Object({ withdrawn: Type.Boolean() }) },
    async handle({ params, query }, context: ServiceContext) {
      const withdrawn = await withdrawProfile(context, params.username, query.registration_id);
      return { status: 200, body: { withdrawn } };
    },
  }),
];

export const routes: readonly Route<ServiceContext>[] = [...publicRoutes, ...internalRoutes];

function tag({ version }: ProfileRow): Record<string, string> {
  return { etag: `"${version}"` };
}
