/** Sends what a careful client would not: any header, path or bytes. */
import { Agent, request as send } from 'node:http';
import { connect } from 'node:net';

export interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: unknown;
}

const agent = new Agent({ keepAlive: true, maxSockets: Infinity });

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export const json = { 'content-type': 'application/json' };

/** Sends one request; a body that is no text is written as JSON. Paths go out as they are. */
export function ask(
  url: string,
  { method, path = '/', headers = {}, body }: Sent,
): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const length = text === undefined ? {} : { 'content-length': Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const request = send(
      {
        hostname,
        port,
        path,
        agent,
        timeout: 28_000,
        method: method ?? (text === undefined ? 'GET' : 'POST'),
        headers: { ...(text === undefined ? {} : json), ...length, ...headers } as never,
      },
      (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => {
          const received = Buffer.concat(chunks).toString();
          const { statusCode = 0, headers: told } = reply;
          resolve({ status: statusCode, headers: told, text: received, json: parsed(received) });
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer within 28 seconds')));
    request.on('error', reject);
    request.end(text);
  });
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

export interface RawAnswer {
  /** Everything that came until the server closed or the patience ended. */
  readonly text: string;
  /** Status codes in order: more than one when the server saw more than one request. */
  readonly statuses: readonly number[];
  readonly closed: boolean;
}

/** Writes bytes to a socket and reads until the server closes it, or for so long. */
export function sendRaw(
  port: number,
  bytes: string | Buffer,
  patienceMs = 1500,
): Promise<RawAnswer> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const settle = (closed: boolean) => {
      socket.destroy();
      const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, code]) => Number(code));
      resolve({ text, statuses, closed });
    };
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => {});
    socket.on('close', () => settle(true));
    setTimeout(() => settle(false), patienceMs);
  });
}

/** What no answer may hold: traces, statements, types of the database, places in the code. */
export const LEAKS = new RegExp(
  [
    String.raw`\bat .+\.(ts|js|mjs):\d+`,
    String.raw`node_modules|node:internal|TypeError|ECONN`,
    String.raw`\b(select|insert into|update) .+ (from|set|values)\b`,
    String.raw`SQLSTATE|syntax error at|relation "|invalid byte sequence|\b22[0-9P]\d{2}\b`,
    String.raw`\bpg_[a-z]{3,}\b|postgres`,
  ].join('|'),
  'i',
);
