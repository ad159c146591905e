/** Access tokens: strict about what is one (RFC 9068, RFC 8725), remembered once verified. */
import { jwtVerify } from 'jose';
import { epochMs } from '@waybill/kit/clock.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { ROLES, unauthenticated, type Identity } from '@waybill/kit/identity.ts';
import { parseStrictJson } from '@waybill/kit/json.ts';
import type { Keys, TrustedKey } from './keys.ts';
import type { IsRevoked } from './revocations.ts';

export interface Tokens {
  /** The identity of a token that was verified before, while it and its key are good. */
  known(authorization: string): Identity | undefined;
  /** Verifies the field's token. Every fault is the same 401. */
  verify(authorization: string): Promise<Identity>;
}

const MAX_LENGTH = 8192;
const LEEWAY_SECONDS = 60;
/** What a remembered token takes besides its own text, by measurement: 310 bytes, and to spare. */
const ENTRY_BYTES = 350;
/** What stays, of a full memory, when room is made. */
const KEPT_OF_FULL = 7 / 8;
/** Verifications at once; each takes a third of a millisecond of one of the few crypto threads. */
const MAX_PENDING = 512;

const BEARER = /^Bearer +([\w-]+)\.([\w-]+)\.[\w-]+$/i;
/** Anything else in a header asks for something: a key of its own, an extension, compression. */
const HEADER_MEMBERS = new Set(['alg', 'typ', 'kid', 'x5t', 'x5t#S256']);
const ALGORITHMS = new Set(['EdDSA', 'RS256', 'ES256']);
const NAME = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

interface Verified {
  readonly identity: Identity;
  readonly key: TrustedKey;
  /** Seconds since the epoch; 0 when the token does not say. */
  readonly issuedAt: number;
  readonly expiresMs: number;
}

/**
 * Opens a verifier with a memory of so many bytes: verifying costs a third of a millisecond, and
 * looking up less than one of its hundredths. What may change while a token is remembered, its key
 * and whether it was taken back, is looked at each time that it is shown.
 */
export function openTokens(keys: Keys, isRevoked: IsRevoked, memoryBytes: number): Tokens {
  const remembered = new Map<string, Verified>();
  const pending = new Map<string, Promise<Identity>>();
  let bytes = 0;
  const forget = (authorization: string) => {
    if (remembered.delete(authorization)) bytes -= authorization.length + ENTRY_BYTES;
  };
  const remember = (authorization: string, verified: Verified) => {
    forget(authorization);
    remembered.set(authorization, verified);
    bytes += authorization.length + ENTRY_BYTES;
    if (bytes <= memoryBytes) return;
    // The oldest go first, an eighth at a time: each pass steps over the places of all that went.
    for (const oldest of remembered.keys()) {
      if (bytes <= memoryBytes * KEPT_OF_FULL) break;
      forget(oldest);
    }
  };
  const verifyOnce = async (authorization: string): Promise<Identity> => {
    try {
      const verified = await check(authorization, keys);
      if (isRevoked(verified.identity, verified.issuedAt)) throw unauthenticated();
      remember(authorization, verified);
      return verified.identity;
    } catch (error) {
      if (error instanceof Outage) throw error;
      throw unauthenticated();
    } finally {
      pending.delete(authorization);
    }
  };
  return {
    known(authorization) {
      const entry = remembered.get(authorization);
      if (entry === undefined) return undefined;
      const { identity, key, issuedAt, expiresMs } = entry;
      const lives = expiresMs + LEEWAY_SECONDS * 1000 > epochMs();
      if (lives && keys.trusts(key) && !isRevoked(identity, issuedAt)) return identity;
      forget(authorization);
      return undefined;
    },
    verify(authorization) {
      const running = pending.get(authorization);
      if (running !== undefined) return running;
      if (pending.size >= MAX_PENDING)
        return Promise.reject(new Outage('verifier of access tokens', 'too many are waiting'));
      const started = verifyOnce(authorization);
      pending.set(authorization, started);
      return started;
    },
  };
}

async function check(authorization: string, keys: Keys): Promise<Verified> {
  const [, header, payload] = BEARER.exec(authorization) ?? [];
  if (header === undefined || payload === undefined || authorization.length > MAX_LENGTH)
    throw unauthenticated();
  const { algorithm, keyId } = readHeader(header);
  const trusted = await keys.find(keyId);
  if (trusted === undefined || trusted.algorithm !== algorithm) throw unauthenticated();
  const token = authorization.slice(authorization.lastIndexOf(' ') + 1);
  await jwtVerify(token, trusted.key, {
    algorithms: [trusted.algorithm],
    issuer: trusted.issuer,
    audience: trusted.audience,
    typ: 'at+jwt',
    clockTolerance: LEEWAY_SECONDS,
    requiredClaims: ['sub', 'exp'],
    currentDate: new Date(epochMs()),
  });
  // Read again, strictly: of two equal claims JSON.parse takes the last, another reader the first.
  const claims = readObject(payload);
  const { iat: issuedAt = 0, exp } = claims;
  if (typeof issuedAt !== 'number') throw unauthenticated();
  return { identity: identityOf(claims), key: trusted, issuedAt, expiresMs: Number(exp) * 1000 };
}

function readObject(part: string): Record<string, unknown> {
  const value = parseStrictJson(Buffer.from(part, 'base64url'));
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal(401, 'unauthenticated', 'It is not an object.');
  return value as Record<string, unknown>;
}

function readHeader(part: string): { algorithm: string; keyId: string } {
  const header = readObject(part);
  const { alg, kid } = header;
  const strange = Object.keys(header).some((name) => !HEADER_MEMBERS.has(name));
  if (strange || typeof alg !== 'string' || !ALGORITHMS.has(alg)) throw unauthenticated();
  if (typeof kid !== 'string' || kid.length > 200) throw unauthenticated();
  return { algorithm: alg, keyId: kid };
}

/** Roles we do not know give nothing; claims of the wrong kind void the token. */
function identityOf(claims: Record<string, unknown>): Identity {
  const { sub, roles = [], executor_id: executorId, sid: sessionId } = claims;
  if (!isName(sub) || !Array.isArray(roles)) throw unauthenticated();
  const held = ROLES.filter((role) => (roles as unknown[]).includes(role));
  let identity: Identity = { subject: sub, roles: held };
  if (executorId !== undefined) {
    if (!isName(executorId)) throw unauthenticated();
    identity = { ...identity, executorId };
  }
  if (sessionId === undefined) return identity;
  // One that is no name could not be taken back.
  if (!isName(sessionId)) throw unauthenticated();
  return { ...identity, sessionId };
}

function isName(claim: unknown): claim is string {
  return typeof claim === 'string' && NAME.test(claim);
}
