/** Starts the real command as a process of its own, as an operator would. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export interface WaybillProcess {
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  readonly child: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
  /** SIGKILL; resolves when the process is gone. */
  kill9(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  readonly exited: Promise<number | null>;
}

export interface StartOptions {
  /** Services to run; none = all, with the embedded database and the sandbox. */
  readonly names?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly port?: number;
  readonly dataDir?: string;
  readonly workers?: number;
  /** Resolve as soon as it is spawned instead of when it is ready. */
  readonly unready?: boolean;
}

/** Which of several workers this is, so that each chooses from ports of its own. */
const LANE = Number(process.env.VITEST_POOL_ID ?? '1') % 4;
const LANE_PORTS = 2250;

/** A port that was free a moment ago, below the range that the system hands out. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + LANE * LANE_PORTS + Math.floor(Math.random() * LANE_PORTS);
    const free = await new Promise<boolean>((done) => {
      const probe = createServer();
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (free) return port;
  }
}

const folders = new Set<string>();

function removeFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

/** Open to others, because under root the embedded PostgreSQL runs as another user. */
export function newDataDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-data-'));
  chmodSync(folder, 0o755);
  if (folders.size === 0) process.once('exit', removeFolders);
  folders.add(folder);
  return folder;
}

/** Runs `waybill serve …`; resolves when /readyz answers 200, rejects when it ends before. */
export async function startWaybill(options: StartOptions = {}): Promise<WaybillProcess> {
  const port = options.port ?? (await freePort());
  const dataDir = options.dataDir ?? newDataDir();
  const workers = options.workers === undefined ? [] : ['--workers', String(options.workers)];
  const child = spawn(
    join(root, 'node_modules/.bin/node'),
    ['apps/server/waybill.mjs', 'serve', ...(options.names ?? []), ...workers],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        PORT: String(port),
        DATA_DIR: dataDir,
        DEMO_DATA: '0',
        ...options.env,
      },
    },
  );
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  child.stderr.on('data', (text: Buffer) => (output += text.toString()));
  const exited = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
  const url = `http://127.0.0.1:${port}`;
  const running: WaybillProcess = {
    url,
    port,
    dataDir,
    child,
    exited,
    output: () => output,
    async kill9() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      return exited;
    },
  };
  if (options.unready === true) return running;
  try {
    await untilReady(running);
    return running;
  } catch (error) {
    // Nobody else has it in hand to end it.
    const late = setTimeout(() => child.kill('SIGKILL'), 5000);
    await running.stop();
    clearTimeout(late);
    throw error;
  }
}

/** Resolves when the process answers /readyz with 200. */
async function untilReady(running: WaybillProcess, timeoutMs = 30_000): Promise<void> {
  let ended = false;
  void running.exited.then(() => (ended = true));
  await until(async () => {
    if (ended) throw new Error(`waybill ended before it was ready:\n${running.output()}`);
    return fetch(`${running.url}/readyz`).then(
      (reply) => reply.ok,
      () => false,
    );
  }, timeoutMs);
}

/** Polls until the condition holds; rejects with what it last saw when the time is over. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  timeoutMs = 10_000,
  everyMs = 50,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not so within ${timeoutMs} ms: ${condition}`);
    await new Promise((done) => setTimeout(done, everyMs));
  }
}
