/**
 * Idempotency keys (spec 0.3; IETF draft-ietf-httpapi-idempotency-key-header). The service that
 * owns the effect keeps the key in the effect's transaction for 24 h. Only 2xx answers are kept.
 */
import { deleteBite } from './bites.ts';
import { createHmac } from 'node:crypto';
import type { Database, Queryable, Tx } from './db.ts';
import { Refusal } from './errors.ts';
import { canonicalJson } from './json.ts';

/** A request's key with what it is bound to. */
export interface IdempotencyKey {
  /** Caller and operation: the same key of another caller or route is another key. */
  readonly scope: string;
  readonly key: string;
  /** Keyed hash of what is asked for. */
  readonly fingerprint: Buffer;
}

export interface KeptAnswer {
  readonly status: number;
  /** The body as it was sent. */
  readonly response: string;
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * Reads the header. A malformed key is refused with 400: ignoring it would charge twice.
 * @param asked the parts of what is asked for, each bytes or JSON
 */
export function idempotencyKeyOf(
  header: string | string[] | undefined,
  scope: string,
  asked: readonly unknown[],
  secret: Buffer,
): IdempotencyKey | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' || !KEY.test(header))
    throw new Refusal(400, 'invalid_idempotency_key', 'Idempotency-Key is not usable.', {
      faults: [
        { pointer: 'header:Idempotency-Key', detail: 'must be 1 to 255 visible ASCII characters' },
      ],
    });
  const hash = createHmac('sha256', secret);
  for (const part of asked) hash.update(part instanceof Uint8Array ? part : canonicalJson(part));
  return { scope, key: header, fingerprint: hash.digest() };
}

/** Judges a row that is there already: the kept answer, or the refusal that it means. */
export function judgeKept(asked: IdempotencyKey, row: KeyRow): KeptAnswer {
  if (!row.fingerprint.equals(asked.fingerprint))
    throw new Refusal(
      422,
      'idempotency_key_reused',
      'This Idempotency-Key was used with another request.',
    );
  if (row.status === null || row.response === null) throw inProgress();
  return { status: row.status, response: row.response };
}

interface KeyRow {
  readonly fingerprint: Buffer;
  readonly status: number | null;
  readonly response: string | null;
}

async function readKey(
  db: Queryable,
  { scope, key }: Pick<IdempotencyKey, 'scope' | 'key'>,
): Promise<KeyRow | undefined> {
  const rows = await db.query<KeyRow>(
    'select fingerprint, status, response from idempotency_keys where scope = $1 and key = $2',
    [scope, key],
  );
  return rows[0];
}

/** What was answered under the key before; undefined when nobody has claimed it. */
export async function findKept(
  db: Queryable,
  asked: IdempotencyKey,
): Promise<KeptAnswer | undefined> {
  const row = await readKey(db, asked);
  return row === undefined ? undefined : judgeKept(asked, row);
}

/** The same of a key that was certainly claimed: 409 while its first request cannot be seen. */
export async function readKept(db: Queryable, asked: IdempotencyKey): Promise<KeptAnswer> {
  const kept = await findKept(db, asked);
  if (kept === undefined) throw inProgress();
  return kept;
}

function inProgress(): Refusal {
  return new Refusal(409, 'request_in_progress', 'The first request is still running.', {
    headers: { 'retry-after': '1' },
  });
}

/**
 * Claims the key in this transaction. Returns the kept answer when the request was served before;
 * a simultaneous twin waits here for the first one's commit.
 */
export async function claimKey(tx: Tx, asked: IdempotencyKey): Promise<KeptAnswer | undefined> {
  const claimed = await tx.query(
    `insert into idempotency_keys (scope, key, fingerprint) values ($1, $2, $3)
     on conflict do nothing returning key`,
    [asked.scope, asked.key, asked.fingerprint],
  );
  if (claimed.length === 1) return undefined;
  const row = await readKey(tx, asked);
  return row === undefined ? undefined : judgeKept(asked, row);
}

/** Keeps the answer with the effect. */
export async function keepAnswer(tx: Tx, asked: IdempotencyKey, answer: KeptAnswer): Promise<void> {
  await tx.query(
    'update idempotency_keys set status = $3, response = $4 where scope = $1 and key = $2',
    [asked.scope, asked.key, answer.status, answer.response],
  );
}

/** Forgets keys older than 24 h, a bounded bite at a time; true: there are more. */
export function trimKeys(db: Database): Promise<boolean> {
  return deleteBite(
    db,
    `delete from idempotency_keys where (scope, key) in (
       select scope, key from idempotency_keys
       where created_at < now() - interval '24 hours' limit $1)`,
  );
}
