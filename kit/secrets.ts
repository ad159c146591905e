/** The installation's one secret, and the keys derived from it (HKDF-SHA-256). */
import { hkdfSync, timingSafeEqual } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newToken } from './ids.ts';

/** Reads `<dataDir>/secret`, or makes it, readable for the owner alone; safe against a race. */
export function readOrCreateSecret(dataDir: string): string {
  const file = join(dataDir, 'secret');
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, `${newToken(32)}\n`, { mode: 0o600 });
    try {
      linkSync(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft, { force: true });
    }
  }
  return readFileSync(file, 'utf8').trim();
}

export type KeyPurpose =
  | 'identity'
  | 'cursor'
  | 'idempotency'
  | 'database'
  | 'signing-keys'
  | 'mailed-links'
  | 'guesses'
  | 'sandbox-control'
  | 'sandbox-callback';

/** A 32-byte key for one purpose; keys of different purposes tell nothing of each other. */
export function deriveKey(secret: string, purpose: KeyPurpose, of = ''): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'waybill', `${purpose}:${of}`, 32));
}

/** Compares a text that was sent with a secret, in a time that tells nothing but its length. */
export function sameText(given: string, secret: string | undefined): boolean {
  if (secret === undefined) return false;
  const [a, b] = [Buffer.from(given), Buffer.from(secret)];
  return a.length === b.length && timingSafeEqual(a, b);
}
