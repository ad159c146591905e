/**
 * The petstore's users are the platform's: registered, logged in and erased by the same code.
 * Names, address and number are the profile's, which customers keep.
 */
import { deadlineIn, remainingMs, type Deadline } from '@waybill/kit/deadline.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import type { IdempotencyKey } from '@waybill/kit/idempotency.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { eraseUser } from './administration.ts';
import { login } from './commands.ts';
import type { AuthContext } from './context.ts';
import type { TokenSet } from './contract.ts';
import { askForVerification } from './links.ts';
import type { CreateStoreUser, StoreUser, UpdateStoreUser } from './petstore-contract.ts';
import { register, type Registration } from './registration.ts';
import { emailKeyOf, nameKeyOf, passwordFaults, refuseFaults } from './rules.ts';
import {
  endSessionsOf,
  findUser,
  insertRevocations,
  lockUser,
  setEmail,
  setPassword,
  setStoreFields,
  type UserRow,
} from './store.ts';

export interface StoreCall {
  readonly origin: string;
  readonly deadline: Deadline;
  readonly idempotency: IdempotencyKey | undefined;
}

/** Registers a user; a repeat with the same key is told of the same one. */
export async function createStoreUser(
  context: AuthContext,
  asked: CreateStoreUser,
  call: StoreCall,
): Promise<{ user: StoreUser; replayed: boolean }> {
  const { kind } = await register(context, registrationOf(asked), call);
  const user = await findUser(context.db, nameKeyOf(asked.username));
  if (user?.state !== 'active') throw notFound();
  return { user: await readProfileOf(context, user, call.deadline), replayed: kind === 'replayed' };
}

/**
 * Registers users one after the other. One that is refused ends it, and those before it stay; with
 * an Idempotency-Key a repeat goes on where the first one ended.
 */
export async function createStoreUsers(
  context: AuthContext,
  list: readonly CreateStoreUser[],
  call: StoreCall,
): Promise<{ user: StoreUser; replayed: boolean }> {
  const { passwordMinLength } = context.settings;
  refuseFaults(
    list.flatMap(({ password }, index) =>
      passwordFaults(password, passwordMinLength, `/${index}/password`),
    ),
  );
  let replayed = true;
  for (const [index, asked] of list.entries()) {
    const { idempotency } = call;
    const own = idempotency && { ...idempotency, key: `${idempotency.key} ${index}` };
    const registration = registrationOf(asked);
    const options = { ...call, idempotency: own, pointer: `/${index}` };
    const { kind } = await register(context, registration, options);
    replayed &&= kind === 'replayed';
  }
  const last = await findUser(context.db, nameKeyOf(list.at(-1)?.username ?? ''));
  if (last?.state !== 'active') throw notFound();
  return { user: await readProfileOf(context, last, call.deadline), replayed };
}

function registrationOf(asked: CreateStoreUser): Registration {
  const { username, password, email, phone, firstName, lastName, id, userStatus } = asked;
  return {
    username,
    password,
    email: email ?? null,
    phone: phone ?? null,
    firstName: firstName ?? null,
    lastName: lastName ?? null,
    login: false,
    number: numberOf(id),
    userStatus: userStatus ?? 0,
  };
}

function numberOf(id: number | undefined): bigint | null {
  return id === undefined || id === 0 ? null : BigInt(id);
}

/** A login as the petstore words it: 400 where others answer 401. */
export async function loginStoreUser(
  context: AuthContext,
  { username = '', password = '' }: { username?: string; password?: string },
  origin: string,
): Promise<TokenSet> {
  try {
    return await login(context, { username, password }, origin);
  } catch (error) {
    if (error instanceof Refusal && error.code === 'invalid_credentials')
      throw new Refusal(400, error.code, error.message);
    throw error;
  }
}

/** A user, for themselves and for admins. */
export async function readStoreUser(
  context: AuthContext,
  identity: Identity,
  username: string,
  deadline: Deadline,
): Promise<StoreUser> {
  return readProfileOf(context, await visibleUser(context, identity, username), deadline);
}

/** Changes what is given. With another password every session of the user ends but this one. */
export async function updateStoreUser(
  context: AuthContext,
  identity: Identity,
  username: string,
  asked: UpdateStoreUser,
  deadline: Deadline,
): Promise<StoreUser> {
  const { db, settings, passwords } = context;
  const user = await visibleUser(context, identity, username);
  const { email, password } = asked;
  const renamed = asked.username !== undefined && asked.username.normalize('NFC') !== user.username;
  refuseFaults([
    ...(renamed ? [{ pointer: '/username', detail: "must be the path's, if it is given" }] : []),
    ...(password === undefined
      ? []
      : passwordFaults(password, settings.passwordMinLength, '/password')),
  ]);
  const hash = password === undefined ? undefined : await passwords.hash(password);
  await db.transaction(async (tx) => {
    const locked = await lockUser(tx, user.id);
    if (locked?.state !== 'active') throw notFound();
    if (email !== undefined && emailKeyOf(email) !== locked.email_key) {
      if (!(await setEmail(tx, user.id, email, emailKeyOf(email))))
        throw new Refusal(409, 'email_taken', 'Somebody has this e-mail address.');
      await askForVerification(tx, user.id);
    }
    await setStoreFields(tx, user.id, numberOf(asked.id), asked.userStatus ?? null);
    if (hash === undefined) return;
    await setPassword(tx, user.id, hash);
    const own = identity.subject === user.username ? (identity.sessionId ?? null) : null;
    const ended = await endSessionsOf(tx, user.id, own);
    await insertRevocations(
      tx,
      ended.map((id) => ({ id })),
    );
  });
  await amendProfile(context, user, asked, deadline);
  return readStoreUser(context, identity, username, deadline);
}

/** Erases a user for ever, profile and all. */
export async function deleteStoreUser(
  context: AuthContext,
  identity: Identity,
  username: string,
  deadline: Deadline,
): Promise<void> {
  const user = await visibleUser(context, identity, username);
  const path = `${profileOf(user)}/erase`;
  // The profile first: news of it erases the user, should this process die in between.
  await orAbsent(
    context.client.call(
      'customers',
      { method: 'POST', path, body: {}, idempotent: true },
      within(deadline),
    ),
  );
  await context.db.transaction((tx) => eraseUser(tx, user.username));
}

async function visibleUser(
  context: AuthContext,
  identity: Identity,
  username: string,
): Promise<UserRow> {
  const user = await findUser(context.db, nameKeyOf(username));
  if (user?.state !== 'active') throw notFound();
  if (identity.subject === user.username || identity.roles.includes('admin')) return user;
  throw notFound();
}

function notFound(): Refusal {
  return new Refusal(404, 'user_not_found', 'There is no user of this name that you may see.');
}

interface Contact {
  readonly phone: string | null;
  readonly first_name: string | null;
  readonly last_name: string | null;
}

async function readProfileOf(
  { client }: AuthContext,
  user: UserRow,
  deadline: Deadline,
): Promise<StoreUser> {
  const call = { method: 'GET', path: profileOf(user), idempotent: true } as const;
  const contact = await orAbsent(client.call<Contact>('customers', call, within(deadline)));
  const given = {
    firstName: contact?.first_name,
    lastName: contact?.last_name,
    email: user.email,
    phone: contact?.phone,
  };
  const known = Object.entries(given).filter(([, value]) => typeof value === 'string');
  return {
    id: Number(user.number),
    username: user.username,
    ...(Object.fromEntries(known) as Record<string, string>),
    userStatus: user.user_status,
  };
}

/** Has the profile changed as well; who has none, made by hand, gets one. */
async function amendProfile(
  { client }: AuthContext,
  user: UserRow,
  { email, phone, firstName, lastName }: UpdateStoreUser,
  deadline: Deadline,
): Promise<void> {
  const given = { email, phone, first_name: firstName, last_name: lastName };
  const body = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  if (Object.keys(body).length === 0) return;
  const put = { method: 'PUT', path: profileOf(user), body, idempotent: true } as const;
  if ((await orAbsent(client.call('customers', put, within(deadline)))) !== undefined) return;
  const { id: registration_id, username } = user;
  const post = {
    method: 'POST',
    path: PROFILES,
    body: { ...body, username, registration_id },
    idempotent: true,
  } as const;
  await client.call('customers', post, within(deadline));
}

const PROFILES = '/internal/customers/profiles';
const STEP_MS = 4000;

function profileOf({ username }: UserRow): string {
  return `${PROFILES}/${encodeURIComponent(username)}`;
}

function within(deadline: Deadline): Deadline {
  return deadlineIn(Math.min(STEP_MS, remainingMs(deadline)));
}

/** A user made by hand may have no profile. */
async function orAbsent<Result>(call: Promise<Result>): Promise<Result | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return undefined;
    throw error;
  }
}
