/**
 * Customers: who a person is and how they are reached.
 *
 * A *profile* holds a person's contact data, under their user name. To *erase* it is for ever: what
 * it held goes, and the user name is never given to anybody else, because the books keep it. A
 * profile that a registration made is *withdrawn* when that registration fails; its name is free.
 */
import {
  EmailAddress,
  Identifier,
  Nullable,
  PathIdentifier,
  PhoneNumber,
  Text,
  Timestamp,
  Type,
  matching,
  type Static,
} from '@waybill/kit/schema.ts';

/** By which name and prefixes the gateway finds the service. */
export const customersService = { name: 'customers', paths: ['/api/v1/user'] } as const;

const closed = { additionalProperties: false };

const Address = Type.Object(
  {
    label: Type.Optional(Text(60, { examples: ['home'] })),
    recipient: Type.Optional(Text(200, { examples: ['Ada Lovelace'] })),
    line1: Text(200, { examples: ['1 Main Street'] }),
    line2: Type.Optional(Text(200)),
    city: Text(100, { examples: ['Springfield'] }),
    region: Type.Optional(Text(100)),
    postalCode: Type.Optional(Text(20, { examples: ['12345'] })),
    country: Type.Optional(
      Type.String({
        ...matching('^[A-Z]{2}$', 'be an ISO 3166-1 code such as US'),
        description: 'ISO 3166-1',
        examples: ['US'],
      }),
    ),
  },
  { ...closed, title: 'PostalAddress' },
);
export type Address = Static<typeof Address>;

const username = PathIdentifier(128, { description: 'Normalised to NFC.', examples: ['ada'] });
const details = {
  email: EmailAddress(),
  phone: PhoneNumber(),
  firstName: Type.Optional(Text(100, { examples: ['Ada'] })),
  lastName: Type.Optional(Text(100, { examples: ['Lovelace'] })),
  addresses: Type.Optional(Type.Array(Address, { maxItems: 20 })),
};

export const CreateProfile = Type.Object(
  { username, ...details },
  { ...closed, title: 'CreateProfile' },
);

/** Replaces the profile as a whole: what is left out is gone. */
export const ReplaceProfile = Type.Object(
  {
    username: Type.Optional(
      Identifier(128, { description: 'As in the path, if it is given at all.' }),
    ),
    ...details,
  },
  { ...closed, title: 'ReplaceProfile' },
);
export type ReplaceProfile = Static<typeof ReplaceProfile>;

export const Profile = Type.Object(
  {
    username: Type.String({ examples: ['ada'] }),
    email: Nullable(Type.String({ examples: ['ada@example.com'] })),
    phone: Nullable(Type.String({ examples: ['+1 555 0100'] })),
    firstName: Type.Optional(Type.String({ examples: ['Ada'] })),
    lastName: Type.Optional(Type.String({ examples: ['Lovelace'] })),
    addresses: Type.Array(Address),
  },
  { title: 'Profile', description: 'The profile.' },
);
export type Profile = Static<typeof Profile>;

export const ErasedProfile = Type.Object(
  { username: Type.String({ examples: ['ada'] }), erasedAt: Timestamp },
  { title: 'ErasedProfile', description: 'It is gone.' },
);

export const ProfilePath = Type.Object({ username: PathIdentifier(128) }, closed);

/**
 * The services that are asked for what they hold about a person, and under which name the export
 * shows it. Each offers `GET /internal/<service>/export?username=&after=` → `ExportPage`.
 */
export const EXPORTED = [
  ['user', 'auth'],
  ['orders', 'orders'],
  ['wallet', 'billing'],
  ['notifications', 'notifications'],
] as const;

/** What one of them answers: things of the person, and where the next page begins, if any. */
export interface ExportPage {
  readonly items: readonly unknown[];
  readonly next: string | null;
}

const Part = Type.Array(Type.Unknown(), {
  description: 'As the service itself shows them.',
  examples: [[]],
});

export const PersonExport = Type.Object(
  {
    exportedAt: Timestamp,
    profile: Profile,
    user: Part,
    orders: Part,
    wallet: Part,
    notifications: Part,
  },
  { title: 'PersonExport', description: 'Everything that is held about the person.' },
);

/** Of a person who registers at the petstore's door, neither address nor number may be known. */
export const RegisterProfile = Type.Object(
  {
    username: PathIdentifier(128),
    email: Type.Optional(Nullable(EmailAddress())),
    phone: Type.Optional(Nullable(PhoneNumber())),
    first_name: Type.Optional(Nullable(Text(100))),
    last_name: Type.Optional(Nullable(Text(100))),
    registration_id: Identifier(128),
  },
  closed,
);
export type RegisterProfile = Static<typeof RegisterProfile>;

/** Changes what is given, and leaves the rest. */
export const AmendProfile = Type.Object(
  {
    email: Type.Optional(Nullable(EmailAddress())),
    phone: Type.Optional(Nullable(PhoneNumber())),
    first_name: Type.Optional(Nullable(Text(100))),
    last_name: Type.Optional(Nullable(Text(100))),
  },
  closed,
);
export type AmendProfile = Static<typeof AmendProfile>;

/** How other services see a profile. */
export const Contact = Type.Object({
  username: Type.String(),
  email: Nullable(Type.String()),
  phone: Nullable(Type.String()),
  first_name: Nullable(Type.String()),
  last_name: Nullable(Type.String()),
});
export type Contact = Static<typeof Contact>;

export type ProfileEventType =
  | 'PROFILE_CREATED'
  | 'PROFILE_UPDATED'
  | 'PROFILE_WITHDRAWN'
  | 'PROFILE_ERASED';

/** What every event of a profile carries; the key is the user name. No contact data. */
export interface ProfileEvent {
  readonly username: string;
  /** Names of the fields that changed, for whoever keeps a copy. */
  readonly changed: readonly string[];
}
