/** Door C: the petstore's seven operations on users. */
import { epochMs } from '@waybill/kit/clock.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { Type } from '@waybill/kit/schema.ts';
import { logout } from './commands.ts';
import type { AuthContext } from './context.ts';
import { USER_ROLES } from './contract.ts';
import {
  createStoreUser,
  createStoreUsers,
  deleteStoreUser,
  loginStoreUser,
  readStoreUser,
  updateStoreUser,
} from './petstore.ts';
import {
  CreateStoreUser,
  CreateStoreUsers,
  PETSTORE_USERS,
  StoreLoginQuery,
  StoreUser,
  StoreUserPath,
  UpdateStoreUser,
} from './petstore-contract.ts';

const TAKEN = {
  '409 username_taken': 'somebody has the name, or had it; with Retry-After: perhaps not for long',
  '409 email_taken': 'somebody has the e-mail address',
} as const;
const BAD_PASSWORD = {
  '422 invalid_body': 'also: a password that is too short or longer than 1024 bytes',
} as const;
const NOT_FOUND = { '404 user_not_found': 'there is none that the caller may see' } as const;
const REPLAYED = { 'idempotent-replayed': 'true' } as const;
/** No limit, as the petstore's 32 bits can tell it. */
const UNLIMITED = 2_147_483_647;

export const petstoreRoutes: readonly Route<AuthContext>[] = [
  route({
    method: 'POST',
    path: PETSTORE_USERS,
    access: 'public',
    operationId: 'createUser',
    summary: 'Register a user, under the petstore’s names.',
    description: 'With a profile and a wallet account. E-mail address and number may be left out.',
    body: CreateStoreUser,
    idempotent: true,
    replies: { 200: StoreUser },
    refusals: {
      ...TAKEN,
      ...BAD_PASSWORD,
      '404 user_not_found': 'a repeat came after the user was deleted',
    },
    async handle({ body, ...call }, context: AuthContext) {
      const { user, replayed } = await createStoreUser(context, body, call);
      return { status: 200, body: user, headers: replayed ? REPLAYED : {} };
    },
  }),
  route({
    method: 'POST',
    path: `${PETSTORE_USERS}/createWithList`,
    access: 'public',
    operationId: 'createUsersWithListInput',
    summary: 'Register up to fifty users.',
    description:
      'One after the other; the answer is the last one. One that is refused ends it, and those ' +
      'before it stay: a repeat with the same Idempotency-Key goes on from there.',
    body: CreateStoreUsers,
    idempotent: true,
    replies: { 200: StoreUser },
    refusals: {
      ...TAKEN,
      ...BAD_PASSWORD,
      '404 user_not_found': 'a repeat came after the user was deleted',
    },
    async handle({ body, ...call }, context: AuthContext) {
      const { user, replayed } = await createStoreUsers(context, body, call);
      return { status: 200, body: user, headers: replayed ? REPLAYED : {} };
    },
  }),
  route({
    method: 'GET',
    path: `${PETSTORE_USERS}/login`,
    access: 'public',
    operationId: 'loginUser',
    summary: 'Log in; the answer is an access token.',
    description:
      'For the Authorization header. X-Expires-After tells until when, X-Rate-Limit how many ' +
      'requests an hour. POST /api/v1/auth/login does the same, and keeps the password out of ' +
      'the address.',
    query: StoreLoginQuery,
    replies: { 200: Type.String({ description: 'The access token.', examples: ['eyJhbGciOi'] }) },
    refusals: {
      '400 invalid_credentials': 'the name or the password is not right, or the user is disabled',
      '429 rate_limited': 'too many from this address, or for this name; see Retry-After',
    },
    async handle({ query, origin }, context: AuthContext) {
      const { accessToken, expiresIn } = await loginStoreUser(context, query, origin);
      const { authMode, rateLimit } = context.platform;
      const limited = authMode === 'jwt' && rateLimit > 0;
      return {
        status: 200,
        // As JSON text: the petstore's answer is a string.
        body: JSON.stringify(accessToken),
        headers: {
          'cache-control': 'no-store',
          'x-expires-after': new Date(epochMs() + expiresIn * 1000).toISOString(),
          'x-rate-limit': String(limited ? Math.min(rateLimit * 60, UNLIMITED) : UNLIMITED),
        },
      };
    },
  }),
  route({
    method: 'GET',
    path: `${PETSTORE_USERS}/logout`,
    access: 'public',
    operationId: 'logoutUser',
    summary: 'End the session of the access token.',
    description: 'Who is not logged in is logged out already.',
    replies: { 200: { description: 'Done.' } },
    async handle({ identity }, context: AuthContext) {
      await logout(context, identity, undefined);
      return { status: 200, headers: { 'cache-control': 'no-store' } };
    },
  }),
  route({
    method: 'GET',
    path: `${PETSTORE_USERS}/{username}`,
    access: USER_ROLES,
    operationId: 'getUserByName',
    summary: 'A user, for themselves and for admins.',
    params: StoreUserPath,
    replies: { 200: StoreUser },
    refusals: NOT_FOUND,
    async handle({ identity, params, deadline }, context: AuthContext) {
      const user = await readStoreUser(context, identity, params.username, deadline);
      return { status: 200, body: user };
    },
  }),
  route({
    method: 'PUT',
    path: `${PETSTORE_USERS}/{username}`,
    access: USER_ROLES,
    operationId: 'updateUser',
    summary: 'Change what is given of a user.',
    description: 'With another password, every other session of the user ends.',
    params: StoreUserPath,
    body: UpdateStoreUser,
    replies: { 200: StoreUser },
    refusals: {
      ...NOT_FOUND,
      '409 email_taken': 'somebody has the e-mail address',
      '422 invalid_body': `${BAD_PASSWORD['422 invalid_body']}, or another name than the path's`,
    },
    async handle({ identity, params, body, deadline }, context: AuthContext) {
      const user = await updateStoreUser(context, identity, params.username, body, deadline);
      return { status: 200, body: user };
    },
  }),
  route({
    method: 'DELETE',
    path: `${PETSTORE_USERS}/{username}`,
    access: USER_ROLES,
    operationId: 'deleteUser',
    summary: 'Erase a user for ever, profile and all.',
    description: 'Orders and the ledger keep the name, which nobody else gets.',
    params: StoreUserPath,
    replies: { 200: { description: 'The user is gone.' } },
    refusals: NOT_FOUND,
    async handle({ identity, params, deadline }, context: AuthContext) {
      await deleteStoreUser(context, identity, params.username, deadline);
      return { status: 200 };
    },
  }),
];
