/** A client that sends what a careful one would not, and looks at what comes back. */
import { request as send } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect } from 'vitest';
import { startWaybill, type WaybillProcess } from '../support/waybill.ts';

export interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: unknown;
}

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
export const LEAKS =
  /\bat .+\.(ts|js|mjs):\d+|node_modules|node:internal|\b(select|insert into|update) .+ (from|set|values)\b|SQLSTATE|syntax error at|relation "|pg_|postgres|invalid byte sequence|\b22[0-9P]\d{2}\b|TypeError|ECONN/i;

/** Asserts a refusal as RFC 9457 asks, with its status, code and pointers, telling nothing else. */
export function expectRefusal(
  answer: Answer,
  status: number,
  code: string,
  pointers?: readonly string[],
): void {
  const shown = answer.text.slice(0, 500);
  expect(answer.status, shown).toBe(status);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json(;|$)/);
  expect(answer.json, shown).toMatchObject({ status, code, type: `urn:waybill:problem:${code}` });
  expect(answer.json['request_id']).toMatch(/^[\w-]+$/);
  expect(shown).not.toMatch(LEAKS);
  if (pointers === undefined) return;
  const faults = (answer.json['errors'] ?? []) as { pointer: string }[];
  // One place may break two rules.
  const places = [...new Set(faults.map(({ pointer }) => pointer))];
  expect(places, shown).toEqual(pointers);
}

/** The command, started once for the file with everything it brings along. */
export function startOnce(env: Readonly<Record<string, string>> = {}) {
  let running: WaybillProcess | undefined;
  const target = {
    get process(): WaybillProcess {
      if (running === undefined) throw new Error('the tests have not begun');
      return running;
    },
    ask: (sent: Sent) => ask(target.process.url, sent),
    order: (body: unknown, headers: Sent['headers'] = {}) =>
      ask(target.process.url, { path: '/api/v1/orders', method: 'POST', headers, body }),
    raw: (bytes: string | Buffer, patienceMs?: number) =>
      sendRaw(target.process.port, bytes, patienceMs),
    /** How many orders there are. */
    async count(): Promise<number> {
      const answer = await ask(target.process.url, { path: '/api/v1/orders?page_size=1' });
      return answer.json['total'] as number;
    },
  };
  beforeAll(async () => {
    running = await startWaybill({ env: { LOG_LEVEL: 'warn', ...env } });
  });
  afterAll(async () => {
    const output = running?.output() ?? '';
    await running?.stop();
    // A refusal is no error of ours: the log of an attacked server has no error line.
    expect(output.match(/^.*"level":"(error|fatal)".*$/gm) ?? []).toEqual([]);
  });
  return target;
}

export type Target = ReturnType<typeof startOnce>;

/** A good order, with what is changed. */
export function orderWith(
  changes: Record<string, unknown> = {},
  item: Record<string, unknown> = {},
) {
  return {
    customer_id: 'customer_1',
    items: [{ item_id: 'item_1', item_name: 'Burger', quantity: 2, price: 12.99, ...item }],
    ...changes,
  };
}

/** A good order as text in which `marker` is replaced by text that JSON.stringify cannot write. */
export function orderText(changes: Record<string, unknown>, text: string, item = {}): string {
  return JSON.stringify(orderWith(changes, item)).replace('"<here>"', text);
}
