/** Brokers of the bench's own: fresh, with the settings Waybill asks for, gone afterwards. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort, temporaryFolder } from './processes.ts';

const START_MS = 60_000;

/** The path of a program on this machine. */
export function findProgram(name: string, first: readonly string[] = []): string | undefined {
  const folders = [...first, ...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

// Debian's program in /usr/sbin insists on the system's user and folders; this one does not.
const RABBIT_FOLDERS = ['/usr/lib/rabbitmq/bin', '/usr/local/sbin'];

/** A Redis that writes its append-only file; undefined where there is no program. */
export async function startRedis(stack: AsyncDisposableStack): Promise<string | undefined> {
  const program = findProgram('redis-server');
  if (program === undefined) return undefined;
  const port = await freePort();
  const folder = folderOf(stack);
  const address = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  await start(stack, port, program, [...address, '--appendonly', 'yes'], folder, {});
  return `redis://127.0.0.1:${port}`;
}

/** A RabbitMQ node; undefined where there is no program. */
export async function startRabbit(stack: AsyncDisposableStack): Promise<string | undefined> {
  const program = findProgram('rabbitmq-server', RABBIT_FOLDERS);
  if (program === undefined) return undefined;
  const port = await freePort();
  const folder = folderOf(stack);
  // Erlang starts a name server that would outlive the node; on a port of its own it can be ended.
  const names = { ERL_EPMD_ADDRESS: '127.0.0.1', ERL_EPMD_PORT: String(await freePort()) };
  stack.defer(() => endNameServer(names));
  writeFileSync(join(folder, 'rabbitmq.conf'), `listeners.tcp.local = 127.0.0.1:${port}\n`);
  writeFileSync(join(folder, 'enabled_plugins'), '[].\n');
  await start(stack, port, program, [], folder, {
    HOME: folder,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_NODENAME: `waybill-bench-${port}@localhost`,
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_DIST_PORT: String(await freePort()),
    ...names,
    ERL_FLAGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    ERL_CRASH_DUMP_SECONDS: '0',
  });
  return `amqp://guest:guest@127.0.0.1:${port}`;
}

async function endNameServer(names: Readonly<Record<string, string>>): Promise<void> {
  const program = findProgram('epmd');
  if (program === undefined) return;
  // It stays while it knows a living node, and learns of a death a moment later.
  for (let attempt = 0; attempt < 20; attempt++) {
    const asked = spawn(program, ['-kill'], { env: { ...process.env, ...names }, stdio: 'ignore' });
    const code = await new Promise((done) => asked.once('close', done).once('error', done));
    if (code === 0) return;
    await pause(100);
  }
}

function folderOf(stack: AsyncDisposableStack): string {
  const folder = join(temporaryFolder(stack), 'run');
  mkdirSync(folder);
  return folder;
}

async function start(
  stack: AsyncDisposableStack,
  port: number,
  program: string,
  parameters: readonly string[],
  folder: string,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  // It leads a process group of its own, so that a shell around the server dies with it.
  const child = spawn(program, parameters, {
    cwd: folder,
    env: { ...process.env, ...environment },
    detached: true,
    stdio: 'ignore',
  });
  let ended = false;
  const exited = new Promise<void>((done) =>
    child.once('close', () => {
      ended = true;
      done();
    }),
  );
  child.once('error', () => (ended = true));
  stack.defer(async () => {
    if (ended || child.pid === undefined) return;
    process.kill(-child.pid, 'SIGKILL');
    await exited;
  });
  const deadline = performance.now() + START_MS;
  while (!(await listens(port))) {
    if (ended || performance.now() > deadline) throw new Error(`${program} did not come up`);
    await pause(50);
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
