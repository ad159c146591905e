/** Every statement about users, sessions, keys and guesses, but for what expires. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import type { UserRole } from './contract.ts';
import type { Allowance, UserState } from './rules.ts';

export interface UserRow {
  readonly id: string;
  readonly number: bigint;
  readonly username: string;
  readonly email: string | null;
  readonly email_key: string | null;
  readonly email_verified_at: string | null;
  readonly password_hash: string | null;
  readonly roles: UserRole[];
  readonly executor_id: string | null;
  readonly user_status: number;
  readonly state: UserState;
  readonly version: number;
  readonly created_at: string;
}

const COLUMNS = `id, number, username, email, email_key, email_verified_at, password_hash, roles,
  executor_id, user_status, state, version, created_at`;

export interface NewUser {
  readonly id: string;
  readonly number: bigint | null;
  readonly username: string;
  readonly nameKey: string;
  readonly email: string | null;
  readonly emailKey: string | null;
  readonly passwordHash: string;
  readonly roles: readonly UserRole[];
  readonly executorId: string | null;
  readonly userStatus: number;
}

/**
 * Inserts a user who is being registered. False when the name or the address is somebody's: of
 * any number who ask at once, one gets it.
 */
export async function insertUser(tx: Tx, user: NewUser): Promise<boolean> {
  const rows = await tx.query(
    `insert into users (id, number, username, name_key, email, email_key, password_hash, roles,
       executor_id, user_status, state)
     values ($1, coalesce($2, nextval('user_numbers')), $3, $4, $5, $6, $7, $8, $9, $10,
       'registering')
     on conflict do nothing returning id`,
    [
      user.id,
      user.number,
      user.username,
      user.nameKey,
      user.email,
      user.emailKey,
      user.passwordHash,
      user.roles,
      user.executorId,
      user.userStatus,
    ],
  );
  return rows.length === 1;
}

/** Who has the name or the address. */
export function findRivals(db: Queryable, nameKey: string, emailKey: string | null) {
  return db.query<{ name_key: string; state: UserState }>(
    'select name_key, state from users where name_key = $1 or email_key = $2',
    [nameKey, emailKey],
  );
}

export interface LoginRow extends UserRow {
  /** Whether this user has logged in from there before. */
  readonly known: boolean;
}

/** By name or by e-mail address: a name holds no @. */
export async function findLogin(
  db: Queryable,
  key: string,
  emailKey: string,
  origin: Buffer,
): Promise<LoginRow | undefined> {
  const rows = await db.query<LoginRow>(
    `select ${COLUMNS}, exists (select from known_origins k
         where k.user_id = users.id and k.origin = $3) as known
     from users where name_key = $1 or email_key = $2 limit 1`,
    [key, emailKey, origin],
  );
  return rows[0];
}

export async function findUser(db: Queryable, nameKey: string): Promise<UserRow | undefined> {
  const rows = await db.query<UserRow>(`select ${COLUMNS} from users where name_key = $1`, [
    nameKey,
  ]);
  return rows[0];
}

export async function findUserById(db: Queryable, id: string): Promise<UserRow | undefined> {
  const rows = await db.query<UserRow>(`select ${COLUMNS} from users where id = $1`, [id]);
  return rows[0];
}

export async function findUserByEmail(db: Queryable, key: string): Promise<UserRow | undefined> {
  const rows = await db.query<UserRow>(`select ${COLUMNS} from users where email_key = $1`, [key]);
  return rows[0];
}

/** Locks a user whose rights are about to change: no token is issued meanwhile. */
export async function lockUser(tx: Tx, id: string): Promise<UserRow | undefined> {
  const rows = await tx.query<UserRow>(`select ${COLUMNS} from users where id = $1 for update`, [
    id,
  ]);
  return rows[0];
}

export async function setState(tx: Tx, id: string, from: UserState, to: UserState) {
  const rows = await tx.query(
    'update users set state = $3, updated_at = now() where id = $1 and state = $2 returning id',
    [id, from, to],
  );
  return rows.length === 1;
}

/** Ends a registration: from here on the user exists for everybody, as version 1. */
export async function activateUser(tx: Tx, id: string): Promise<boolean> {
  const rows = await tx.query(
    `update users set state = 'active', version = 1, updated_at = now()
     where id = $1 and state = 'registering' returning id`,
    [id],
  );
  return rows.length === 1;
}

/** Removes a user who never was. */
export async function deleteUndone(tx: Tx, id: string): Promise<void> {
  await tx.query(`delete from users where id = $1 and state in ('registering', 'undoing')`, [id]);
}

export interface UserChange {
  readonly state: UserState;
  readonly roles: readonly UserRole[];
  readonly executorId: string | null;
}

/**
 * Changes what a locked user may do, and voids the tokens of before: the moment is a whole second,
 * as tokens are dated, and later tokens are dated no earlier. Returns it.
 */
export async function changeRights(tx: Tx, id: string, change: UserChange): Promise<number> {
  const rows = await tx.query<{ tokens_from: bigint }>(
    `update users set state = $2, roles = $3, executor_id = $4, version = version + 1,
       tokens_from = floor(extract(epoch from clock_timestamp()))::bigint + 1, updated_at = now()
     where id = $1 returning tokens_from`,
    [id, change.state, change.roles, change.executorId],
  );
  return Number(rows[0]?.tokens_from ?? 0n);
}

/** Takes out of a locked user all that tells who they are, but for the name. */
export async function anonymiseUser(tx: Tx, id: string): Promise<void> {
  await tx.query(
    `update users set email = null, email_key = null, email_verified_at = null,
       password_hash = null, user_status = 0 where id = $1`,
    [id],
  );
  await tx.query('delete from known_origins where user_id = $1', [id]);
  await tx.query('delete from mailed_links where user_id = $1', [id]);
}

export async function setPassword(tx: Tx, id: string, hash: string): Promise<void> {
  await tx.query('update users set password_hash = $2, updated_at = now() where id = $1', [
    id,
    hash,
  ]);
}

/** Another address, not yet verified. False when it is somebody else's. */
export async function setEmail(tx: Tx, id: string, email: string | null, key: string | null) {
  const rows = await tx.query(
    `update users set email = $2, email_key = $3, updated_at = now(),
       email_verified_at = case when email_key = $3 then email_verified_at end
     where id = $1 and not exists (select from users o where o.email_key = $3 and o.id <> $1)
     returning id`,
    [id, email, key],
  );
  return rows.length === 1;
}

/** The petstore's own number and status of a user; null leaves them as they are. */
export async function setStoreFields(
  tx: Tx,
  id: string,
  number: bigint | null,
  userStatus: number | null,
): Promise<void> {
  await tx.query(
    `update users set number = coalesce($2, number), user_status = coalesce($3, user_status)
     where id = $1`,
    [id, number, userStatus],
  );
}

export async function verifyEmail(tx: Tx, id: string, emailKey: string): Promise<boolean> {
  const rows = await tx.query(
    `update users set email_verified_at = coalesce(email_verified_at, now())
     where id = $1 and email_key = $2 and state = 'active' returning id`,
    [id, emailKey],
  );
  return rows.length === 1;
}

export interface Issuable {
  readonly id: string;
  readonly username: string;
  readonly roles: UserRole[];
  readonly executor_id: string | null;
  readonly password_hash: string | null;
  readonly state: UserState;
  /** The second by the database's clock, or the first of which tokens of this user are good. */
  readonly issued_at: bigint;
}

/** The user as tokens tell of them; waits for, and holds up, changes of their rights. */
export async function lockForIssue(tx: Tx, id: string): Promise<Issuable | undefined> {
  const rows = await tx.query<Issuable>(
    `select id, username, roles, executor_id, password_hash, state,
       greatest(tokens_from, floor(extract(epoch from clock_timestamp()))::bigint) as issued_at
     from users where id = $1 for share`,
    [id],
  );
  return rows[0];
}

/** Begins a session, and tells which of the user's oldest are one too many. */
export async function insertSession(
  tx: Tx,
  session: { id: string; userId: string; ttlSeconds: number; atMost: number },
): Promise<string[]> {
  await tx.query(
    `insert into sessions (id, user_id, expires_at)
     values ($1, $2, now() + make_interval(secs => $3))`,
    [session.id, session.userId, session.ttlSeconds],
  );
  const rows = await tx.query<{ id: string }>(
    `select id from sessions where user_id = $1 and revoked_at is null
     order by created_at desc, id desc offset $2 limit 100`,
    [session.userId, session.atMost],
  );
  return rows.map(({ id }) => id);
}

export async function insertRefreshToken(
  tx: Tx,
  token: { hash: Buffer; sessionId: string; ttlSeconds: number },
): Promise<void> {
  await tx.query(
    `insert into refresh_tokens (hash, session_id, expires_at)
     values ($1, $2, now() + make_interval(secs => $3))`,
    [token.hash, token.sessionId, token.ttlSeconds],
  );
}

/** Uses a refresh token up; undefined when it is used, too old or none. One of many gets it. */
export async function useRefreshToken(tx: Tx, hash: Buffer): Promise<string | undefined> {
  const rows = await tx.query<{ session_id: string }>(
    `update refresh_tokens set used_at = clock_timestamp()
     where hash = $1 and used_at is null and expires_at > now() returning session_id`,
    [hash],
  );
  return rows[0]?.session_id;
}

export async function stampUse(tx: Tx, hash: Buffer): Promise<void> {
  await tx.query('update refresh_tokens set used_at = clock_timestamp() where hash = $1', [hash]);
}

/** Whose a refresh token was, and for how many seconds it has been used up. */
export async function findRefreshToken(db: Queryable, hash: Buffer) {
  const rows = await db.query<{ session_id: string; used_for: number | null }>(
    `select session_id, extract(epoch from clock_timestamp() - used_at)::float8 as used_for
     from refresh_tokens where hash = $1`,
    [hash],
  );
  return rows[0];
}

/** Prolongs a session that goes on, up to so many days from its beginning; its user, if it does. */
export async function prolongSession(
  tx: Tx,
  id: string,
  ttlSeconds: number,
  atMostDays: number,
): Promise<string | undefined> {
  const rows = await tx.query<{ user_id: string }>(
    `update sessions set expires_at = now() + make_interval(secs => $2)
     where id = $1 and revoked_at is null and expires_at > now()
       and created_at > now() - make_interval(days => $3)
     returning user_id`,
    [id, ttlSeconds, atMostDays],
  );
  return rows[0]?.user_id;
}

/** Ends sessions by id; returns those that had not ended. */
export async function endSessions(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const rows = await tx.query<{ id: string }>(
    `update sessions set revoked_at = now()
     where id = any($1::uuid[]) and revoked_at is null returning id`,
    [ids],
  );
  return rows.map(({ id }) => id);
}

/** Ends all of a user's sessions but one. */
export async function endSessionsOf(tx: Tx, userId: string, but: string | null) {
  const rows = await tx.query<{ id: string }>(
    `update sessions set revoked_at = now()
     where user_id = $1 and revoked_at is null and id is distinct from $2::uuid returning id`,
    [userId, but],
  );
  return rows.map(({ id }) => id);
}

/** A session, or the tokens of a user from before the epoch second. */
export type Taken = { id: string } | { username: string; before: number };

/** Tells the gateways; late in its transaction, because all such transactions take turns here. */
export async function insertRevocations(tx: Tx, list: readonly Taken[]): Promise<void> {
  if (list.length === 0) return;
  await tx.query(
    `with head as (
       update revocation_head set position = position + $2 returning position - $2 as start)
     insert into revocations (position, kind, session_id, username, issued_before)
     select head.start + r.step, case when r.one->>'id' is null then 'user' else 'session' end,
       (r.one->>'id')::uuid, r.one->>'username',
       coalesce(to_timestamp((r.one->>'before')::float8), now())
     from head, json_array_elements($1::json) with ordinality as r(one, step)`,
    [JSON.stringify(list), list.length],
  );
}

/** Counts a guess in both buckets, the second only if the first has room; tells how many had. */
export async function takeGuess(
  db: Queryable,
  first: { bucket: Buffer; allowance: Allowance },
  second: { bucket: Buffer; allowance: Allowance },
): Promise<number> {
  const rows = await db.query<{ taken: number }>(
    `with one as (
       insert into guesses (bucket, arrival) values ($1, now() + make_interval(secs => $2))
       on conflict (bucket) do update
         set arrival = greatest(guesses.arrival, now()) + make_interval(secs => $2)
         where greatest(guesses.arrival, now()) <= now() + make_interval(secs => $2 * ($3 - 1))
       returning 1),
     two as (
       insert into guesses (bucket, arrival)
       select $4, now() + make_interval(secs => $5) from one
       on conflict (bucket) do update
         set arrival = greatest(guesses.arrival, now()) + make_interval(secs => $5)
         where greatest(guesses.arrival, now()) <= now() + make_interval(secs => $5 * ($6 - 1))
       returning 1)
     select ((select count(*) from one) + (select count(*) from two))::integer as taken`,
    [
      first.bucket,
      first.allowance.stepSeconds,
      first.allowance.burst,
      second.bucket,
      second.allowance.stepSeconds,
      second.allowance.burst,
    ],
  );
  return rows[0]?.taken ?? 0;
}

/** Gives one guess back. */
export async function returnGuess(db: Queryable, bucket: Buffer, { stepSeconds }: Allowance) {
  await db.query(
    'update guesses set arrival = arrival - make_interval(secs => $2) where bucket = $1',
    [bucket, stepSeconds],
  );
}
