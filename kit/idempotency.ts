/**
 * Idempotency keys (spec 0.3; IETF draft-ietf-httpapi-idempotency-key-header). The service that
 * owns the effect keeps the key in the effect's transaction for 24 h. Only 2xx answers are kept.
 */
import { createHmac } from 'node:crypto';
import type { Database, Tx } from './db.ts';
import { Refusal } from './errors.ts';
import { canonicalJson } from './json.ts';

/** A request's key with what it is bound to. */
export interface IdempotencyKey {
  /** Caller and operation: the same key of another caller or route is another key. */
  readonly scope: string;
  readonly key: string;
  /** Keyed hash of the canonical body. */
  readonly fingerprint: Buffer;
}

export interface KeptAnswer {
  readonly status: number;
  /** The body as it was sent. */
  readonly response: string;
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/** Reads the header. A malformed key is refused with 400: ignoring it would charge twice. */
export function idempotencyKeyOf(
  header: string | string[] | undefined,
  scope: string,
  body: unknown,
  secret: Buffer,
): IdempotencyKey | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' || !KEY.test(header))
    throw new Refusal(400, 'invalid_idempotency_key', 'Idempotency-Key is not usable.', {
      faults: [
        { pointer: 'header:Idempotency-Key', detail: 'must be 1 to 255 visible ASCII characters' },
      ],
    });
  const told = body instanceof Uint8Array ? body : canonicalJson(body);
  const fingerprint = createHmac('sha256', secret).update(told).digest();
  return { scope, key: header, fingerprint };
}

/** Judges a row that is there already: the kept answer, or the refusal that it means. */
export function judgeKept(
  asked: IdempotencyKey,
  row: { fingerprint: Buffer; status: number | null; response: string | null },
): KeptAnswer {
  if (!row.fingerprint.equals(asked.fingerprint))
    throw new Refusal(
      422,
      'idempotency_key_reused',
      'This Idempotency-Key was used with another request body.',
    );
  if (row.status === null || row.response === null)
    throw new Refusal(409, 'request_in_progress', 'The first request is still running.', {
      headers: { 'retry-after': '1' },
    });
  return { status: row.status, response: row.response };
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
  const rows = await tx.query<{
    fingerprint: Buffer;
    status: number | null;
    response: string | null;
  }>('select fingerprint, status, response from idempotency_keys where scope = $1 and key = $2', [
    asked.scope,
    asked.key,
  ]);
  const row = rows[0];
  return row === undefined ? undefined : judgeKept(asked, row);
}

/** Keeps the answer with the effect. */
export async function keepAnswer(tx: Tx, asked: IdempotencyKey, answer: KeptAnswer): Promise<void> {
  await tx.query(
    'update idempotency_keys set status = $3, response = $4 where scope = $1 and key = $2',
    [asked.scope, asked.key, answer.status, answer.response],
  );
}

/** Forgets keys older than 24 h, a bounded bite at a time. */
export async function trimKeys(db: Database): Promise<void> {
  await db.query(
    `delete from idempotency_keys where (scope, key) in (
       select scope, key from idempotency_keys
       where created_at < now() - interval '24 hours' limit 5000)`,
  );
}
