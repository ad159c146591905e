/**
 * Passwords: argon2id at the least that OWASP asks for (19 MiB, two passes, one lane: 10 ms of a
 * core), two at a time and a bounded number waiting, so that a flood of guesses costs its senders
 * an answer and not this process its memory.
 */
import { hash as argonHash, verify as argonVerify } from '@node-rs/argon2';
import { Outage } from '@waybill/kit/errors.ts';
import { newToken } from '@waybill/kit/ids.ts';

export interface Passwords {
  hash(password: string): Promise<string>;
  /** Whether the password is the one; without a hash it takes as long, and is not. */
  verify(hash: string | null | undefined, password: string): Promise<boolean>;
}

const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const AT_ONCE = 2;
/** The last of so many waits for about half a second of two cores. */
const MAX_WAITING = 100;

/** Opens a queue of its own; one a process. */
export async function openPasswords(): Promise<Passwords> {
  const take = createQueue(AT_ONCE, MAX_WAITING);
  const nobodys = await argonHash(newToken(32), COST);
  return {
    hash: (password) => take(() => argonHash(Buffer.from(password), COST)),
    async verify(hash, password) {
      const right = await take(() => argonVerify(hash ?? nobodys, Buffer.from(password)));
      return right && hash !== null && hash !== undefined;
    },
  };
}

/** Runs so many at once and lets so many wait; one more is told to come back. */
export function createQueue(atOnce: number, maxWaiting: number) {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (running < atOnce) running++;
    else {
      if (waiting.length >= maxWaiting)
        throw new Outage('sign-in', 'too many passwords are waiting to be hashed');
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
