/**
 * Registering: the user, then the profile (customers), then the wallet account (billing), by
 * synchronous calls. A task stands behind every registration from its first commit on and is
 * withdrawn by its last one: when a call fails what was made is undone at once, and when that
 * fails too, or the process dies, the task undoes it. So nobody stays half registered, and the
 * name is free again. Nobody can log in before the last commit.
 */
import { deadlineIn, remainingMs, type Deadline } from '@waybill/kit/deadline.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { newId } from '@waybill/kit/ids.ts';
import { enqueue, hastenTasks, withdrawTasks, type TaskRun } from '@waybill/kit/tasks.ts';
import { hashOf } from './guesses.ts';
import type { AuthContext } from './context.ts';
import type { UserInfo } from './contract.ts';
import { askForVerification } from './links.ts';
import { emailKeyOf, isReserved, nameKeyOf, passwordFaults, refuseFaults } from './rules.ts';
import { beginSession, userEvent, userInfoOf, type Granted } from './sessions.ts';
import {
  activateUser,
  deleteUndone,
  findRivals,
  insertUser,
  setState,
  type NewUser,
} from './store.ts';
import { noteOrigin, releaseKey } from './views.ts';

/** Who registers; the petstore's door asks neither for an address nor for a number. */
export interface Registration {
  readonly username: string;
  readonly email: string | null;
  readonly phone: string | null;
  readonly password: string;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly login: boolean;
  /** The petstore's own number and status of a user. */
  readonly number: bigint | null;
  readonly userStatus: number;
}

export interface RegisterCall {
  readonly origin: string;
  readonly deadline: Deadline;
  readonly idempotency: IdempotencyKey | undefined;
  /** Where the body begins, for faults. */
  readonly pointer?: string;
}

export type RegisterResult =
  | { readonly kind: 'made'; readonly user: UserInfo; readonly granted: Granted | undefined }
  | { readonly kind: 'replayed'; readonly user: UserInfo };

export const UNDO = 'undo_registration';
/** Longer than a registration may take: its request is gone when the task begins. */
const UNDO_AFTER_MS = 20_000;
const REGISTER_MS = 12_000;
const STEP_MS = 4000;
const UNDO_STEP_MS = 2000;

/** Registers somebody, wholly or not at all. */
export async function register(
  context: AuthContext,
  asked: Registration,
  call: RegisterCall,
): Promise<RegisterResult> {
  const registration = { ...asked, username: asked.username.normalize('NFC') };
  judge(context, registration, call.pointer ?? '');
  const deadline = deadlineIn(Math.min(REGISTER_MS, remainingMs(call.deadline)));
  const user = await newUserOf(context, registration);
  const replayed = await begin(context, user, call.idempotency);
  if (replayed !== undefined) return { kind: 'replayed', user: replayed };
  await failpoint('auth.register.begun');
  const made = { profile: false, account: false };
  try {
    made.profile = true;
    await makeProfile(context, user.id, registration, deadline);
    await failpoint('auth.register.profile_made');
    made.account = true;
    await openAccount(context, registration.username, deadline);
    await failpoint('auth.register.account_opened');
    const granted = await complete(context, user, registration.login, call);
    await failpoint('auth.register.completed');
    return { kind: 'made', user: userInfoOf(user), granted };
  } catch (error) {
    await undoNow(context, user, made, call.idempotency);
    throw explained(error);
  }
}

function judge(context: AuthContext, { username, password }: Registration, pointer: string) {
  const { passwordMinLength } = context.settings;
  const reserved = isReserved(username, false)
    ? [{ pointer: `${pointer}/username`, detail: 'is reserved' }]
    : [];
  const faults = passwordFaults(password, passwordMinLength, `${pointer}/password`);
  refuseFaults([...reserved, ...faults]);
}

async function newUserOf(context: AuthContext, asked: Registration): Promise<NewUser> {
  const { username, email, number, userStatus } = asked;
  return {
    id: newId(),
    number,
    username,
    nameKey: nameKeyOf(username),
    email,
    emailKey: email === null ? null : emailKeyOf(email),
    passwordHash: await context.passwords.hash(asked.password),
    roles: ['customer'],
    executorId: null,
    userStatus,
  };
}

/** Takes the name and the address, the idempotency key and the task; or tells who has them. */
function begin(
  { db }: AuthContext,
  user: NewUser,
  idempotency: IdempotencyKey | undefined,
): Promise<UserInfo | undefined> {
  return db.transaction(async (tx) => {
    const known = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (known !== undefined) return JSON.parse(known.response) as UserInfo;
    if (!(await insertUser(tx, user))) throw await takenBy(tx, user);
    const { scope = null, key = null } = idempotency ?? {};
    const payload = { username: user.username, scope, key };
    await enqueue(tx, [{ kind: UNDO, key: user.id, payload, delayMs: UNDO_AFTER_MS }]);
    await failpoint('auth.register.before_commit');
    return undefined;
  });
}

async function takenBy(tx: Tx, { nameKey, emailKey }: NewUser): Promise<Refusal> {
  const rivals = await findRivals(tx, nameKey, emailKey);
  // Theirs may still come to nothing.
  const open = rivals.some(({ state }) => state === 'registering' || state === 'undoing');
  const more = open ? { headers: { 'retry-after': '5' } } : {};
  return rivals.some(({ name_key }) => name_key === nameKey)
    ? new Refusal(409, 'username_taken', 'Somebody has this user name.', more)
    : new Refusal(409, 'email_taken', 'Somebody has this e-mail address.', more);
}

async function makeProfile(
  { client }: AuthContext,
  id: string,
  asked: Registration,
  deadline: Deadline,
): Promise<void> {
  const body = {
    username: asked.username,
    email: asked.email,
    phone: asked.phone,
    first_name: asked.firstName,
    last_name: asked.lastName,
    registration_id: id,
  };
  const path = '/internal/customers/profiles';
  await client.call(
    'customers',
    { method: 'POST', path, body, idempotent: true },
    within(deadline, STEP_MS),
  );
}

async function openAccount({ client }: AuthContext, username: string, deadline: Deadline) {
  const path = '/internal/billing/accounts';
  await client.call(
    'billing',
    { method: 'POST', path, body: { username }, idempotent: true },
    within(deadline, STEP_MS),
  );
}

/** The last commit: the user is there, for everybody. */
function complete(
  context: AuthContext,
  user: NewUser,
  login: boolean,
  { idempotency, origin }: RegisterCall,
): Promise<Granted | undefined> {
  const { id, username, roles } = user;
  return context.db.transaction(async (tx) => {
    if (!(await activateUser(tx, id)))
      throw new Outage('registration', 'it took so long that it was undone');
    await withdrawTasks(tx, UNDO, [id]);
    await emit(tx, 'auth', [userEvent('USER_REGISTERED', { id, username, version: 1, roles })]);
    if (user.emailKey !== null) await askForVerification(tx, id);
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, {
        status: 201,
        response: JSON.stringify(userInfoOf(user)),
      });
    await noteOrigin(tx, id, hashOf(context, 'origin', origin));
    const granted = login ? await beginSession(tx, context, id) : undefined;
    await failpoint('auth.register.before_completion');
    return granted;
  });
}

interface Undoable {
  readonly id: string;
  readonly username: string;
}

/** Undoes what this request made; what cannot be undone now is left to the task. */
async function undoNow(
  context: AuthContext,
  user: Undoable,
  made: { profile: boolean; account: boolean },
  idempotency: IdempotencyKey | undefined,
): Promise<void> {
  const { db, log } = context;
  try {
    const mine = await db.transaction((tx) => setState(tx, user.id, 'registering', 'undoing'));
    if (!mine) return;
    await takeBack(context, user, made);
    await db.transaction(async (tx) => {
      await deleteUndone(tx, user.id);
      if (idempotency !== undefined) await releaseKey(tx, idempotency.scope, idempotency.key);
      await withdrawTasks(tx, UNDO, [user.id]);
      await failpoint('auth.undo.before_commit');
    });
  } catch (error) {
    log.warn({ reason: (error as Error).message }, 'a registration is left to be undone');
    await db.transaction((tx) => hastenTasks(tx, UNDO, [user.id])).catch(() => {});
  }
}

/** Undoes a registration whose request is gone. */
export async function undoRegistration(task: TaskRun, context: AuthContext): Promise<void> {
  const { db } = context;
  const id = task.key;
  const { username, scope, key } = task.payload as {
    username: string;
    scope: string | null;
    key: string | null;
  };
  // One of the two wins: completing and undoing ask for the same state.
  const open = await db.transaction(
    async (tx) =>
      (await setState(tx, id, 'registering', 'undoing')) ||
      (await setState(tx, id, 'undoing', 'undoing')),
  );
  if (open) await takeBack(context, { id, username }, { profile: true, account: true });
  await db.transaction(async (tx) => {
    await deleteUndone(tx, id);
    if (open && scope !== null && key !== null) await releaseKey(tx, scope, key);
    await task.finish(tx);
  });
}

/** The wallet account goes first, as it came last. Both calls may be repeated. */
async function takeBack(
  { client }: AuthContext,
  { id, username }: Undoable,
  made: { profile: boolean; account: boolean },
): Promise<void> {
  const name = encodeURIComponent(username);
  await failpoint('auth.undo.begun');
  if (made.account) {
    const path = `/internal/billing/accounts/${name}`;
    await client
      .call('billing', { method: 'DELETE', path, idempotent: true }, deadlineIn(UNDO_STEP_MS))
      .catch((error: unknown) => {
        // Entries on it are older than this registration, and so is the account.
        if (!(error instanceof Refusal)) throw error;
      });
  }
  await failpoint('auth.undo.account_closed');
  if (made.profile) {
    const path = `/internal/customers/profiles/${name}`;
    const query = { registration_id: id };
    await client.call(
      'customers',
      { method: 'DELETE', path, query, idempotent: true },
      deadlineIn(UNDO_STEP_MS),
    );
  }
  await failpoint('auth.undo.profile_removed');
}

/** A profile that is there already is of somebody with that name; all else may be tried again. */
function explained(error: unknown): unknown {
  if (!(error instanceof Refusal)) return error;
  if (error.code === 'profile_exists')
    return new Refusal(409, 'username_taken', 'Somebody has this user name.');
  return new Outage('registration', `it was refused: ${error.code}`, { cause: error });
}

function within(deadline: Deadline, ms: number): Deadline {
  return deadlineIn(Math.min(ms, remainingMs(deadline)));
}
