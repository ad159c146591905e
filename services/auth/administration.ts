/** What is done to users by others: by admins at the command line, and by news of their profile. */
import { deadlineIn } from '@waybill/kit/deadline.ts';
import type { Database, Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { newId } from '@waybill/kit/ids.ts';
import { enqueue, type TaskRun } from '@waybill/kit/tasks.ts';
import type { AuthContext } from './context.ts';
import type { UserEventType, UserInfo, UserRole } from './contract.ts';
import { askForVerification } from './links.ts';
import { emailKeyOf, isReserved, nameKeyOf, orderRoles, type UserState } from './rules.ts';
import { userEvent, userInfoOf } from './sessions.ts';
import {
  activateUser,
  anonymiseUser,
  changeRights,
  endSessionsOf,
  findRivals,
  findUser,
  insertRevocations,
  insertUser,
  lockUser,
  setEmail,
  setPassword,
  type UserRow,
} from './store.ts';

export const PROVISION = 'provision_user';
export const FOLLOW = 'follow_email';

export interface NewByHand {
  readonly username: string;
  readonly email: string | null;
  readonly phone: string | null;
  readonly passwordHash: string;
  readonly roles: readonly UserRole[];
  readonly executorId: string | null;
}

/**
 * Makes a user at the command line, where the other services need not run: a customer's profile and
 * wallet account are made by a task, as soon as they do.
 */
export async function createUser(tx: Tx, asked: NewByHand): Promise<UserInfo> {
  const username = asked.username.normalize('NFC');
  if (isReserved(username, true))
    throw new Refusal(422, 'invalid_body', `Nobody can be called "${username}".`);
  const { email, phone, executorId, passwordHash } = asked;
  const id = newId();
  const nameKey = nameKeyOf(username);
  const emailKey = email === null ? null : emailKeyOf(email);
  const roles = orderRoles(asked.roles);
  const given = { id, username, nameKey, email, emailKey, passwordHash, roles, executorId };
  if (!(await insertUser(tx, { ...given, number: null, userStatus: 0 }))) {
    const rivals = await findRivals(tx, nameKey, emailKey);
    throw rivals.some(({ name_key }) => name_key === nameKey)
      ? new Refusal(409, 'username_taken', `Somebody is called "${username}" already.`)
      : new Refusal(409, 'email_taken', 'Somebody has this e-mail address already.');
  }
  await activateUser(tx, id);
  await emit(tx, 'auth', [userEvent('USER_REGISTERED', { id, username, version: 1, roles })]);
  if (roles.includes('customer'))
    await enqueue(tx, [{ kind: PROVISION, key: id, payload: { username, email, phone } }]);
  if (email !== null) await askForVerification(tx, id);
  return userInfoOf({ id, username, roles });
}

/** Makes profile and wallet account of a user that was made by hand. */
export async function provision(task: TaskRun, { client }: AuthContext): Promise<void> {
  const { username, email, phone } = task.payload as Record<string, string | null>;
  const profile = { username, email, phone, registration_id: task.key };
  const post = { method: 'POST', idempotent: true } as const;
  await client
    .call(
      'customers',
      { ...post, path: '/internal/customers/profiles', body: profile },
      deadlineIn(5000),
    )
    .catch((error: unknown) => {
      // Somebody made it by hand, too.
      if (!(error instanceof Refusal) || error.code !== 'profile_exists') throw error;
    });
  await client.call(
    'billing',
    { ...post, path: '/internal/billing/accounts', body: { username } },
    deadlineIn(5000),
  );
}

export interface Rights {
  readonly roles?: readonly UserRole[];
  readonly executorId?: string | null;
  readonly state?: 'active' | 'disabled';
}

/**
 * Changes what a user may do. Access tokens of before are refused from then on, within the
 * gateway's bound; who was disabled has no session left.
 */
export async function changeUser(
  tx: Tx,
  username: string,
  what: (held: readonly UserRole[]) => Rights,
): Promise<UserInfo & { state: UserState }> {
  const user = await existing(tx, username);
  const change = what(user.roles);
  const roles = orderRoles(change.roles ?? user.roles);
  const state = change.state ?? user.state;
  const given = change.executorId === undefined ? user.executor_id : change.executorId;
  const executorId = roles.includes('executor') ? given : null;
  const same = roles.join() === user.roles.join() && executorId === user.executor_id;
  if (!same || state !== user.state) {
    const type = state === user.state ? 'USER_ROLES_CHANGED' : STATE_EVENTS[state];
    await applyRights(tx, user, { state, roles, executorId }, type);
  }
  return { ...userInfoOf({ ...user, roles }), state };
}

const STATE_EVENTS = {
  active: 'USER_ENABLED',
  disabled: 'USER_DISABLED',
  erased: 'USER_ERASED',
} as const;

/** Sets a user's password without asking for the old one; every session ends. */
export async function overridePassword(tx: Tx, username: string, hash: string): Promise<UserInfo> {
  const user = await existing(tx, username);
  await setPassword(tx, user.id, hash);
  const ended = await endSessionsOf(tx, user.id, null);
  await insertRevocations(
    tx,
    ended.map((id) => ({ id })),
  );
  return userInfoOf(user);
}

/** Erases a user for ever: the name alone stays, so that nobody else gets it. */
export async function eraseUser(tx: Tx, username: string): Promise<void> {
  const found = await findUser(tx, nameKeyOf(username));
  if (found === undefined || found.username !== username) return;
  const user = await lockUser(tx, found.id);
  if (user?.state !== 'active' && user?.state !== 'disabled') return;
  await anonymiseUser(tx, user.id);
  await applyRights(tx, user, { state: 'erased', roles: [], executorId: null }, 'USER_ERASED');
}

/** The one way in which rights change: row, event, sessions and what gateways are told. */
async function applyRights(
  tx: Tx,
  user: UserRow,
  change: { state: UserState; roles: readonly UserRole[]; executorId: string | null },
  type: UserEventType,
): Promise<void> {
  const { id, username } = user;
  const before = await changeRights(tx, id, change);
  const { roles } = change;
  const version = user.version + 1;
  await emit(tx, 'auth', [userEvent(type, { id, username, version, roles })]);
  // Their access tokens are void by the user's own entry.
  if (change.state !== 'active') await endSessionsOf(tx, id, null);
  await insertRevocations(tx, [{ username, before }]);
}

type Existing = UserRow & { readonly state: 'active' | 'disabled' };

async function existing(tx: Tx, username: string): Promise<Existing> {
  const found = await findUser(tx, nameKeyOf(username.normalize('NFC')));
  const user = found === undefined ? undefined : await lockUser(tx, found.id);
  if (user?.state === 'active' || user?.state === 'disabled') return user as Existing;
  throw new Refusal(404, 'user_not_found', `There is no user "${username}".`);
}

/** Takes over the address of the profile, to be verified anew. */
export async function followEmail(task: TaskRun, context: AuthContext): Promise<void> {
  const { db, client, log } = context;
  const path = `/internal/customers/profiles/${encodeURIComponent(task.key)}`;
  const call = { method: 'GET', path, idempotent: true } as const;
  const contact = await client
    .call<{ email: string | null }>('customers', call, deadlineIn(5000))
    .catch((error: unknown) => {
      if (error instanceof Refusal) return undefined;
      throw error;
    });
  if (contact === undefined) return;
  await followTo(db, task, contact.email, (reason) => log.warn({ reason }, 'an address stays'));
}

async function followTo(
  db: Database,
  task: TaskRun,
  email: string | null,
  warn: (reason: string) => void,
): Promise<void> {
  await db.transaction(async (tx) => {
    const found = await findUser(tx, nameKeyOf(task.key));
    const user = found === undefined ? undefined : await lockUser(tx, found.id);
    const key = email === null ? null : emailKeyOf(email);
    if (user !== undefined && user.state === 'active' && user.email_key !== key) {
      const moved = await setEmail(tx, user.id, email, key);
      if (!moved) warn('the address of a profile is the sign-in of somebody else');
      else if (email !== null) await askForVerification(tx, user.id);
    }
    await task.finish(tx);
  });
}
