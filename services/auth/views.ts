/** What is read in pages, published or mailed, and what expires. */
import type { Json } from '@waybill/kit/json.ts';
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import type { Revocation, UserRole } from './contract.ts';
import type { UserState } from './rules.ts';
import type { UserRow } from './store.ts';

/** What was taken back after a position, in order. */
export async function readRevocations(db: Queryable, after: number, limit: number) {
  const rows = await db.query<{
    position: bigint;
    kind: 'session' | 'user';
    session_id: string | null;
    username: string | null;
    issued_before: string;
  }>(
    `select position, kind, session_id, username, issued_before from revocations
     where position > $1 order by position limit $2`,
    [after, limit],
  );
  const revocations = rows.map(({ kind, session_id: id, username, issued_before }): Revocation => ({
    kind,
    ...(id === null ? {} : { id }),
    ...(username === null ? {} : { username }),
    issued_before,
  }));
  return { revocations, next: String(rows.at(-1)?.position ?? after) };
}

export interface ListedUser {
  readonly id: string;
  readonly username: string;
  readonly name_key: string;
  readonly email: string | null;
  readonly roles: UserRole[];
  readonly executor_id: string | null;
  readonly state: UserState;
  readonly created_at: string;
}

/** Users after a name, in the order of their names; `role` narrows to those who have it. */
export function listUsers(
  db: Queryable,
  after: string,
  role: UserRole | null,
  limit: number,
): Promise<ListedUser[]> {
  return db.query<ListedUser>(
    `select id, username, name_key, email, roles, executor_id, state, created_at from users
     where name_key > $1 and ($2::text is null or $2 = any(roles))
       and state in ('active', 'disabled')
     order by name_key limit $3`,
    [after, role, limit],
  );
}

export interface SigningKeyRow {
  readonly generation: number;
  readonly kid: string;
  readonly public_key: Json;
  readonly private_key: Buffer;
  readonly signs: boolean;
}

/**
 * The keys to publish, newest first: one that was followed by another stays for as long as tokens
 * signed with it may be good.
 */
export function readSigningKeys(db: Queryable, keptSeconds: number): Promise<SigningKeyRow[]> {
  return db.query<SigningKeyRow>(
    `select k.generation, k.kid, k.public_key, k.private_key, k.signs_from <= now() as signs
     from signing_keys k left join signing_keys n on n.generation = k.generation + 1
     where n.signs_from is null or n.signs_from > now() - make_interval(secs => $1)
     order by k.generation desc limit 100`,
    [keptSeconds],
  );
}

/** The last generation of keys, and whether its time is over. */
export async function readLastGeneration(db: Queryable, rotationDays: number) {
  const rows = await db.query<{ generation: number; due: boolean }>(
    `select generation, signs_from < now() - make_interval(days => $1) as due
     from signing_keys order by generation desc limit 1`,
    [rotationDays],
  );
  return rows[0];
}

/** Adds the key of a generation; of several who add it at once, one does. */
export async function insertSigningKey(
  db: Queryable,
  key: { generation: number; kid: string; publicKey: Json; privateKey: Buffer; inSeconds: number },
): Promise<boolean> {
  const rows = await db.query(
    `insert into signing_keys (generation, kid, public_key, private_key, signs_from)
     values ($1, $2, $3, $4, now() + make_interval(secs => $5))
     on conflict do nothing returning generation`,
    [key.generation, key.kid, JSON.stringify(key.publicKey), key.privateKey, key.inSeconds],
  );
  return rows.length === 1;
}

export type LinkPurpose = 'verify' | 'reset';

/** Remembers that a link was mailed; again is no other. */
export async function insertLink(
  tx: Tx,
  link: {
    hash: Buffer;
    userId: string;
    purpose: LinkPurpose;
    emailKey: string;
    ttlSeconds: number;
  },
): Promise<void> {
  await tx.query(
    `insert into mailed_links (hash, user_id, purpose, email_key, expires_at)
     values ($1, $2, $3, $4, now() + make_interval(secs => $5)) on conflict do nothing`,
    [link.hash, link.userId, link.purpose, link.emailKey, link.ttlSeconds],
  );
}

/** Whether a link would be good. */
export async function findLink(db: Queryable, hash: Buffer, purpose: LinkPurpose) {
  const rows = await db.query(
    'select from mailed_links where hash = $1 and purpose = $2 and expires_at > now()',
    [hash, purpose],
  );
  return rows.length === 1;
}

/** Uses a link up. */
export async function takeLink(tx: Tx, hash: Buffer, purpose: LinkPurpose) {
  const rows = await tx.query<{ user_id: string; email_key: string }>(
    `delete from mailed_links where hash = $1 and purpose = $2 and expires_at > now()
     returning user_id, email_key`,
    [hash, purpose],
  );
  return rows[0];
}

/** Voids all links of one kind that were mailed to a user. */
export async function dropLinks(tx: Tx, userId: string, purpose: LinkPurpose): Promise<void> {
  await tx.query('delete from mailed_links where user_id = $1 and purpose = $2', [userId, purpose]);
}

const KNOWN_ORIGINS = 20;

/** Remembers from where a user logged in, the latest twenty places. */
export async function noteOrigin(tx: Tx, userId: string, origin: Buffer): Promise<void> {
  await tx.query(
    `insert into known_origins (user_id, origin) values ($1, $2)
     on conflict (user_id, origin) do update set seen_at = now()`,
    [userId, origin],
  );
  await tx.query(
    `delete from known_origins where user_id = $1 and origin in (
       select origin from known_origins where user_id = $1 order by seen_at desc offset $2)`,
    [userId, KNOWN_ORIGINS],
  );
}

/** Seconds until a bucket has room again. */
export async function readWait(
  db: Queryable,
  bucket: Buffer,
  { stepSeconds, burst }: { stepSeconds: number; burst: number },
): Promise<number> {
  const rows = await db.query<{ seconds: number }>(
    `select extract(epoch from arrival - now())::float8 - $2 * ($3 - 1) as seconds
     from guesses where bucket = $1`,
    [bucket, stepSeconds, burst],
  );
  return Math.max(1, Math.ceil(rows[0]?.seconds ?? 1));
}

/** Forgets a claimed Idempotency-Key whose request came to nothing: only what was done is kept. */
export async function releaseKey(tx: Tx, scope: string, key: string): Promise<void> {
  await tx.query('delete from idempotency_keys where scope = $1 and key = $2 and status is null', [
    scope,
    key,
  ]);
}

/** Forgets what is over, a bounded bite at a time. */
export async function trimExpired(db: Queryable, accessTtlSeconds: number): Promise<void> {
  await db.query(
    `delete from sessions where id in (
       select id from sessions where expires_at < now() - interval '1 day' limit 2000)`,
  );
  await db.query(
    `delete from refresh_tokens where hash in (
       select hash from refresh_tokens where expires_at < now() limit 5000)`,
  );
  await db.query(
    `delete from mailed_links where hash in (
       select hash from mailed_links where expires_at < now() limit 5000)`,
  );
  await db.query(
    `delete from guesses where bucket in (
       select bucket from guesses where arrival < now() limit 5000)`,
  );
  await db.query(
    `delete from revocations where position in (
       select position from revocations
       where created_at < now() - make_interval(secs => $1) limit 5000)`,
    [accessTtlSeconds + 300],
  );
  await db.query(
    `delete from signing_keys where generation in (
       select k.generation from signing_keys k
       join signing_keys n on n.generation = k.generation + 1
       where n.signs_from < now() - make_interval(secs => $1))`,
    [accessTtlSeconds + 86_400],
  );
}

/** What is held about a user, as their export shows it. */
export function renderExport(user: UserRow): Record<string, unknown> {
  return {
    id: user.id,
    username: user.username,
    email: user.email,
    email_verified_at: user.email_verified_at,
    roles: user.roles,
    state: user.state,
    created_at: user.created_at,
  };
}
