/**
 * Private brokers for tests that stop, kill, freeze and wipe them. Each is a process of the test's
 * own, on a free port of 127.0.0.1, with its data in a temporary folder.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

export interface PrivateServer {
  readonly url: string;
  /** Kills it without a chance to write anything. It stays down until restart(). */
  kill9(): Promise<void>;
  /** Starts it again on the data it has; kills it first when it runs. Resolves once it listens. */
  restart(): Promise<void>;
  /** Kills it, deletes all that it stored and starts it again. */
  wipe(): Promise<void>;
  /** Stops its processor time (SIGSTOP): connections stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** The path of `redis-server`, if there is one on this machine. */
export function findRedis(): string | undefined {
  return findProgram('redis-server');
}

/**
 * The path of `rabbitmq-server`, if there is one. Debian's own program in /usr/sbin insists on the
 * system's user and folders; the one it wraps does not.
 */
export function findRabbit(): string | undefined {
  return findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin', '/usr/local/sbin']);
}

/**
 * Whether a suite that needs the program can run. A missing one is reported loudly, and is a
 * failure where WAYBILL_INSTALL=1 says that everything was installed.
 */
export function canRun(suite: string, program: string | undefined, name: string): boolean {
  if (program !== undefined) return true;
  const message = `NOT RUN: ${suite} needs the program ${name}, which is not on this machine.`;
  if (process.env['WAYBILL_INSTALL'] === '1') throw new Error(message);
  process.stderr.write(`\n${message}\n\n`);
  return false;
}

/** Starts a Redis with its append-only file on, or with other arguments. */
export async function startPrivateRedis(
  extra: readonly string[] = ['--appendonly', 'yes'],
): Promise<PrivateServer> {
  const program = findRedis();
  if (program === undefined) throw new Error('redis-server is not on this machine.');
  const port = await freePort();
  return startServer({
    url: `redis://127.0.0.1:${port}`,
    port,
    launch: (folder) => ({
      program,
      arguments: ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...extra],
      environment: {},
    }),
  });
}

export interface PrivateRabbit extends PrivateServer {
  /** Runs `rabbitmqctl` against it and returns what it printed. */
  control(...words: string[]): Promise<string>;
}

/** Starts a RabbitMQ node. It takes about five seconds. */
export async function startPrivateRabbit(): Promise<PrivateRabbit> {
  const program = findRabbit();
  if (program === undefined) throw new Error('rabbitmq-server is not on this machine.');
  const port = await freePort();
  const distributionPort = await freePort();
  const environment = (folder: string): Record<string, string> => ({
    HOME: folder,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_NODENAME: `waybill-${port}@localhost`,
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_DIST_PORT: String(distributionPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_FLAGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    ERL_CRASH_DUMP_SECONDS: '0',
  });
  let home = '';
  const server = await startServer({
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    port,
    async prepare(folder) {
      home = folder;
      await writeFile(join(folder, 'rabbitmq.conf'), `listeners.tcp.local = 127.0.0.1:${port}\n`);
      await writeFile(join(folder, 'enabled_plugins'), '[].\n');
    },
    launch: (folder) => ({ program, arguments: [], environment: environment(folder) }),
  });
  return {
    ...server,
    async control(...words) {
      const env = { ...process.env, ...environment(home) };
      const done = await promisify(execFile)(join(dirname(program), 'rabbitmqctl'), words, { env });
      return done.stdout;
    },
  };
}

/** A port of 127.0.0.1 that nobody uses, below the range from which outgoing connections take. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

interface Launch {
  readonly program: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

interface ServerKind {
  readonly url: string;
  readonly port: number;
  prepare?(folder: string): Promise<void>;
  launch(folder: string): Launch;
}

async function startServer(kind: ServerKind): Promise<PrivateServer> {
  const base = await mkdtemp(join(tmpdir(), 'waybill-server-'));
  const folder = join(base, 'run');
  let child: ChildProcess | undefined;
  let output = '';

  // The server leads a process group of its own, so that a shell around it dies with it.
  const signal = (name: NodeJS.Signals): void => {
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, name);
  };
  const killAtExit = (): void => signal('SIGKILL');
  process.once('exit', killAtExit);

  async function start(): Promise<void> {
    await mkdir(folder, { recursive: true });
    await kind.prepare?.(folder);
    const launch = kind.launch(folder);
    output = '';
    const started = spawn(launch.program, launch.arguments, {
      cwd: folder,
      env: { ...process.env, ...launch.environment },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    for (const stream of [started.stdout, started.stderr])
      stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
    if (!(await comesUp(started, kind.port)))
      throw new Error(`${launch.program} did not come up:\n${output}`);
  }

  async function end(name: NodeJS.Signals): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    signal(name);
    await gone;
    // The shell that started it may be gone an instant before the server itself.
    while (await listens(kind.port)) await pause(20);
  }

  const server: PrivateServer = {
    url: kind.url,
    kill9: () => end('SIGKILL'),
    async restart() {
      await end('SIGKILL');
      await start();
    },
    async wipe() {
      await end('SIGKILL');
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      await start();
    },
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async stop() {
      await end('SIGKILL');
      process.off('exit', killAtExit);
      await rm(base, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  try {
    await start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

/** Whether the server listens within a minute; false once it has ended. */
async function comesUp(server: ChildProcess, port: number): Promise<boolean> {
  const deadline = Date.now() + 60_000;
  while (!(await listens(port))) {
    const ended = server.exitCode !== null || server.signalCode !== null;
    if (ended || Date.now() > deadline) return false;
    await pause(50);
  }
  return true;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function findProgram(name: string, first: readonly string[] = []): string | undefined {
  const folders = [...first, ...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}
