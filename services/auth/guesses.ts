/**
 * Guesses at passwords, counted by address and by name (rules.ts). They stand in the database, so
 * that several processes count together; of addresses and names only keyed hashes are kept.
 */
import { createHmac } from 'node:crypto';
import type { Queryable } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import type { AuthContext } from './context.ts';
import { BY_ADDRESS, BY_MAILBOX, BY_NAME, BY_OWN_PLACE, type Allowance } from './rules.ts';
import { returnGuess, takeGuess } from './store.ts';
import { readWait } from './views.ts';

/** One guess that was counted, to be given back when it was right. */
export interface Guess {
  readonly address: Counted;
  readonly name: Counted;
}

interface Counted {
  readonly bucket: Buffer;
  readonly allowance: Allowance;
}

/** A keyed hash, so that the database tells neither who came from where nor what was typed. */
export function hashOf(context: AuthContext, ...parts: readonly string[]): Buffer {
  return createHmac('sha256', context.key('guesses')).update(parts.join('\n')).digest();
}

/**
 * What is guessed at. A name, as it was typed: names that are nobody's are counted like others. A
 * user, by id, from a place where they have logged in before: it counts for itself, so that nobody
 * elsewhere can keep them out. Or the password of a session that stands open.
 */
export type GuessedAt = { name: string } | { user: string } | { session: string };

/** Counts a guess from an address, or refuses it with 429. */
export async function countGuess(
  context: AuthContext,
  origin: string,
  at: GuessedAt,
): Promise<Guess> {
  const { db } = context;
  const address = { bucket: hashOf(context, 'address', origin), allowance: BY_ADDRESS };
  const name =
    'user' in at
      ? { bucket: hashOf(context, 'user', at.user, origin), allowance: BY_OWN_PLACE }
      : { bucket: hashOf(context, ...(Object.entries(at)[0] ?? [])), allowance: BY_NAME };
  const taken = await takeGuess(db, address, name);
  if (taken === 2) return { address, name };
  // The address had room and the name had none: what was taken of the address stays taken.
  throw await heldUp(db, taken === 0 ? address : name);
}

/** Gives a guess back, because it was right. */
export async function giveBack(tx: Queryable, guess: Guess): Promise<void> {
  for (const { bucket, allowance } of [guess.address, guess.name])
    await returnGuess(tx, bucket, allowance);
}

/**
 * Counts a request for a mailed link in its transaction, by address (refuses with 429) and by
 * mailbox; tells whether that may get one more.
 */
export async function countRequest(
  tx: Queryable,
  context: AuthContext,
  origin: string,
  emailKey: string,
): Promise<boolean> {
  const address = { bucket: hashOf(context, 'requests', origin), allowance: BY_ADDRESS };
  const mailbox = { bucket: hashOf(context, 'mailbox', emailKey), allowance: BY_MAILBOX };
  const taken = await takeGuess(tx, address, mailbox);
  if (taken === 0) throw await heldUp(tx, address);
  return taken === 2;
}

async function heldUp(db: Queryable, { bucket, allowance }: Counted): Promise<Refusal> {
  const seconds = await readWait(db, bucket, allowance);
  return new Refusal(429, 'rate_limited', 'Too many requests; see Retry-After.', {
    headers: { 'retry-after': String(seconds) },
  });
}
