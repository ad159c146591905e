/** The door: register, log in and out, passwords, links, and the keys of the tokens. */
import { route, type Route } from '@waybill/kit/route.ts';
import { Identifier, Type } from '@waybill/kit/schema.ts';
import {
  changePassword,
  confirmEmail,
  forgotPassword,
  login,
  logout,
  readMe,
  resendVerification,
  resetPassword,
} from './commands.ts';
import type { AuthContext } from './context.ts';
import {
  ChangePassword,
  ConfirmReset,
  KeySet,
  Login,
  Logout,
  Me,
  Refresh,
  Register,
  Registered,
  RequestReset,
  RevocationPage,
  RevocationQuery,
  TokenSet,
  USER_ROLES,
  VerifyEmail,
} from './contract.ts';
import { once } from './once.ts';
import { petstoreRoutes } from './petstore-routes.ts';
import { register } from './registration.ts';
import { nameKeyOf } from './rules.ts';
import { refreshSession, tokensOf } from './sessions.ts';
import { findUser } from './store.ts';
import { readRevocations, renderExport } from './views.ts';

const DONE = { 204: { description: 'Done.' } } as const;
const OVERRUN = {
  '429 rate_limited': 'too many from this address, or for this name; see Retry-After',
} as const;
const BAD_PASSWORD = {
  '422 invalid_body': 'also: a password that is too short or longer than 1024 bytes',
} as const;
/** Tokens are nobody else's to keep (RFC 6749, 5.1). */
const UNKEPT = { 'cache-control': 'no-store' } as const;

const enter: readonly Route<AuthContext>[] = [
  route({
    method: 'POST',
    path: '/api/v1/auth/register',
    access: 'public',
    operationId: 'register',
    summary: 'Register: a user, a profile and a wallet account.',
    description:
      'All of it or nothing: what was made is undone when a part fails. With `login: true` the ' +
      'answer holds tokens; a repeat with the same Idempotency-Key gets fresh ones, as long as ' +
      'the password is still the same. A link to verify the e-mail address is mailed.',
    body: Register,
    idempotent: true,
    replies: { 201: Registered },
    refusals: {
      '401 invalid_credentials': 'a repeat with `login` came after the password was changed',
      '409 username_taken':
        'somebody has the name, or had it; with Retry-After: perhaps not for long',
      '409 email_taken': 'somebody has the e-mail address',
      '422 invalid_body': `${BAD_PASSWORD['422 invalid_body']}, or a reserved name`,
      ...OVERRUN,
    },
    async handle({ body, idempotency, origin, deadline }, context: AuthContext) {
      const asked = {
        ...body,
        firstName: body.firstName ?? null,
        lastName: body.lastName ?? null,
        login: body.login ?? false,
        number: null,
        userStatus: 0,
      };
      const result = await register(context, asked, { origin, deadline, idempotency });
      const { username } = result.user;
      const headers = { ...UNKEPT, location: `/api/v1/user/${encodeURIComponent(username)}` };
      if (result.kind === 'made') {
        const { granted, user } = result;
        const tokens = granted === undefined ? {} : await tokensOf(context, granted);
        return { status: 201, body: { ...tokens, userInfo: user }, headers };
      }
      const again = { username, password: body.password };
      const tokens = asked.login ? await login(context, again, origin) : {};
      return {
        status: 201,
        body: { ...tokens, userInfo: result.user },
        headers: { ...headers, 'idempotent-replayed': 'true' },
      };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/login',
    access: 'public',
    operationId: 'login',
    summary: 'Log in by user name or e-mail address.',
    description: 'Nothing tells whether the name exists. Begins a session of its own.',
    body: Login,
    replies: { 200: TokenSet },
    refusals: {
      '401 invalid_credentials': 'the name or the password is not right, or the user is disabled',
      ...OVERRUN,
    },
    async handle({ body, origin }, context: AuthContext) {
      return { status: 200, body: await login(context, body, origin), headers: UNKEPT };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/refresh',
    access: 'public',
    operationId: 'refresh',
    summary: 'Exchange a refresh token for new tokens.',
    description:
      'A refresh token is good once. Shown again it ends its session, because two have it; of ' +
      'several requests at once one is served, and the others are refused. A session goes on for ' +
      '90 days at most.',
    body: Refresh,
    replies: { 200: TokenSet },
    refusals: { '401 invalid_refresh_token': 'it is used, too old, or its session has ended' },
    async handle({ body }, context: AuthContext) {
      const tokens = await refreshSession(context, body.refreshToken);
      return { status: 200, body: tokens, headers: UNKEPT };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/logout',
    access: 'public',
    operationId: 'logout',
    summary: 'End a session: of the refresh token, or of the access token.',
    description:
      'Answers the same whatever the token was. Access tokens of the session are refused ' +
      'within 5 s.',
    body: Logout,
    bodyOptional: true,
    replies: DONE,
    async handle({ identity, body }, context: AuthContext) {
      await logout(context, identity, body?.refreshToken);
      return { status: 204 };
    },
  }),
];

const account: readonly Route<AuthContext>[] = [
  route({
    method: 'GET',
    path: '/api/v1/auth/me',
    access: USER_ROLES,
    operationId: 'readMe',
    summary: 'Who is asking.',
    replies: { 200: Me },
    refusals: { '404 user_not_found': 'the caller has no user account here' },
    async handle({ identity }, context: AuthContext) {
      return { status: 200, body: await readMe(context, identity) };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/password',
    access: USER_ROLES,
    operationId: 'changePassword',
    idempotent: true,
    summary: 'Change the own password; other sessions end.',
    body: ChangePassword,
    replies: DONE,
    refusals: {
      '403 wrong_password': 'the current password is not right',
      '404 user_not_found': 'the caller has no user account here',
      '409 password_changed': 'it was changed at the same time',
      ...BAD_PASSWORD,
      ...OVERRUN,
    },
    handle: ({ identity, body, origin, idempotency }, context: AuthContext) =>
      once(context, idempotency, 204, () => changePassword(context, identity, body, origin)),
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/password-reset',
    access: 'public',
    operationId: 'requestPasswordReset',
    idempotent: true,
    summary: 'Have a link to set a new password mailed.',
    description: 'Answers the same whether anybody has the address. The link is good for an hour.',
    body: RequestReset,
    replies: { 202: { description: 'If somebody has the address, a mail is on its way.' } },
    refusals: OVERRUN,
    handle: ({ body, origin, idempotency }, context: AuthContext) =>
      once(context, idempotency, 202, async () => forgotPassword(context, body.email, origin)),
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/password-reset/confirm',
    access: 'public',
    operationId: 'confirmPasswordReset',
    idempotent: true,
    summary: 'Set a new password by a mailed link; all sessions end.',
    body: ConfirmReset,
    replies: DONE,
    refusals: { '400 invalid_link': 'the link was used, or is too old', ...BAD_PASSWORD },
    handle: ({ body, origin, idempotency }, context: AuthContext) =>
      once(context, idempotency, 204, () => resetPassword(context, body, origin)),
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/verify-email',
    access: 'public',
    operationId: 'verifyEmail',
    idempotent: true,
    summary: 'Verify an e-mail address by a mailed link.',
    body: VerifyEmail,
    replies: DONE,
    refusals: { '400 invalid_link': 'the link was used, or is too old' },
    handle: ({ body, idempotency }, context: AuthContext) =>
      once(context, idempotency, 204, async () => confirmEmail(body.token)),
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/verify-email/resend',
    access: USER_ROLES,
    operationId: 'resendVerification',
    idempotent: true,
    summary: 'Have the link to verify the own address mailed again.',
    replies: { 202: { description: 'A mail is on its way, unless the address is verified.' } },
    refusals: { '404 user_not_found': 'the caller has no user account here', ...OVERRUN },
    handle: ({ identity, origin, idempotency }, context: AuthContext) =>
      once(context, idempotency, 202, () => resendVerification(context, identity, origin)),
  }),
];

const keys: readonly Route<AuthContext>[] = [
  route({
    method: 'GET',
    path: '/.well-known/jwks.json',
    access: 'public',
    operationId: 'readKeySet',
    summary: 'The public keys of access tokens (JWKS).',
    description: 'A new key stands here ten minutes before it signs.',
    replies: { 200: KeySet },
    async handle(_call, context: AuthContext) {
      const headers = { 'cache-control': 'public, max-age=300' };
      return { status: 200, body: await context.keys.published(), headers };
    },
  }),
  route({
    method: 'GET',
    path: '/internal/auth/keys',
    access: ['service'],
    summary: 'The public keys of access tokens.',
    internal: true,
    replies: { 200: KeySet },
    handle: async (_call, context: AuthContext) => ({
      status: 200,
      body: await context.keys.published(),
    }),
  }),
  route({
    method: 'GET',
    path: '/internal/auth/revocations',
    access: ['service'],
    summary: 'What was taken back, in order.',
    internal: true,
    query: RevocationQuery,
    replies: { 200: RevocationPage },
    handle: async ({ query }, { db }: AuthContext) => ({
      status: 200,
      body: await readRevocations(db, query.after ?? 0, query.limit ?? 1000),
    }),
  }),
  route({
    method: 'GET',
    path: '/internal/auth/export',
    access: ['service'],
    summary: 'What is held about a user.',
    internal: true,
    query: Type.Object(
      { username: Identifier(128), after: Type.Optional(Type.String({ maxLength: 200 })) },
      { additionalProperties: false },
    ),
    replies: { 200: { description: 'One page.' } },
    async handle({ query }, { db }: AuthContext) {
      const user = await findUser(db, nameKeyOf(query.username));
      const items = user?.username === query.username ? [renderExport(user)] : [];
      return { status: 200, body: { items, next: null } };
    },
  }),
];

export const routes: readonly Route<AuthContext>[] = [
  ...enter,
  ...account,
  ...keys,
  ...petstoreRoutes,
];
