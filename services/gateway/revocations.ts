/**
 * Which access tokens the auth service has taken back. It is asked every two seconds once the first
 * of its tokens was seen; while it is away the last known state goes on, and tokens end by
 * themselves. So a token that was taken back is refused within five seconds (`REFUSED_WITHIN_MS`):
 * two of waiting, two that a question may take, and one to spare.
 */
import type { Revocation } from '@waybill/auth/contract.ts';
import type { Client } from '@waybill/kit/client.ts';
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { startLoop, type Stop } from '@waybill/kit/loop.ts';

/** While the auth service answers, a token that was taken back is good for no longer than this. */
export const REFUSED_WITHIN_MS = 5000;
const POLL_MS = 2000;
const ANSWER_MS = 2000;
/** Longer than any access token lives (an hour, and a minute for clocks that differ). */
const KEPT_MS = 2 * 3_600_000;

/** Whether a token of this caller that was issued then (seconds, 0 = unknown) was taken back. */
export type IsRevoked = (identity: Identity, issuedAt: number) => boolean;

export interface Revocations {
  readonly covers: IsRevoked;
  /** Resolves once the state is known, at once from then on. Throws an Outage while it is not. */
  known(): Promise<void>;
  stop: Stop;
}

interface Page {
  readonly revocations: readonly Revocation[];
  /** Where the next question goes on. */
  readonly next: string;
}

interface Kept {
  readonly before: number;
  readonly until: number;
}

/** Opens an empty state; it is read when it is first needed. */
export function openRevocations(client: Client, log: Logger): Revocations {
  const sessions = new Map<string, Kept>();
  const users = new Map<string, Kept>();
  let after: string | undefined;
  let reading: Promise<void> | undefined;
  let isKnown = false;
  let stop: Stop | undefined;
  const read = async () => {
    for (;;) {
      const page = await askForPage(client, after);
      const until = monotonicMs() + KEPT_MS;
      for (const one of page.revocations) note(one, sessions, users, until);
      const ended = page.revocations.length === 0 || page.next === after;
      after = page.next;
      if (ended) break;
    }
    isKnown = true;
    forget(sessions);
    forget(users);
  };
  const follow = async (signal: AbortSignal) => {
    await sleep(POLL_MS, signal);
    if (!signal.aborted) await read();
  };
  return {
    covers: ({ subject, sessionId }, issuedAt) =>
      (sessionId !== undefined && sessions.has(sessionId)) ||
      issuedAt < (users.get(subject)?.before ?? 0),
    async known() {
      if (isKnown) return;
      reading ??= read().finally(() => (reading = undefined));
      await reading;
      stop ??= startLoop('revocations', log, follow);
    },
    stop: async () => stop?.(),
  };
}

function askForPage(client: Client, after: string | undefined): Promise<Page> {
  const call = {
    method: 'GET',
    path: '/internal/auth/revocations',
    idempotent: true,
    ...(after === undefined ? {} : { query: { after } }),
  } as const;
  return client.call<Page>('auth', call, deadlineIn(ANSWER_MS));
}

function note(
  { kind, id, username, issued_before: before }: Revocation,
  sessions: Map<string, Kept>,
  users: Map<string, Kept>,
  until: number,
): void {
  const kept = { before: Date.parse(before) / 1000, until };
  if (kind === 'session' && id !== undefined) sessions.set(id, kept);
  if (kind === 'user' && username !== undefined) {
    // Set anew, so that the order of the map stays the order in which entries may be forgotten.
    const known = users.get(username);
    users.delete(username);
    users.set(username, { before: Math.max(kept.before, known?.before ?? 0), until });
  }
}

/** The oldest stand first. */
function forget(entries: Map<string, Kept>): void {
  const now = monotonicMs();
  for (const [name, { until }] of entries) {
    if (until > now) return;
    entries.delete(name);
  }
}
