/**
 * The development key: an Ed25519 key in DATA_DIR that `waybill token` signs with, and that the
 * gateway trusts while the file is there. Whoever can read the file can be anybody, which is what
 * the owner of the machine is already.
 */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import type { JWK } from 'jose';
import { epochMs } from '@waybill/kit/clock.ts';
import type { Role } from '@waybill/kit/identity.ts';
import { newId } from '@waybill/kit/ids.ts';

/** Who issues and who accepts development tokens, whatever AUTH_ISSUER and AUTH_AUDIENCE say. */
export const DEVELOPMENT_ISSUER = 'waybill';
export const DEVELOPMENT_AUDIENCE = 'waybill';

/** The private JWK as it lies on disk. */
export type DevelopmentKey = JWK & { readonly kid: string };

function fileOf(dataDir: string): string {
  return join(dataDir, 'keys', 'dev-signing.jwk');
}

/** The key, when there is one; a damaged file is none. */
export function readDevelopmentKey(dataDir: string): DevelopmentKey | undefined {
  try {
    const key = JSON.parse(readFileSync(fileOf(dataDir), 'utf8')) as JWK;
    const fits = key.kty === 'OKP' && key.crv === 'Ed25519' && typeof key.kid === 'string';
    return fits ? (key as DevelopmentKey) : undefined;
  } catch {
    return undefined;
  }
}

/** The key, made if there is none; of several who make one at once, one wins. */
export async function createDevelopmentKey(dataDir: string): Promise<DevelopmentKey> {
  const known = readDevelopmentKey(dataDir);
  if (known !== undefined) return known;
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = `dev-${await calculateJwkThumbprint(jwk)}`;
  const file = fileOf(dataDir);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${newId()}`;
  writeFileSync(draft, `${JSON.stringify({ ...jwk, alg: 'EdDSA', use: 'sig', kid })}\n`, {
    mode: 0o600,
  });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const made = readDevelopmentKey(dataDir);
  if (made === undefined)
    throw new Error(`${file} is not an Ed25519 key; remove it to get a new one.`);
  return made;
}

export interface TokenRequest {
  readonly dataDir: string;
  readonly subject: string;
  readonly roles: readonly Role[];
  readonly executorId?: string;
  readonly ttlSeconds: number;
}

/** An access token signed with the development key, which is made if need be. */
export async function mintToken(request: TokenRequest): Promise<string> {
  const key = await createDevelopmentKey(request.dataDir);
  const now = Math.floor(epochMs() / 1000);
  return new SignJWT({
    roles: [...request.roles],
    ...(request.executorId === undefined ? {} : { executor_id: request.executorId }),
  })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid })
    .setSubject(request.subject)
    .setIssuer(DEVELOPMENT_ISSUER)
    .setAudience(DEVELOPMENT_AUDIENCE)
    .setIssuedAt(now)
    .setExpirationTime(now + request.ttlSeconds)
    .setJti(newId())
    .sign(await importJWK(key, 'EdDSA'));
}
