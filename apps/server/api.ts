/** The HTTP API as a command calls it: Waybill's own, from outside. */
import { Agent, request } from 'undici';
import type { Problem } from '@waybill/kit/errors.ts';
import { UsageFault } from './services.ts';

export interface ApiOptions {
  readonly url: string;
  readonly token?: string | undefined;
  readonly connections?: number;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  /** What the server asks to be waited; 1 where it says nothing. */
  readonly retryAfterSeconds: number;
}

/** Header fields besides the usual ones. */
export type Fields = Readonly<Record<string, string>>;

export interface Api {
  /** Resolves with any answer; rejects when there is none. Bytes are sent as an upload. */
  send(method: 'GET' | 'POST', path: string, body?: unknown, more?: Fields): Promise<Reply>;
  /** The answer's body; rejects with a UsageFault for anything but 2xx. */
  ask<Body>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Body>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 15_000;

export function openApi(options: ApiOptions): Api {
  const base = baseOf(options.url);
  const agent = new Agent({ connections: options.connections ?? 4, connect: { timeout: 5000 } });
  const send: Api['send'] = async (method, path, body, more = {}) => {
    const reply = await request(base + path, {
      method,
      dispatcher: agent,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      headers: {
        ...(body === undefined ? {} : { 'content-type': typeOf(body) }),
        ...more,
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      },
      ...(body === undefined ? {} : { body: Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
    });
    const text = await reply.body.text();
    const seconds = Number(reply.headers['retry-after']);
    return {
      status: reply.statusCode,
      body: parse(text),
      retryAfterSeconds: Number.isFinite(seconds) && seconds >= 0 ? seconds : 1,
    };
  };
  return {
    send,
    async ask<Body>(method: 'GET' | 'POST', path: string, body?: unknown) {
      const reply = await send(method, path, body).catch((error: unknown) => {
        throw nobodyThere(base, error);
      });
      if (reply.status >= 300) throw refused(reply);
      return reply.body as Body;
    },
    close: () => agent.close(),
  };
}

function typeOf(body: unknown): string {
  return Buffer.isBuffer(body) ? 'application/octet-stream' : 'application/json';
}

function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol))
    throw new UsageFault(`--url must be like http://127.0.0.1:8000, not "${url}".`);
  return url.replace(/\/+$/, '');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A sentence about an address at which no Waybill answers. */
export function nobodyThere(url: string, error: unknown): UsageFault {
  const { code, message } = error as NodeJS.ErrnoException;
  return new UsageFault(
    code === 'ECONNREFUSED'
      ? `Nothing listens at ${url}: start Waybill with "npm start", or name its address by --url.`
      : `${url} cannot be reached: ${message}.`,
  );
}

/** A sentence about an answer that is a no. */
export function refused(reply: Reply): UsageFault {
  const { status } = reply;
  const { detail, code } = (reply.body ?? {}) as Partial<Problem>;
  if (status === 401 || status === 403)
    return new UsageFault(
      `Waybill answered ${status} (${detail ?? code ?? 'no reason given'}) ` +
        'Give a token by --token; "waybill token --subject me --role operator" mints one where ' +
        'the data folder is the same.',
    );
  return new UsageFault(
    detail === undefined
      ? `The answer was ${status}, and not one of Waybill's: is --url right?`
      : `Waybill answered ${status}: ${detail}`,
  );
}
