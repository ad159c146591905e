/**
 * Guesses at passwords, counted by address and by name (rules.ts). They stand in the database, so
 * that several processes count together; of addresses and names only keyed hashes are kept.
 */
import { createHmac } from 'node:crypto';
import type { Queryable } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import type { AuthContext } from './context.ts';
import { BY_ADDRESS, BY_MAILBOX, BY_NAME } from './rules.ts';
import { returnGuess, takeGuess } from './store.ts';
import { readWait } from './views.ts';

/** One guess that was counted, to be given back when it was right. */
export interface Guess {
  readonly address: Buffer;
  readonly name: Buffer;
}

/** A keyed hash, so that the database tells neither who came from where nor what was typed. */
export function hashOf(context: AuthContext, ...parts: readonly string[]): Buffer {
  return createHmac('sha256', context.key('guesses')).update(parts.join('\n')).digest();
}

/**
 * Counts a guess at a name from an address, or refuses it with 429.
 * @param name what was typed: names that are nobody's are counted like others
 * @param user their id, where the address is known to them: it then counts for itself, so that
 *   nobody elsewhere can keep them out
 */
export async function countGuess(
  context: AuthContext,
  origin: string,
  name: string,
  user: string | undefined,
): Promise<Guess> {
  const { db } = context;
  const address = hashOf(context, 'address', origin);
  const bucket =
    user === undefined ? hashOf(context, 'name', name) : hashOf(context, 'known', user, origin);
  const taken = await takeGuess(
    db,
    { bucket: address, allowance: BY_ADDRESS },
    { bucket, allowance: BY_NAME },
  );
  if (taken === 2) return { address, name: bucket };
  // The address had room and the name had none: what was taken of the address stays taken.
  const seconds =
    taken === 0 ? await readWait(db, address, BY_ADDRESS) : await readWait(db, bucket, BY_NAME);
  throw new Refusal(429, 'rate_limited', 'Too many requests; see Retry-After.', {
    headers: { 'retry-after': String(seconds) },
  });
}

/** Gives a guess back, because it was right. */
export async function giveBack(tx: Queryable, guess: Guess): Promise<void> {
  await returnGuess(tx, guess.address, BY_ADDRESS);
  await returnGuess(tx, guess.name, BY_NAME);
}

/** Counts a request for a mailed link by address; refuses with 429. */
export async function countRequest(context: AuthContext, origin: string, email: string) {
  const address = hashOf(context, 'requests', origin);
  const mailbox = hashOf(context, 'mailbox', email);
  const taken = await takeGuess(
    context.db,
    { bucket: address, allowance: BY_ADDRESS },
    { bucket: mailbox, allowance: BY_MAILBOX },
  );
  if (taken > 0) return { mayMail: taken === 2 };
  const seconds = await readWait(context.db, address, BY_ADDRESS);
  throw new Refusal(429, 'rate_limited', 'Too many requests; see Retry-After.', {
    headers: { 'retry-after': String(seconds) },
  });
}
