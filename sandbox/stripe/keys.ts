/** Idempotency keys as Stripe keeps them: the first answer is the answer, a 500 too. */
import { failure } from './replies.ts';
import type { Reply } from './replies.ts';

export interface Keys {
  /** Runs the work unless its key was used; replies as Stripe does when it was. */
  once(key: string, request: string, work: () => Promise<Reply>): Promise<Answer>;
  /** Stripe forgets keys after a day at the earliest. */
  forget(): void;
}

export interface Answer {
  readonly reply: Reply;
  readonly replayed: boolean;
}

interface Used {
  readonly request: string;
  reply?: Reply;
}

export function createKeys(): Keys {
  const used = new Map<string, Used>();
  return {
    async once(key, request, work) {
      const before = used.get(key);
      if (before !== undefined) return again(before, request);
      const entry: Used = { request };
      used.set(key, entry);
      try {
        entry.reply = await work();
      } finally {
        if (entry.reply?.saved !== true) used.delete(key);
      }
      return { reply: entry.reply, replayed: false };
    },
    forget: () => used.clear(),
  };
}

function again(before: Used, request: string): Answer {
  if (before.request !== request) {
    const message = 'Keys for idempotent requests can only be used with the same parameters.';
    return { reply: failure(400, 'idempotency_error', message), replayed: false };
  }
  if (before.reply === undefined) {
    const message = 'There is currently another in-progress request using this Idempotent Key.';
    const reply = failure(409, 'idempotency_error', message, 'idempotency_key_in_use');
    return { reply, replayed: false };
  }
  return { reply: before.reply, replayed: true };
}
