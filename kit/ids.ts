/** The one place that makes identifiers and draws random numbers. */
import { randomBytes } from 'node:crypto';
import { v7 } from 'uuid';
import { epochMs } from './clock.ts';

/** Random bytes are drawn 4 KiB at a time: one system call for 256 ids. */
const POOL = 4096;
let pool = randomBytes(POOL);
let used = 0;
let lastMs = 0;
let sequence = 0;

/** A UUIDv7: ordered by creation, also within a millisecond (Node's own is not). */
export function newId(): string {
  if (used + 16 > POOL) {
    pool = randomBytes(POOL);
    used = 0;
  }
  const bytes = pool.subarray(used, (used += 16));
  const now = epochMs();
  if (now > lastMs) {
    lastMs = now;
    sequence = bytes.readUInt32BE(6) >>> 1;
  } else sequence++;
  return v7({ random: bytes, msecs: lastMs, seq: sequence });
}

/** A random token of so many bytes, base64url. */
export function newToken(bytes = 16): string {
  return randomBytes(bytes).toString('base64url');
}

/** Uniform in [0, 1). For jitter, never for secrets. */
export function random(): number {
  return Math.random();
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in canonical lower-case form; PostgreSQL accepts far more. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The moment a UUIDv7 was made, in epoch milliseconds. */
export function timeOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
