/** A source over HTTP: one GET, one JSON object. */
import { Agent, request } from 'undici';
import { refuseInTransaction } from '@waybill/kit/db.ts';
import { isStorable } from '../source-settings.ts';

const MAX_BODY = 64 * 1024;

export interface HttpReply {
  readonly status: number;
  /** Parsed JSON; undefined when the body is none, or holds what cannot be stored. */
  readonly body: unknown;
}

export interface HttpSource {
  get(url: string, timeoutMs: number): Promise<HttpReply>;
  close(): Promise<void>;
}

/** Opens connections of their own for a source; redirects are not followed. */
export function openHttpSource(): HttpSource {
  const agent = new Agent({ connections: 128, maxResponseSize: MAX_BODY });
  return {
    async get(url, timeoutMs) {
      refuseInTransaction(url);
      const reply = await request(url, {
        dispatcher: agent,
        headers: { accept: 'application/json' },
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        signal: AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs))),
      });
      const text = await reply.body.text();
      return { status: reply.statusCode, body: parse(text) };
    },
    close: () => agent.destroy(),
  };
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return isStorable(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
