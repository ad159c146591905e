/** The processes that are measured: Waybill and its database, a bare Fastify route, the sandbox. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startEmbeddedDatabase } from '@waybill/server/embedded-database.ts';

const root = resolve(import.meta.dirname, '..');
const BARE_ROUTE = fileURLToPath(new URL('./bare-route.ts', import.meta.url));
const BARE_POLLS = fileURLToPath(new URL('./bare-polls.ts', import.meta.url));
const START_MS = 60_000;
const STOP_MS = 20_000;

export interface Started {
  readonly url: string;
  readonly pid: number;
  /** From the spawn to the first good answer. */
  readonly startMs: number;
  readonly stop: () => Promise<void>;
}

export interface WaybillSystem extends Started {
  readonly dataDir: string;
  readonly databaseUrl: string;
  /** The postmaster's. */
  readonly databasePid: number;
}

/** A temporary folder that the database's own user can reach; removed with the stack. */
export function temporaryFolder(stack: AsyncDisposableStack): string {
  const made: string[] = [];
  stack.defer(() => {
    for (const folder of made) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
  made.push(folder);
  chmodSync(folder, 0o755);
  return folder;
}

/** An embedded PostgreSQL on fresh data; gone, with its data, when the stack is disposed. */
export async function startDatabase(stack: AsyncDisposableStack) {
  const dataDir = temporaryFolder(stack);
  const starting = startEmbeddedDatabase(dataDir);
  // Before it has started: whoever is interrupted meanwhile waits, and stops it.
  stack.defer(async () => (await starting.catch(() => undefined))?.stop());
  const { url, pid } = await starting;
  return { dataDir, url, pid };
}

/**
 * Waybill on fresh data: all of it in one process with its sandbox, or the services named. It is
 * given no settings but where to be, so that what is measured is what `waybill serve` gives.
 */
export async function startSystem(
  stack: AsyncDisposableStack,
  names: readonly string[] = [],
): Promise<WaybillSystem> {
  const own = stack.use(new AsyncDisposableStack());
  const { dataDir, url, pid } = await startDatabase(own);
  const waybill = await startWaybill(own, dataDir, names, names.length === 0 ? undefined : url);
  return {
    ...waybill,
    dataDir,
    databaseUrl: url,
    databasePid: pid,
    stop: () => own.disposeAsync(),
  };
}

/** `waybill serve …` on a data folder; without a database URL it brings or adopts its own. */
export async function startWaybill(
  stack: AsyncDisposableStack,
  dataDir: string,
  names: readonly string[] = [],
  databaseUrl?: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Started> {
  const port = env['PORT'] ?? (await freePort());
  return startNode(stack, [join(root, 'apps/server/waybill.mjs'), 'serve', ...names], {
    folder: dataDir,
    url: `http://127.0.0.1:${port}`,
    readyPath: '/readyz',
    env: {
      PORT: String(port),
      DATA_DIR: dataDir,
      DEMO_DATA: '0',
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
      ...env,
    },
  });
}

/** Services in processes of their own behind a gateway, on one database. Returns the gateway. */
export async function startApart(
  stack: AsyncDisposableStack,
  services: readonly string[],
): Promise<Started> {
  const { dataDir, url } = await startDatabase(stack);
  const sandbox = await startSandbox(stack);
  const ports = new Map<string, string>();
  for (const name of services) ports.set(name, String(await freePort()));
  const places = [...ports].map(([name, port]) => `${name}=http://127.0.0.1:${port}`);
  const env = { DISCOVERY_URL: `static:${places.join(',')}`, SANDBOX_URL: sandbox.url };
  for (const [name, port] of ports)
    await startWaybill(stack, dataDir, [name], url, { ...env, PORT: port });
  return startWaybill(stack, dataDir, ['gateway'], url, env);
}

/** The peer: one route on Fastify, same schemas, a constant order, nothing else. */
export async function startBareRoute(stack: AsyncDisposableStack): Promise<Started> {
  const folder = temporaryFolder(stack);
  const port = await freePort();
  return startNode(stack, [BARE_ROUTE, String(port)], {
    folder,
    url: `http://127.0.0.1:${port}`,
    readyPath: '/',
    env: {},
  });
}

/** A program of the bench's own that runs services, on a port of its own. */
export async function startProgram(
  stack: AsyncDisposableStack,
  program: string,
  parameters: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Started> {
  const port = await freePort();
  return startNode(stack, [program, ...parameters], {
    folder: temporaryFolder(stack),
    url: `http://127.0.0.1:${port}`,
    readyPath: '/readyz',
    env: { PORT: String(port), ...env },
  });
}

/** The peers of a poll: a constant answer, and a statement for each. */
export async function startBarePolls(
  stack: AsyncDisposableStack,
  databaseUrl: string,
): Promise<Started> {
  const folder = temporaryFolder(stack);
  const port = await freePort();
  return startNode(stack, [BARE_POLLS, String(port), databaseUrl], {
    folder,
    url: `http://127.0.0.1:${port}`,
    readyPath: '/',
    env: {},
  });
}

/** A sandbox gateway with its defaults, which nobody but the bench calls. */
export async function startSandbox(stack: AsyncDisposableStack): Promise<Started> {
  const folder = temporaryFolder(stack);
  const port = await freePort();
  return startNode(stack, [join(root, 'sandbox/main.ts')], {
    folder,
    url: `http://127.0.0.1:${port}`,
    readyPath: '/healthz',
    env: {
      SANDBOX_PORT: String(port),
      SANDBOX_DATA_DIR: folder,
      SANDBOX_SECRET: 'bench-control',
      SANDBOX_CALLBACK_SECRET: 'bench-callback',
    },
  });
}

interface NodeOptions {
  /** Working folder, where no .env lies, and where the output goes. */
  readonly folder: string;
  readonly url: string;
  readonly readyPath: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Ended with the stack, if it was not stopped before. */
async function startNode(
  stack: AsyncDisposableStack,
  parameters: readonly string[],
  options: NodeOptions,
): Promise<Started> {
  const outputFile = join(options.folder, 'output.log');
  const output = openSync(outputFile, 'a');
  const begun = performance.now();
  const child = spawn(process.execPath, parameters, {
    cwd: options.folder,
    stdio: ['ignore', output, output],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.env },
  });
  closeSync(output);
  const stop = () => stopChild(child);
  stack.defer(stop);
  try {
    await answers(child, options.url + options.readyPath);
  } catch (error) {
    await stop();
    const said = readFileSync(outputFile, 'utf8').slice(-2000);
    throw new Error(`${parameters.join(' ')}: ${(error as Error).message}\n${said}`, {
      cause: error,
    });
  }
  return { url: options.url, pid: child.pid as number, startMs: performance.now() - begun, stop };
}

async function answers(child: ChildProcess, url: string): Promise<void> {
  let ended = false;
  child.once('error', () => (ended = true));
  child.once('exit', () => (ended = true));
  const deadline = performance.now() + START_MS;
  while (!(await isGood(url))) {
    if (ended) throw new Error('it ended before it answered');
    if (performance.now() > deadline) throw new Error(`no answer within ${START_MS / 1000} s`);
    await pause(5);
  }
}

async function isGood(url: string): Promise<boolean> {
  try {
    const reply = await fetch(url);
    await reply.arrayBuffer();
    return reply.ok;
  } catch {
    return false;
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exited;
  clearTimeout(timer);
}

/** A port that was free a moment ago, below the range that the system hands out. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 9_000);
    const free = await new Promise<boolean>((done) => {
      const probe = createServer();
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (free) return port;
  }
}
