/**
 * Who calls. The gateway authenticates, then signs who it was for one audience; the service
 * verifies the signature itself and believes no other header (reliability: trusted identity
 * headers keep failing in mature gateways). HMAC-SHA-256 over a short JSON; verified once per
 * cache entry.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { epochMs } from './clock.ts';
import { Refusal } from './errors.ts';

export const ROLES = ['customer', 'executor', 'operator', 'admin', 'service'] as const;
export type Role = (typeof ROLES)[number];

export interface Identity {
  /** Username, executor id or service name. */
  readonly subject: string;
  readonly roles: readonly Role[];
  /** For executors: the one executor they are. */
  readonly executorId?: string;
  /** The session whose token was shown, where there is one. */
  readonly sessionId?: string;
}

/** The header that carries the signed identity inward. */
export const IDENTITY_HEADER = 'waybill-identity';

/**
 * The header that carries inward, signed, from where the request came: an identity without roles
 * whose subject is the address as the entrance saw it.
 */
export const ORIGIN_HEADER = 'waybill-origin';

const LIFETIME_MS = 120_000;
const MAX_CACHED = 10_000;

interface Payload extends Identity {
  readonly audience: string;
  readonly expires: number;
}

export interface IdentitySigner {
  /** A token that says to the audience (a service's name) who calls; cached for half its life. */
  sign(identity: Identity, audience: string): string;
  /** Verifies signature, audience and expiry. Refuses with 401. */
  verify(token: string, audience: string): Identity;
}

/** Signs and verifies with the installation's identity key. */
export function openIdentitySigner(key: Buffer): IdentitySigner {
  const signed = new Map<string, { token: string; until: number }>();
  const verified = new Map<string, Payload>();
  const mac = (text: string) => createHmac('sha256', key).update(text).digest('base64url');
  return {
    sign(identity, audience) {
      const now = epochMs();
      const { subject, roles, executorId = '', sessionId = '' } = identity;
      const cacheKey = `${audience}\n${subject}\n${roles.join()}\n${executorId}\n${sessionId}`;
      const known = signed.get(cacheKey);
      if (known !== undefined && known.until > now) return known.token;
      const payload: Payload = { ...identity, audience, expires: now + LIFETIME_MS };
      const text = Buffer.from(JSON.stringify(payload)).toString('base64url');
      const token = `${text}.${mac(text)}`;
      if (signed.size >= MAX_CACHED) signed.clear();
      signed.set(cacheKey, { token, until: now + LIFETIME_MS / 2 });
      return token;
    },
    verify(token, audience) {
      let payload = verified.get(token);
      if (payload === undefined) {
        payload = check(token, mac);
        if (verified.size >= MAX_CACHED) verified.clear();
        verified.set(token, payload);
      }
      if (payload.expires < epochMs() || payload.audience !== audience) throw unauthenticated();
      return payload;
    },
  };
}

function check(token: string, mac: (text: string) => string): Payload {
  const [text, signature, ...rest] = token.split('.');
  if (text === undefined || signature === undefined || rest.length > 0) throw unauthenticated();
  const expected = Buffer.from(mac(text));
  const given = Buffer.from(signature);
  if (expected.length !== given.length || !timingSafeEqual(expected, given))
    throw unauthenticated();
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Payload;
}

/** What a 401 says that it takes instead (RFC 9110, 15.5.2). */
export const CHALLENGE = { 'www-authenticate': 'Bearer' } as const;

/** The one answer to every kind of missing or bad credentials. */
export function unauthenticated(): Refusal {
  return new Refusal(401, 'unauthenticated', 'A valid access token is needed.', {
    headers: CHALLENGE,
  });
}

/** Whether the caller may see and act on everybody's things. */
export function isStaff(identity: Identity): boolean {
  return identity.roles.some(
    (role) => role === 'admin' || role === 'operator' || role === 'service',
  );
}
