/** HTTP calls of a careful client: written down, and repeated until they are answered. */
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request as send } from 'undici';
import type { ClientJournal, Operation } from './journal.ts';

export interface Call {
  readonly op: Operation;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly key?: string;
  readonly orderId?: string;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

export interface CallerOptions {
  readonly url: string;
  readonly attemptMs?: number;
  /** How long it goes on asking before it gives the outcome up as unknown. */
  readonly patienceMs?: number;
}

export interface Caller {
  /** Asks until there is a clear answer; rejects when patience is at an end. */
  ask(call: Call): Promise<Reply>;
  close(): Promise<void>;
}

export function openCaller(
  options: CallerOptions,
  client: string,
  journal: ClientJournal,
  accepted: (at: number, ms: number) => void,
): Caller {
  const { url, attemptMs = 4000, patienceMs = 60_000 } = options;
  const agent = new Agent({ connections: 64, connect: { timeout: 1000 } });

  /** One attempt; undefined when its outcome is not known. */
  const attempt = async (call: Call): Promise<Reply | undefined> => {
    const begun = performance.now();
    // No answer, or half of one: the outcome is not known.
    const reply = await exchange(agent, url, call, attemptMs).catch(() => undefined);
    const clear = reply !== undefined && isClear(reply);
    // The checkout knows orders by their numbers.
    const body = (clear ? reply.body : {}) as { id?: string | number; version?: number };
    const tookMs = performance.now() - begun;
    journal.record({
      client,
      op: call.op,
      outcome: !clear ? 'unknown' : reply.status < 300 ? 'ok' : 'fail',
      http: reply?.status ?? null,
      order_id: call.op === 'other' ? null : String(body.id ?? call.orderId ?? '') || null,
      idem_key: call.key ?? null,
      version: body.version ?? null,
      sent_at: new Date(Date.now() - tookMs).toISOString(),
      took_ms: Math.round(tookMs * 10) / 10,
    });
    if (call.op === 'create' && reply !== undefined && reply.status < 300) accepted(begun, tookMs);
    return clear ? reply : undefined;
  };

  return {
    async ask(call) {
      const end = performance.now() + patienceMs;
      for (;;) {
        const reply = await attempt(call);
        if (reply !== undefined) return reply;
        if (performance.now() > end)
          throw new Error(`${call.method} ${call.path} had no clear answer in ${patienceMs} ms`);
        await pause(50 + Math.random() * 150);
      }
    },
    close: () => agent.destroy(),
  };
}

async function exchange(agent: Agent, url: string, call: Call, attemptMs: number): Promise<Reply> {
  const answer = await send(url + call.path, {
    method: call.method,
    dispatcher: agent,
    signal: AbortSignal.timeout(attemptMs),
    headers: {
      'content-type': 'application/json',
      ...(call.key === undefined ? {} : { 'idempotency-key': call.key }),
    },
    ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, body: text === '' ? {} : JSON.parse(text) };
}

/** A 5xx may come from before or after the commit; a key in use says nothing about the effect. */
function isClear({ status, body }: Reply): boolean {
  const { code } = body as { code?: string };
  return status < 500 && status !== 408 && status !== 429 && code !== 'request_in_progress';
}
