/** A gateway as a process of its own inside the test, with services of a few lines behind it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gateway } from '@waybill/gateway/index.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { route } from '@waybill/kit/route.ts';
import { runServices, type RunningProcess } from '@waybill/kit/run.ts';
import { Type } from '@waybill/kit/schema.ts';
import { defineService, type Service } from '@waybill/kit/service.ts';
import { configure } from '@waybill/kit/settings.ts';

export const testSecret = 'a secret for tests alone';

/** What the mirror saw of a request. */
export interface Seen {
  readonly instance: string;
  readonly identity: Identity;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

export interface MirrorOptions {
  readonly name: string;
  readonly path: string;
  readonly instance?: string;
  /** Called on every request that it answers. */
  readonly onCall?: (method: string) => void | Promise<void>;
}

/** A service without data that answers with what it was sent. */
export function mirror(options: MirrorOptions): Service {
  const { name, path, instance = name, onCall } = options;
  const reply = async (
    call: { identity: Identity; headers: object; body?: unknown },
    is: string,
  ) => {
    await onCall?.(is);
    const { identity, headers, body } = call;
    return { status: 200, body: { instance, identity, headers, body } };
  };
  const replies = { 200: { description: 'What was sent.' } };
  const role = { access: ['customer', 'operator', 'admin'], replies, summary: 'Mirror' } as const;
  return defineService({
    name,
    description: `The mirror ${name}.`,
    paths: [path],
    settings: {},
    create: (base) => base,
    routes: [
      route({ ...role, method: 'GET', path, handle: (call) => reply(call, 'GET') }),
      route({
        ...role,
        method: 'POST',
        path,
        body: Type.Record(Type.String(), Type.Unknown()),
        handle: (call) => reply(call, 'POST'),
      }),
      route({
        ...role,
        method: 'GET',
        path: `${path}/{id}`,
        params: Type.Object({ id: Type.String() }),
        handle: (call) => reply(call, 'GET one'),
      }),
      route({
        ...role,
        access: 'public',
        method: 'GET',
        path: `${path}/public/door`,
        handle: (call) => reply(call, 'GET public'),
      }),
      route({
        ...role,
        access: ['service'],
        internal: true,
        method: 'GET',
        path: `/internal/${name}/mirror`,
        handle: (call) => reply(call, 'GET internal'),
      }),
    ],
    consumers: [],
    tasks: [],
    sweeps: [],
  });
}

const running = new Set<RunningProcess>();
const folders: string[] = [];

/** Starts services without data in this process; `stopAll` ends them. */
export async function start(
  services: readonly Service[],
  environment: Record<string, string> = {},
): Promise<RunningProcess> {
  const configuration = configure(services, {
    PORT: String(await freePort()),
    DATA_DIR: temporaryFolder(),
    WAYBILL_SECRET: testSecret,
    ...environment,
  });
  const started = await runServices({ services, configuration, log: openLogger('silent') });
  running.add(started);
  return started;
}

/** Starts a gateway, with services in its process if there are any. */
export function startGateway(
  environment: Record<string, string> = {},
  services: readonly Service[] = [],
): Promise<RunningProcess> {
  return start([gateway, ...services], environment);
}

/** Ends one process that `start` began, once. */
export async function stop(one: RunningProcess): Promise<void> {
  if (running.delete(one)) await one.stop();
}

export async function stopAll(): Promise<void> {
  await Promise.all([...running].map(stop));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-entrance-'));
  folders.push(folder);
  return folder;
}

/** A port below those that the system hands out to clients, so that no connection takes it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer()
        .once('error', () => resolve(false))
        .listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Writes bytes as they are to the port and reads until the server closes. */
export function sendRaw(port: number, ...lines: string[]): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => (text += part));
    socket.on('error', reject);
    socket.on('close', () => {
      const [head = '', ...rest] = text.split('\r\n\r\n');
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? Number.NaN);
      resolve({ status, head: head.toLowerCase(), body: rest.join('\r\n\r\n') });
    });
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  });
}

/** An answer as the tests look at it. */
export interface Told {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Seen & { readonly code?: string; readonly detail?: string };
}

/** Fetches JSON. */
export async function ask(url: string, init?: RequestInit): Promise<Told> {
  const reply = await fetch(url, init);
  const text = await reply.text();
  const json = (text === '' ? {} : JSON.parse(text)) as Told['json'];
  return { status: reply.status, headers: reply.headers, json };
}
