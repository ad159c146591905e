/**
 * Auth: who may enter, and as what.
 *
 * A *user* is somebody with a name, a password and roles; the name is the customer id of their
 * orders. A *session* is what one login begins and a logout ends; its refresh tokens, each good
 * once, are its family. To *register* makes the user, the profile and the wallet account together.
 */
import {
  EmailAddress,
  Identifier,
  OneOf,
  PhoneNumber,
  Text,
  Timestamp,
  Type,
  matching,
  type Static,
} from '@waybill/kit/schema.ts';

/** By which name and prefixes the gateway finds the service. */
export const authService = {
  name: 'auth',
  paths: ['/api/v1/auth', '/.well-known/jwks.json', '/api/v3/user'],
} as const;

export const USER_ROLES = ['customer', 'executor', 'operator', 'admin', 'service'] as const;
export type UserRole = (typeof USER_ROLES)[number];

const closed = { additionalProperties: false };
const EXAMPLE_ID = '019a0000-0000-7000-8000-000000000001';
const EXAMPLE_TOKEN = 'bm90IGEgdG9rZW4sIGJ1dCBpdCBsb29rcyBsaWtlIG9uZQ';
const EXAMPLE_PASSWORD = 'correct horse battery staple';

/**
 * Letters and digits of any script, and `. _ -` between them: it stands in paths, so nothing there
 * needs escaping but letters, and it is no e-mail address, by which one may log in as well.
 */
const USERNAME = '^[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N}._-]*$';

export const Username = Type.String({
  minLength: 1,
  maxLength: 128,
  ...matching(USERNAME, 'be letters and digits, and . _ - after the first'),
  description: 'Unique, whatever the case of its letters; normalised to NFC.',
  examples: ['ada'],
});

/** Any text of at most 1 kB; the bytes count as they are. The shortest length is a setting. */
export const NewPassword = Type.String({
  minLength: 1,
  maxLength: 1024,
  description: 'At least PASSWORD_MIN_LENGTH characters, at most 1024 bytes of UTF-8.',
  examples: [EXAMPLE_PASSWORD],
});
const GivenPassword = Type.String({
  minLength: 1,
  maxLength: 1024,
  examples: [EXAMPLE_PASSWORD],
});
const Token = Type.String({
  minLength: 1,
  maxLength: 200,
  ...matching('^[A-Za-z0-9_-]+$', 'be letters, digits, _ and -'),
  examples: [EXAMPLE_TOKEN],
});

export const Register = Type.Object(
  {
    username: Username,
    email: EmailAddress(),
    phone: PhoneNumber(),
    password: NewPassword,
    firstName: Type.Optional(Text(100, { examples: ['Ada'] })),
    lastName: Type.Optional(Text(100, { examples: ['Lovelace'] })),
    login: Type.Optional(Type.Boolean({ description: 'Log in at once.', examples: [true] })),
  },
  { ...closed, title: 'Register' },
);
export type Register = Static<typeof Register>;

/** What the command line is told of a user. */
export const UserByHand = Type.Object(
  {
    username: Username,
    email: Type.Optional(EmailAddress()),
    phone: Type.Optional(PhoneNumber()),
  },
  closed,
);

export const Login = Type.Object(
  {
    username: Identifier(254, { description: 'The user name or e-mail address.' }),
    password: GivenPassword,
  },
  { ...closed, title: 'Login', examples: [{ username: 'ada', password: EXAMPLE_PASSWORD }] },
);
export type Login = Static<typeof Login>;

export const Refresh = Type.Object({ refreshToken: Token }, { ...closed, title: 'Refresh' });

export const Logout = Type.Object(
  { refreshToken: Type.Optional(Token) },
  { ...closed, title: 'Logout' },
);

export const ChangePassword = Type.Object(
  { currentPassword: GivenPassword, newPassword: NewPassword },
  { ...closed, title: 'ChangePassword' },
);

export const RequestReset = Type.Object(
  { email: EmailAddress() },
  { ...closed, title: 'RequestPasswordReset' },
);

export const ConfirmReset = Type.Object(
  { token: Token, password: NewPassword },
  { ...closed, title: 'ConfirmPasswordReset' },
);

export const VerifyEmail = Type.Object({ token: Token }, { ...closed, title: 'VerifyEmail' });

export const UserInfo = Type.Object(
  {
    id: Type.String({ description: 'UUIDv7', examples: [EXAMPLE_ID] }),
    username: Type.String({ examples: ['ada'] }),
    roles: Type.Array(OneOf(USER_ROLES), { examples: [['customer']] }),
  },
  { title: 'UserInfo' },
);
export type UserInfo = Static<typeof UserInfo>;

const tokens = {
  accessToken: Type.String({
    description: 'A JWT (RFC 9068), for the Authorization header.',
    examples: ['eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl'],
  }),
  refreshToken: Type.String({ description: 'Good once.', examples: [EXAMPLE_TOKEN] }),
  tokenType: OneOf(['Bearer']),
  expiresIn: Type.Integer({ description: 'Seconds that accessToken is good.', examples: [3600] }),
};

export const TokenSet = Type.Object(
  { ...tokens, userInfo: UserInfo },
  { title: 'TokenSet', description: 'Tokens of a session.' },
);
export type TokenSet = Static<typeof TokenSet>;

/** With `login: true` the tokens stand beside the user. */
export const Registered = Type.Object(
  {
    accessToken: Type.Optional(tokens.accessToken),
    refreshToken: Type.Optional(tokens.refreshToken),
    tokenType: Type.Optional(tokens.tokenType),
    expiresIn: Type.Optional(tokens.expiresIn),
    userInfo: UserInfo,
  },
  { title: 'Registered', description: 'The user; with `login: true` also tokens.' },
);

export const Me = Type.Object(
  {
    id: Type.String({ description: 'UUIDv7', examples: [EXAMPLE_ID] }),
    username: Type.String({ examples: ['ada'] }),
    email: Type.Union([Type.String(), Type.Null()], { examples: ['ada@example.com'] }),
    emailVerified: Type.Boolean(),
    roles: Type.Array(OneOf(USER_ROLES), { examples: [['customer']] }),
    createdAt: Timestamp,
  },
  { title: 'Me', description: 'The user who asks.' },
);
export type Me = Static<typeof Me>;

export const KeySet = Type.Object(
  {
    keys: Type.Array(
      Type.Object({
        kty: Type.String({ examples: ['OKP'] }),
        crv: Type.String({ examples: ['Ed25519'] }),
        x: Type.String({ examples: ['11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'] }),
        kid: Type.String({ examples: ['kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'] }),
        alg: Type.String({ examples: ['EdDSA'] }),
        use: Type.String({ examples: ['sig'] }),
      }),
    ),
  },
  { title: 'KeySet', description: 'Public keys of access tokens (RFC 7517).' },
);

/** What was taken back: one session, or all tokens of a user that were issued before a moment. */
export interface Revocation {
  readonly kind: 'session' | 'user';
  readonly id?: string;
  readonly username?: string;
  readonly issued_before: string;
}

export const RevocationQuery = Type.Object(
  {
    after: Type.Optional(Type.Integer({ minimum: 0, description: '`next` of the page before' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 1000 })),
  },
  closed,
);

export const RevocationPage = Type.Object({
  revocations: Type.Array(
    Type.Object({
      kind: OneOf(['session', 'user']),
      id: Type.Optional(Type.String()),
      username: Type.Optional(Type.String()),
      issued_before: Timestamp,
    }),
  ),
  next: Type.String(),
});

/** What an event of a user carries; the key is the user's id. No contact data. */
export interface UserEvent {
  readonly user_id: string;
  readonly username: string;
  readonly roles: readonly UserRole[];
}

export type UserEventType =
  | 'USER_REGISTERED'
  | 'USER_ROLES_CHANGED'
  | 'USER_DISABLED'
  | 'USER_ENABLED'
  | 'USER_ERASED';
