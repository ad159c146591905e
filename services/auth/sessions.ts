/** Sessions: begun by a login, carried on by refresh tokens that are good once, ended for ever. */
import { createHash } from 'node:crypto';
import { monotonicMs } from '@waybill/kit/clock.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import type { NewEvent } from '@waybill/kit/eventlog.ts';
import { CHALLENGE } from '@waybill/kit/identity.ts';
import { newId, newToken } from '@waybill/kit/ids.ts';
import type { TokenSet, UserEvent, UserEventType, UserInfo, UserRole } from './contract.ts';
import type { AuthContext } from './context.ts';
import {
  endSessions,
  findRefreshToken,
  insertRefreshToken,
  insertRevocations,
  insertSession,
  lockForIssue,
  prolongSession,
  stampUse,
  useRefreshToken,
  type Issuable,
} from './store.ts';

/** More sessions at once than anybody has devices; the oldest ends. */
const SESSIONS_AT_MOST = 100;
/** Then one logs in again, however often the session was carried on. */
const SESSION_DAYS = 90;
/** What was committed, and what the tokens are made of afterwards. */
export interface Granted {
  readonly user: Issuable;
  readonly sessionId: string;
  readonly refreshToken: string;
}

/** Begins a session of an active user; undefined when nobody may log in as them. */
export async function beginSession(
  tx: Tx,
  context: AuthContext,
  userId: string,
): Promise<Granted | undefined> {
  const user = await lockForIssue(tx, userId);
  if (user?.state !== 'active') return undefined;
  const sessionId = newId();
  const { refreshTtlSeconds: ttlSeconds } = context.settings;
  const session = { id: sessionId, userId, ttlSeconds, atMost: SESSIONS_AT_MOST };
  const tooMany = await insertSession(tx, session);
  const refreshToken = await addRefreshToken(tx, context, sessionId);
  if (tooMany.length > 0) await revokeSessions(tx, tooMany);
  return { user, sessionId, refreshToken };
}

/** The tokens as they are answered. */
export async function tokensOf(context: AuthContext, granted: Granted): Promise<TokenSet> {
  const { user, sessionId, refreshToken } = granted;
  const { issuer, audience, accessTtlSeconds } = context.settings;
  const issuedAt = Number(user.issued_at);
  const accessToken = await context.keys.sign({
    iss: issuer,
    aud: audience,
    sub: user.username,
    client_id: 'waybill',
    iat: issuedAt,
    exp: issuedAt + accessTtlSeconds,
    jti: newId(),
    sid: sessionId,
    roles: user.roles,
    ...(user.executor_id === null ? {} : { executor_id: user.executor_id }),
  });
  const userInfo = userInfoOf(user);
  return { accessToken, refreshToken, tokenType: 'Bearer', expiresIn: accessTtlSeconds, userInfo };
}

/** The part of a user that is shown to themselves with their tokens. */
export function userInfoOf(user: {
  readonly id: string;
  readonly username: string;
  readonly roles: readonly UserRole[];
}): UserInfo {
  const { id, username, roles } = user;
  return { id, username, roles: [...roles] };
}

/** What is told of a user, with the change that it tells of. */
export function userEvent(
  type: UserEventType,
  user: { id: string; username: string; version: number; roles: readonly UserRole[] },
): NewEvent {
  const { id, username, version, roles } = user;
  const data: UserEvent = { user_id: id, username, roles: [...roles] };
  return { key: id, version, type, data: { ...data } };
}

/**
 * Exchanges a refresh token for new tokens. One that was used up before ends its whole session,
 * because two have it now, and nobody can tell which of them is the owner.
 */
export async function refreshSession(context: AuthContext, token: string): Promise<TokenSet> {
  const hash = hashOfToken(token);
  const startedMs = monotonicMs();
  const granted = await context.db.transaction(async (tx) => {
    const sessionId = await useRefreshToken(tx, hash);
    if (sessionId === undefined) {
      await endIfReused(tx, context, hash, startedMs);
      return undefined;
    }
    const { refreshTtlSeconds } = context.settings;
    const userId = await prolongSession(tx, sessionId, refreshTtlSeconds, SESSION_DAYS);
    const user = userId === undefined ? undefined : await lockForIssue(tx, userId);
    if (user?.state !== 'active') return undefined;
    const refreshToken = await addRefreshToken(tx, context, sessionId);
    // Once more, as late as can be: who comes before this is one of several at once.
    await stampUse(tx, hash);
    return { user, sessionId, refreshToken };
  });
  if (granted === undefined)
    throw new Refusal(
      401,
      'invalid_refresh_token',
      'The refresh token is not good; log in again.',
      { headers: CHALLENGE },
    );
  return tokensOf(context, granted);
}

/**
 * Two tabs of one client ask at once: the later one, which came before the token was used up, is
 * refused and nothing more. Who comes after that has kept an old token, or stolen it.
 */
async function endIfReused(
  tx: Tx,
  context: AuthContext,
  hash: Buffer,
  startedMs: number,
): Promise<void> {
  const found = await findRefreshToken(tx, hash);
  if (found === undefined || found.used_for === null) return;
  if (found.used_for * 1000 <= monotonicMs() - startedMs) return;
  const ended = await revokeSessions(tx, [found.session_id]);
  if (ended.length > 0)
    context.log.warn({ session: found.session_id }, 'a refresh token was shown twice');
}

/** Ends the session that a refresh token belongs to, whatever became of the token. */
export async function endSessionOf(context: AuthContext, token: string): Promise<void> {
  await context.db.transaction(async (tx) => {
    const found = await findRefreshToken(tx, hashOfToken(token));
    if (found !== undefined) await revokeSessions(tx, [found.session_id]);
  });
}

/** Ends sessions, and has the gateways refuse their access tokens. */
export async function revokeSessions(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const ended = await endSessions(tx, ids);
  await insertRevocations(
    tx,
    ended.map((id) => ({ id })),
  );
  return ended;
}

async function addRefreshToken(tx: Tx, context: AuthContext, sessionId: string): Promise<string> {
  const token = newToken(32);
  const { refreshTtlSeconds: ttlSeconds } = context.settings;
  await insertRefreshToken(tx, { hash: hashOfToken(token), sessionId, ttlSeconds });
  return token;
}

/** 256 random bits need no slow hash. */
export function hashOfToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
