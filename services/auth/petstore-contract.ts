/** Door C: users under the published petstore contract (spec chapter C). */
import { EmailAddress, PhoneNumber, Text, Type, type Static } from '@waybill/kit/schema.ts';
import { NewPassword, Username } from './contract.ts';

export const PETSTORE_USERS = '/api/v3/user';

const details = {
  id: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'The number of the user; allotted when absent or 0.',
      examples: [10],
    }),
  ),
  firstName: Type.Optional(Text(100, { examples: ['John'] })),
  lastName: Type.Optional(Text(100, { examples: ['James'] })),
  email: Type.Optional(EmailAddress()),
  phone: Type.Optional(PhoneNumber()),
  userStatus: Type.Optional(
    Type.Integer({
      minimum: -2_147_483_648,
      maximum: 2_147_483_647,
      description: 'Kept and shown.',
      examples: [1],
    }),
  ),
};

/** What clients send. Fields that it does not name are ignored, as the petstore allows. */
export const CreateStoreUser = Type.Object(
  { ...details, username: Username, password: NewPassword },
  { title: 'CreateStoreUser' },
);
export type CreateStoreUser = Static<typeof CreateStoreUser>;

/** Each costs a hash of its password, and two calls. */
export const CreateStoreUsers = Type.Array(CreateStoreUser, {
  minItems: 1,
  maxItems: 50,
  title: 'CreateStoreUsers',
});

export const UpdateStoreUser = Type.Object(
  { ...details, username: Type.Optional(Username), password: Type.Optional(NewPassword) },
  { title: 'UpdateStoreUser' },
);
export type UpdateStoreUser = Static<typeof UpdateStoreUser>;

/** The password is nobody's to read. */
export const StoreUser = Type.Object(
  {
    id: Type.Integer({ examples: [10] }),
    username: Type.String({ examples: ['theUser'] }),
    firstName: Type.Optional(Type.String({ examples: ['John'] })),
    lastName: Type.Optional(Type.String({ examples: ['James'] })),
    email: Type.Optional(Type.String({ examples: ['john@example.com'] })),
    phone: Type.Optional(Type.String({ examples: ['12345'] })),
    userStatus: Type.Integer({ examples: [1] }),
  },
  { title: 'StoreUser', description: 'The user.' },
);
export type StoreUser = Static<typeof StoreUser>;

export const StoreUserPath = Type.Object({ username: Username }, { additionalProperties: false });

/** The petstore's own: both stand in the address, which is why nobody may log it. */
export const StoreLoginQuery = Type.Object({
  username: Type.Optional(Type.String({ maxLength: 254, description: 'The user name.' })),
  password: Type.Optional(Type.String({ maxLength: 1024, description: 'The password.' })),
});
