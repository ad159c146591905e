/**
 * The keys that access tokens are signed with: Ed25519, in generations. A new one is published
 * before it signs, and an old one stays published until its last token has expired. The private
 * half lies in the database encrypted (AES-256-GCM) under a key that is derived from the
 * installation's secret, so that a copy of the database signs nothing.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import type { CryptoKey, JWK, JWTPayload } from 'jose';
import { monotonicMs } from '@waybill/kit/clock.ts';
import type { Queryable } from '@waybill/kit/db.ts';
import { newToken } from '@waybill/kit/ids.ts';
import type { Json } from '@waybill/kit/json.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import {
  insertSigningKey,
  readLastGeneration,
  readSigningKeys,
  type SigningKeyRow,
} from './views.ts';

export interface KeyRing {
  /** Signs the claims of an access token. */
  sign(claims: JWTPayload): Promise<string>;
  /** The public halves, for whoever verifies. */
  published(): Promise<{ keys: Json[] }>;
  /** Adds a key when the last one has served its time; tells whether it did. */
  rotateIfDue(): Promise<boolean>;
  /** Signs with a new key from now on. */
  rotateNow(): Promise<void>;
}

export interface KeyRingOptions {
  readonly db: Queryable;
  readonly log: Logger;
  readonly secret: Buffer;
  readonly accessTtlSeconds: number;
  readonly rotationDays: number;
}

/** How long a new key is published before it signs: longer than verifiers keep a set. */
const PUBLISHED_AHEAD_SECONDS = 600;
/** What clocks may differ by. */
const LEEWAY_SECONDS = 120;
const REREAD_MS = 5000;

interface Signer {
  readonly kid: string;
  readonly key: CryptoKey;
}

/** Opens the keys of the database, which one process or many may share. */
export function openKeyRing(options: KeyRingOptions): KeyRing {
  const { db, log, secret, rotationDays } = options;
  const keptSeconds = options.accessTtlSeconds + LEEWAY_SECONDS;
  let readAt = Number.NEGATIVE_INFINITY;
  let known: Promise<{ rows: SigningKeyRow[]; signer: Signer }> | undefined;

  const add = async (after: number, inSeconds: number) => {
    const made = await makeKey(secret);
    const added = await insertSigningKey(db, { generation: after + 1, inSeconds, ...made });
    if (added) log.info({ kid: made.kid, generation: after + 1 }, 'a signing key was made');
    readAt = Number.NEGATIVE_INFINITY;
    return added;
  };
  const load = async (retried = false): Promise<{ rows: SigningKeyRow[]; signer: Signer }> => {
    const rows = await readSigningKeys(db, keptSeconds);
    const row = rows.find(({ signs }) => signs);
    const key = row === undefined ? undefined : await openKey(row, secret, log);
    if (row !== undefined && key !== undefined) return { rows, signer: { kid: row.kid, key } };
    if (retried) throw new Error('no signing key can be used');
    await add(rows[0]?.generation ?? 0, 0);
    return load(true);
  };
  const current = () => {
    if (known === undefined || monotonicMs() - readAt > REREAD_MS) {
      readAt = monotonicMs();
      const loading = load();
      known = loading;
      loading.catch(() => {
        if (known === loading) known = undefined;
      });
    }
    return known;
  };
  return {
    async sign(claims) {
      const { signer } = await current();
      const header = { alg: 'EdDSA', typ: 'at+jwt', kid: signer.kid };
      return new SignJWT(claims).setProtectedHeader(header).sign(signer.key);
    },
    published: async () => ({ keys: (await current()).rows.map((row) => row.public_key) }),
    async rotateIfDue() {
      const last = await readLastGeneration(db, rotationDays);
      return last?.due === true && (await add(last.generation, PUBLISHED_AHEAD_SECONDS));
    },
    async rotateNow() {
      const last = await readLastGeneration(db, rotationDays);
      await add(last?.generation ?? 0, 0);
    },
  };
}

async function makeKey(secret: Buffer) {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const { d, ...open } = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint(open);
  const publicKey = { ...open, kid, alg: 'EdDSA', use: 'sig' } as unknown as Json;
  return { kid, publicKey, privateKey: seal(secret, kid, String(d)) };
}

/** The key that signs; none when it was sealed under another secret. */
async function openKey(row: SigningKeyRow, secret: Buffer, log: Logger) {
  try {
    const d = unseal(secret, row.kid, row.private_key);
    const { kty, crv, x } = row.public_key as JWK;
    return (await importJWK({ kty, crv, x, d } as JWK, 'EdDSA')) as CryptoKey;
  } catch {
    log.warn({ kid: row.kid }, 'a signing key belongs to another secret; a new one is made');
    return undefined;
  }
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

function seal(secret: Buffer, kid: string, text: string): Buffer {
  const nonce = Buffer.from(newToken(NONCE_BYTES), 'base64url');
  const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(Buffer.from(kid));
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

function unseal(secret: Buffer, kid: string, sealed: Buffer): string {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(kid));
  decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  const rest = sealed.subarray(NONCE_BYTES + TAG_BYTES);
  return Buffer.concat([decipher.update(rest), decipher.final()]).toString('utf8');
}
