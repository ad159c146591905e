/** What people do about their own account: log in and out, passwords, their address. */
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { CHALLENGE, type Identity } from '@waybill/kit/identity.ts';
import { countGuess, countRequest, giveBack, hashOf } from './guesses.ts';
import type { AuthContext } from './context.ts';
import type { Login, Me, TokenSet } from './contract.ts';
import { askForReset, askForVerification } from './links.ts';
import type { Effect } from './once.ts';
import { emailKeyOf, nameKeyOf, passwordFaults, refuseFaults } from './rules.ts';
import { beginSession, endSessionOf, hashOfToken, revokeSessions, tokensOf } from './sessions.ts';
import {
  endSessionsOf,
  findLogin,
  findUser,
  insertRevocations,
  lockUser,
  setPassword,
  verifyEmail,
  type UserRow,
} from './store.ts';
import { dropLinks, findLink, noteOrigin, takeLink } from './views.ts';

/**
 * Logs somebody in by user name or e-mail address. Nothing in answer or time tells whether the name
 * is anybody's: the work is the same, and so is the refusal.
 */
export async function login(context: AuthContext, asked: Login, origin: string): Promise<TokenSet> {
  const { db, passwords } = context;
  const typed = asked.username.normalize('NFC');
  const key = nameKeyOf(typed);
  const place = hashOf(context, 'origin', origin);
  const user = await findLogin(db, key, emailKeyOf(typed), place);
  const guess = await countGuess(context, origin, user?.known ? { user: user.id } : { name: key });
  const right = await passwords.verify(user?.password_hash, asked.password).catch(async (error) => {
    if (error instanceof Outage) await giveBack(db, guess);
    throw error;
  });
  if (!right || user === undefined) throw invalidCredentials();
  const granted = await db.transaction(async (tx) => {
    await noteOrigin(tx, user.id, place);
    const begun = await beginSession(tx, context, user.id);
    // Changed while it was being verified: it is the old one.
    if (begun?.user.password_hash !== user.password_hash) throw invalidCredentials();
    // Last, because everybody of the same address waits for its row.
    await giveBack(tx, guess);
    return begun;
  });
  return tokensOf(context, granted);
}

function invalidCredentials(): Refusal {
  return new Refusal(401, 'invalid_credentials', 'The user name or the password is not right.', {
    headers: CHALLENGE,
  });
}

/** Ends the session of the refresh token, or the one whose access token was shown. */
export async function logout(
  context: AuthContext,
  identity: Identity,
  refreshToken: string | undefined,
): Promise<void> {
  if (refreshToken !== undefined) await endSessionOf(context, refreshToken);
  const { sessionId } = identity;
  if (sessionId !== undefined)
    await context.db.transaction((tx) => revokeSessions(tx, [sessionId]));
}

/** Changes one's own password; every other session ends. */
export async function changePassword(
  context: AuthContext,
  identity: Identity,
  asked: { currentPassword: string; newPassword: string },
  origin: string,
): Promise<Effect> {
  const { passwords, settings } = context;
  const user = await ownUser(context, identity);
  refuseFaults(passwordFaults(asked.newPassword, settings.passwordMinLength, '/newPassword'));
  const guess = await countGuess(context, origin, { session: user.id });
  if (!(await passwords.verify(user.password_hash, asked.currentPassword)))
    throw new Refusal(403, 'wrong_password', 'The current password is not right.');
  const hash = await passwords.hash(asked.newPassword);
  return async (tx) => {
    const locked = await lockUser(tx, user.id);
    if (locked?.state !== 'active' || locked.password_hash !== user.password_hash)
      throw new Refusal(409, 'password_changed', 'The password was changed meanwhile.');
    await setPassword(tx, user.id, hash);
    await dropLinks(tx, user.id, 'reset');
    const ended = await endSessionsOf(tx, user.id, identity.sessionId ?? null);
    await insertRevocations(
      tx,
      ended.map((id) => ({ id })),
    );
    await giveBack(tx, guess);
  };
}

/** Sets the password by a mailed link; every session ends, and the address is verified by it. */
export async function resetPassword(
  context: AuthContext,
  asked: { token: string; password: string },
  origin: string,
): Promise<Effect> {
  const { db, passwords, settings } = context;
  refuseFaults(passwordFaults(asked.password, settings.passwordMinLength, '/password'));
  const link = hashOfToken(asked.token);
  // Before the hash, so that guessed links cost next to nothing.
  if (!(await findLink(db, link, 'reset'))) throw invalidLink();
  const hash = await passwords.hash(asked.password);
  return async (tx) => {
    const taken = await takeLink(tx, link, 'reset');
    const user = taken === undefined ? undefined : await lockUser(tx, taken.user_id);
    if (taken === undefined || user?.state !== 'active' || user.email_key !== taken.email_key)
      throw invalidLink();
    await setPassword(tx, user.id, hash);
    await verifyEmail(tx, user.id, taken.email_key);
    await dropLinks(tx, user.id, 'reset');
    await noteOrigin(tx, user.id, hashOf(context, 'origin', origin));
    const ended = await endSessionsOf(tx, user.id, null);
    await insertRevocations(
      tx,
      ended.map((id) => ({ id })),
    );
  };
}

/** Verifies an e-mail address by a mailed link. */
export function confirmEmail(token: string): Effect {
  return async (tx) => {
    const taken = await takeLink(tx, hashOfToken(token), 'verify');
    const verified = taken !== undefined && (await verifyEmail(tx, taken.user_id, taken.email_key));
    if (!verified) throw invalidLink();
  };
}

/** Mails the link to verify one's address once more; nothing to do when it is verified. */
export async function resendVerification(
  context: AuthContext,
  identity: Identity,
  origin: string,
): Promise<Effect> {
  const user = await ownUser(context, identity);
  if (user.email_key === null || user.email_verified_at !== null) return NOTHING;
  const { id, email_key: emailKey } = user;
  return async (tx) => {
    if (await countRequest(tx, context, origin, emailKey)) await askForVerification(tx, id);
  };
}

/**
 * Has a link to set a new password mailed, if somebody has the address. Whether anybody has is
 * looked up by the task, so that this answers the same in the same time.
 */
export function forgotPassword(context: AuthContext, email: string, origin: string): Effect {
  const emailKey = emailKeyOf(email);
  return async (tx) => {
    if (await countRequest(tx, context, origin, emailKey)) await askForReset(tx, emailKey);
  };
}

const NOTHING: Effect = () => Promise.resolve();

function invalidLink(): Refusal {
  return new Refusal(400, 'invalid_link', 'The link is not good any more; ask for a new one.');
}

/** Who asks, as the database knows them. */
export async function readMe(context: AuthContext, identity: Identity): Promise<Me> {
  const user = await ownUser(context, identity);
  return {
    id: user.id,
    username: user.username,
    email: user.email,
    emailVerified: user.email_verified_at !== null,
    roles: user.roles,
    createdAt: user.created_at,
  };
}

async function ownUser(context: AuthContext, identity: Identity): Promise<UserRow> {
  const user = await findUser(context.db, nameKeyOf(identity.subject));
  if (user?.state === 'active' && user.username === identity.subject) return user;
  throw new Refusal(404, 'user_not_found', 'You have no user account here.');
}
