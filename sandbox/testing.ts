import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { choosePort } from './chance.ts';
import { startSandbox } from './gateway.ts';
import type { Sandbox, SandboxOptions } from './gateway.ts';
import type { JournalEntry } from './journal.ts';

/** What the tests of this folder share. */
export const SECRET = 'secret-of-the-tests';
export const CALLBACK_SECRET = 'callback-secret-of-the-tests';

export interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  readonly body: Record<string, unknown>;
}

export interface Addresses {
  readonly url: string;
  readonly controlUrl: string;
}

export function createFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'waybill-sandbox-'));
}

/** A sandbox that behaves, is quick, and has a fresh journal, unless told otherwise. */
export async function startQuick(changes: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  return startSandbox({
    host: '127.0.0.1',
    port: 0,
    controlPort: 0,
    dataDir: changes.dataDir ?? (await createFolder()),
    secret: SECRET,
    callbackSecret: CALLBACK_SECRET,
    successRate: 1,
    latencyMinMs: 0,
    latencyMaxMs: 0,
    seed: 1,
    ...changes,
  });
}

export interface ChargeExtras {
  readonly amount_minor?: number;
  readonly currency?: string;
  readonly order_id?: string;
  readonly token?: string;
  readonly callback_url?: string;
}

/** A client as merchants write them. It throws when no answer comes. */
export function createClient(addresses: Addresses) {
  const { url, controlUrl } = addresses;
  const control = { 'x-sandbox-secret': SECRET };
  return {
    charge: (key: string, extras: ChargeExtras = {}, timeoutMs = 10_000) =>
      call(`${url}/v1/charges`, {
        body: { amount_minor: 1_000, currency: 'USD', order_id: `order of ${key}`, ...extras },
        headers: { 'idempotency-key': key },
        timeoutMs,
      }),
    refund: (key: string, charge_id: unknown, amount_minor: number) =>
      call(`${url}/v1/refunds`, {
        body: { charge_id, amount_minor },
        headers: { 'idempotency-key': key },
      }),
    void: (key: string, order_id = `order of ${key}`) =>
      call(`${url}/v1/voids`, { body: { key, order_id } }),
    byKey: (key: string) => call(`${url}/v1/charges/by-key/${encodeURIComponent(key)}`, {}),
    healthz: () => call(`${url}/healthz`, {}),
    setControl: (body: object) => call(`${controlUrl}/control`, { body, headers: control }),
    getControl: () => call(`${controlUrl}/control`, { headers: control }),
    async journal(query = '?limit=10000'): Promise<JournalEntry[]> {
      const { body } = await call(`${controlUrl}/journal${query}`, { headers: control });
      return body['entries'] as JournalEntry[];
    },
  };
}

export type Client = ReturnType<typeof createClient>;

export async function call(
  address: string,
  options: { body?: unknown; headers?: Record<string, string>; timeoutMs?: number },
): Promise<Answer> {
  const response = await fetch(address, {
    signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
    headers: { 'content-type': 'application/json', ...options.headers },
    ...(options.body !== undefined && { method: 'POST', body: JSON.stringify(options.body) }),
  });
  return {
    status: response.status,
    replayed: response.headers.get('idempotent-replayed') === 'true',
    body: (await response.json()) as Record<string, unknown>,
  };
}

/** The reason why a call got no answer: `ECONNREFUSED`, `ECONNRESET`, `TimeoutError`… */
export async function reasonOf(unanswered: Promise<unknown>): Promise<string> {
  try {
    await unanswered;
  } catch (error) {
    const { name, cause } = error as Error & { cause?: NodeJS.ErrnoException };
    return cause?.code ?? name;
  }
  return 'it was answered';
}

export interface Fork extends Addresses {
  readonly child: ChildProcess;
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** The process entry, as a supervisor starts it. */
export async function forkSandbox(settings: Record<string, string>): Promise<Fork> {
  const child = fork(new URL('main.ts', import.meta.url), {
    env: {
      SANDBOX_SECRET: SECRET,
      SANDBOX_CALLBACK_SECRET: CALLBACK_SECRET,
      PAYMENT_MOCK_SUCCESS_RATE: '1',
      PAYMENT_MOCK_LATENCY_MIN: '0',
      PAYMENT_MOCK_LATENCY_MAX: '0',
      ...settings,
    },
    execArgv: [],
  });
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`The sandbox exited with ${String(code)}`);
  });
  const [message] = await Promise.race([once(child, 'message'), died]);
  died.catch(() => {});
  const { port, controlPort } = message as { port: number; controlPort: number };
  return {
    child,
    url: `http://127.0.0.1:${port}`,
    controlUrl: `http://127.0.0.1:${controlPort}`,
    async kill(signal) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    },
  };
}

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly raw: string;
  readonly event: {
    readonly id: string;
    readonly type: string;
    readonly charge: Record<string, unknown>;
    readonly refund?: Record<string, unknown>;
  };
}

/** A merchant's webhook endpoint; `statuses` are its first answers, then it says 204. */
export async function startReceiver(statuses: number[] = []) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let raw = '';
    request.setEncoding('utf8');
    request.on('data', (text: string) => (raw += text));
    request.on('end', () => {
      received.push({ headers: request.headers, raw, event: JSON.parse(raw) });
      response.writeHead(statuses.shift() ?? 204).end();
    });
  });
  const port = choosePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${port}/callbacks`,
    received,
    async close(): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
