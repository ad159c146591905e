/**
 * The keys that tokens may be signed with: the development key while its file is there, and one
 * published set, behind AUTH_JWKS_URL or of the platform's own auth service. Each key has one
 * algorithm, one issuer and one audience; nothing that a token carries or points at is ever a key
 * (RFC 8725).
 */
import { importJWK } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { monotonicMs } from '@waybill/kit/clock.ts';
import { Outage } from '@waybill/kit/errors.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, readDevelopmentKey } from './dev-key.ts';

export interface TrustedKey {
  readonly id: string;
  readonly key: CryptoKey;
  /** All that it is and is for, as text: the same key, read again, has the same. */
  readonly description: string;
  readonly algorithm: string;
  readonly issuer: string;
  readonly audience: string;
}

export interface Keys {
  /** Finds a key by the id in a token's header. Throws an Outage when the issuer must be asked. */
  find(keyId: string): Promise<TrustedKey | undefined>;
  /** Whether a key that was found is trusted still, as far as it is known without waiting. */
  trusts(key: TrustedKey): boolean;
}

/** Who publishes a key set. */
export interface Publisher {
  readonly name: string;
  /** How long a set is used before it is read again. */
  readonly freshMs: number;
  /** A token with an unknown key id has the set read again, this often at most. */
  readonly cooldownMs: number;
  /** Reads the set; rejects when it cannot be had. */
  read(): Promise<unknown>;
}

export interface KeyOptions {
  readonly dataDir: string;
  readonly publisher: Publisher | undefined;
  readonly issuer: string;
  readonly audience: string;
  readonly log: Logger;
}

/** Opens both sources. The development key wins where they name the same id. */
export function openKeys(options: KeyOptions): Keys {
  const development = developmentKeys(options.dataDir);
  const { publisher } = options;
  const published = publisher === undefined ? undefined : publishedKeys(publisher, options);
  return {
    find: async (keyId) => (await development.find(keyId)) ?? (await published?.find(keyId)),
    trusts: (key) => development.trusts(key) || published?.trusts(key) === true,
  };
}

const REREAD_MS = 1000;

/** Looks at the file at most once a second: a key made later works, a removed one stops working. */
function developmentKeys(dataDir: string): Keys {
  let readAt = Number.NEGATIVE_INFINITY;
  let known: Omit<TrustedKey, 'key'> | undefined;
  let key: Promise<TrustedKey> | undefined;
  const read = () => {
    const now = monotonicMs();
    if (now - readAt < REREAD_MS) return;
    readAt = now;
    const jwk = readDevelopmentKey(dataDir);
    const before = known;
    known =
      jwk === undefined
        ? undefined
        : describe(jwk.kid, jwk, 'EdDSA', DEVELOPMENT_ISSUER, DEVELOPMENT_AUDIENCE);
    if (known?.description === before?.description) return;
    key = jwk === undefined || known === undefined ? undefined : trust(jwk, known);
    // Met by whoever shows a token of it, if ever.
    key?.catch(() => {});
  };
  return {
    async find(keyId) {
      read();
      return known?.id === keyId ? key : undefined;
    },
    trusts({ description }) {
      read();
      return known?.description === description;
    },
  };
}

function describe(
  id: string,
  jwk: JWK,
  algorithm: string,
  issuer: string,
  audience: string,
): Omit<TrustedKey, 'key'> {
  const description = JSON.stringify([id, publicHalf(jwk), algorithm, issuer, audience]);
  return { id, algorithm, issuer, audience, description };
}

/** Imports the public half of a key for one algorithm. */
async function trust(jwk: JWK, known: Omit<TrustedKey, 'key'>): Promise<TrustedKey> {
  return { ...known, key: (await importJWK(publicHalf(jwk), known.algorithm)) as CryptoKey };
}

function publicHalf({ kty, crv, x, y, n, e }: JWK): JWK {
  const parts = Object.entries({ kty, crv, x, y, n, e });
  return Object.fromEntries(parts.filter(([, part]) => part !== undefined));
}

/**
 * How long the last known set outlives a publisher that is away: longer than the tokens that were
 * issued before, so that it is they that end.
 */
const STALE_MS = 2 * 3_600_000;
const MAX_KEYS = 100;

function publishedKeys(publisher: Publisher, { issuer, audience, log }: KeyOptions): Keys {
  const { name, freshMs, cooldownMs } = publisher;
  let keys = new Map<string, TrustedKey>();
  let readAt = Number.NEGATIVE_INFINITY;
  let triedAt = Number.NEGATIVE_INFINITY;
  let pending: Promise<void> | undefined;
  const refresh = async () => {
    triedAt = monotonicMs();
    try {
      keys = await readKeySet(await publisher.read(), issuer, audience, log);
      readAt = monotonicMs();
    } catch (error) {
      log.warn({ reason: (error as Error).message }, `the key set of ${name} is out of reach`);
    } finally {
      pending = undefined;
    }
  };
  const renew = () => {
    if (pending === undefined && monotonicMs() - triedAt > cooldownMs) pending = refresh();
    return pending;
  };
  /** Who has a key waits for nobody: a publisher that hangs would hold up every token. */
  const have = (keyId: string) => {
    const age = monotonicMs() - readAt;
    const known = age < STALE_MS ? keys.get(keyId) : undefined;
    if (known !== undefined && age > freshMs) void renew();
    return known;
  };
  return {
    async find(keyId) {
      const known = have(keyId);
      if (known !== undefined) return known;
      await renew();
      const found = have(keyId);
      if (found === undefined && readAt < triedAt)
        throw new Outage('issuer of access tokens', 'its key set cannot be read', {
          retryAfterSeconds: Math.ceil(cooldownMs / 1000),
        });
      return found;
    },
    trusts: ({ id, description }) => have(id)?.description === description,
  };
}

/** Signature keys with an id whose kind and algorithm are on the allow-list; no others. */
async function readKeySet(
  set: unknown,
  issuer: string,
  audience: string,
  log: Logger,
): Promise<Map<string, TrustedKey>> {
  const { keys } = set as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('it is not a key set');
  const trusted = new Map<string, TrustedKey>();
  for (const jwk of (keys as JWK[]).slice(0, MAX_KEYS)) {
    const algorithm = algorithmOf(jwk);
    if (algorithm === undefined || typeof jwk.kid !== 'string') continue;
    try {
      const known = describe(jwk.kid, jwk, algorithm, issuer, audience);
      trusted.set(jwk.kid, await trust(jwk, known));
    } catch (error) {
      log.warn({ kid: jwk.kid, reason: (error as Error).message }, 'a published key is unusable');
    }
  }
  return trusted;
}

/** The one algorithm a key is for, by its kind; never by what a token asks for. */
function algorithmOf({ kty, crv, alg, use, n }: JWK): string | undefined {
  if (use !== undefined && use !== 'sig') return undefined;
  const natural =
    kty === 'OKP' && crv === 'Ed25519'
      ? 'EdDSA'
      : kty === 'EC' && crv === 'P-256'
        ? 'ES256'
        : kty === 'RSA' && Buffer.from(n ?? '', 'base64url').length >= 256
          ? 'RS256'
          : undefined;
  const named = alg === 'Ed25519' ? 'EdDSA' : alg;
  return named === undefined || named === natural ? natural : undefined;
}
