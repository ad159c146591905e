/**
 * `waybill user`: users made, found and changed by whoever owns the database. So the first admin
 * comes about, and nobody is locked out for ever. Works on the database, whether or not a Waybill
 * runs; one that does refuses the tokens of before within its usual seconds.
 */
import { text as readAll } from 'node:stream/consumers';
import {
  auth,
  changeUser,
  createUser,
  listUsers,
  openKeyRing,
  openPasswords,
  overridePassword,
  type Rights,
} from '@waybill/auth/index.ts';
import { UserByHand, USER_ROLES, type UserRole } from '@waybill/auth/contract.ts';
import { orderRoles, passwordFaults } from '@waybill/auth/rules.ts';
import type { Values } from '@waybill/kit/config.ts';
import { openDatabase, type Database, type Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { newToken } from '@waybill/kit/ids.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { roleOf, rolePassword } from '@waybill/kit/migrate.ts';
import { migrate } from '@waybill/kit/run.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';
import { configure } from '@waybill/kit/settings.ts';
import { compileBody, createValidators } from '@waybill/kit/validation.ts';
import { withDatabase } from '../own-database.ts';
import { readPlatform } from '../platform.ts';
import { UsageFault } from '../services.ts';
import { renderTable } from '../text-table.ts';

export interface CreateOptions extends PasswordOptions {
  readonly email?: string;
  readonly phone?: string;
  readonly role?: readonly string[];
  readonly executor?: string;
}

export interface PasswordOptions {
  readonly passwordStdin?: boolean;
}

/** Makes a user; prints the password when it was made here. */
export async function create(username: string, options: CreateOptions): Promise<void> {
  const { email = null, phone = null, executor: executorId = null } = options;
  const roles = rolesOf(options.role ?? ['customer']);
  refuseMisspelt({ username, ...(email && { email }), ...(phone && { phone }) });
  refuseStrayExecutor(roles, executorId);
  await onUsers(async ({ db, settings }) => {
    const password = await passwordOf(options, settings.passwordMinLength);
    const user = { username, email, phone, roles, executorId, passwordHash: password.hash };
    const made = await inTransaction(db, (tx) => createUser(tx, user));
    print(`${made.username} (${made.roles.join(', ')}) has the id ${made.id}.`);
    password.tell();
  });
}

/** Lists users by name. */
export async function list({ role }: { role?: string }): Promise<void> {
  const [wanted = null] = role === undefined ? [] : rolesOf([role]);
  await onUsers(async ({ db }) => {
    const page = 500;
    let after = '';
    for (;;) {
      const users = await listUsers(db, after, wanted, page);
      const rows = users.map(({ username, roles, executor_id, state, email, created_at }) => [
        username,
        roles.join(', ') + (executor_id === null ? '' : ` (${executor_id})`),
        state,
        email ?? '–',
        created_at,
      ]);
      if (rows.length > 0 || after === '')
        print(renderTable(['name', 'roles', 'state', 'e-mail', 'since'], rows));
      if (users.length < page) return;
      after = users.at(-1)?.name_key ?? '';
    }
  });
}

/** Gives a user roles. */
export async function grant(
  username: string,
  roles: readonly string[],
  { executor }: { executor?: string },
): Promise<void> {
  const more = rolesOf(roles);
  refuseStrayExecutor(more, executor ?? null);
  await change(username, (held) => ({
    roles: [...held, ...more],
    ...(executor === undefined ? {} : { executorId: executor }),
  }));
}

/** Takes roles from a user. */
export async function revoke(username: string, roles: readonly string[]): Promise<void> {
  const fewer = rolesOf(roles);
  await change(username, (held) => ({ roles: held.filter((role) => !fewer.includes(role)) }));
}

/** Lets a user no longer in; every session ends. */
export async function disable(username: string): Promise<void> {
  await change(username, () => ({ state: 'disabled' }));
}

export async function enable(username: string): Promise<void> {
  await change(username, () => ({ state: 'active' }));
}

/** Sets a password; every session ends. */
export async function setPassword(username: string, options: PasswordOptions): Promise<void> {
  await onUsers(async ({ db, settings }) => {
    const password = await passwordOf(options, settings.passwordMinLength);
    const user = await inTransaction(db, (tx) => overridePassword(tx, username, password.hash));
    print(`${user.username} has a new password, and no session.`);
    password.tell();
  });
}

/** Signs with a new key from now on; tokens of before stay good. */
export async function rotateKeys(): Promise<void> {
  await onUsers(async ({ db, settings, secret }) => {
    const { accessTtlSeconds, keyRotationDays: rotationDays } = settings;
    const log = openLogger('silent');
    const ring = openKeyRing({ db, log, secret, accessTtlSeconds, rotationDays });
    await ring.rotateNow();
    print('Access tokens are signed with a new key within seconds.');
  });
}

async function change(
  username: string,
  what: (held: readonly UserRole[]) => Rights,
): Promise<void> {
  await onUsers(async ({ db }) => {
    const user = await inTransaction(db, (tx) => changeUser(tx, username, what));
    const roles = user.roles.length === 0 ? 'no role' : user.roles.join(', ');
    print(`${user.username} is ${user.state}, with ${roles}.`);
  });
}

interface Users {
  readonly db: Database;
  readonly settings: Values<typeof auth.settings> & {
    readonly accessTtlSeconds: number;
    readonly keyRotationDays: number;
    readonly passwordMinLength: number;
  };
  readonly secret: Buffer;
}

/** Opens the users' tables, which are made if need be, as the service itself does. */
async function onUsers(work: (users: Users) => Promise<void>): Promise<void> {
  const { environment, platform } = readPlatform();
  await withDatabase({ platform, create: true }, async (url) => {
    const configuration = configure([auth], environment, url);
    await migrate([auth], configuration, openLogger('silent'));
    const { secret, databaseRolePrefix } = configuration.platform;
    const role = roleOf(databaseRolePrefix, 'auth');
    const db = openDatabase({
      url: configuration.databaseUrls.get('auth') ?? url,
      service: 'auth',
      role,
      password: rolePassword(secret, role),
      poolSize: 2,
      onError: () => {},
    });
    try {
      const settings = configuration.settings.get('auth') as Users['settings'];
      await work({ db, settings, secret: deriveKey(secret, 'signing-keys') });
    } finally {
      await db.close();
    }
  });
}

/** What the rules refuse is the caller's mistake, told in a sentence. */
async function inTransaction<Result>(
  db: Database,
  work: (tx: Tx) => Promise<Result>,
): Promise<Result> {
  try {
    return await db.transaction(work);
  } catch (error) {
    if (error instanceof Refusal) throw new UsageFault(error.message);
    throw error;
  }
}

function rolesOf(names: readonly string[]): UserRole[] {
  const unknown = names.find((name) => !USER_ROLES.includes(name as UserRole));
  if (unknown !== undefined)
    throw new UsageFault(`There is no role "${unknown}"; there are ${USER_ROLES.join(', ')}.`);
  return orderRoles(names);
}

const SPELLINGS: Readonly<Record<string, string>> = {
  '/username':
    'A user name has up to 128 letters and digits of any script, and . _ - between them.',
  '/email': 'That is not an e-mail address.',
  '/phone': 'That is not a telephone number.',
};

function refuseMisspelt(user: object): void {
  const check = compileBody(createValidators(), UserByHand);
  if (check(user)) return;
  const place = check.errors?.[0]?.instancePath ?? '';
  throw new UsageFault(SPELLINGS[place] ?? 'That is no user.');
}

function refuseStrayExecutor(roles: readonly UserRole[], executorId: string | null): void {
  if (roles.includes('executor') !== (executorId !== null))
    throw new UsageFault('The role executor and --executor ID go together.');
}

/** From standard input, because what stands on a command line is seen by all; else a new one. */
async function passwordOf({ passwordStdin }: PasswordOptions, minLength: number) {
  const given = passwordStdin === true;
  const password = given ? (await readAll(process.stdin)).replace(/\r?\n$/, '') : newToken(15);
  const [fault] = passwordFaults(password, minLength, '');
  if (fault !== undefined) throw new UsageFault(`The password ${fault.detail}.`);
  const hash = await (await openPasswords()).hash(password);
  return { hash, tell: () => (given ? undefined : print(`password: ${password}`)) };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
