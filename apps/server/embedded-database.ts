/**
 * The embedded database: a real PostgreSQL 18 in DATA_DIR/postgres, for development and single
 * boxes. A server that an earlier process left behind is adopted.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';
import { newToken, random } from '@waybill/kit/ids.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { startLoop } from '@waybill/kit/loop.ts';
import pg from 'pg';
import { preparePostgresFiles, type PostgresFiles } from './postgres-files.ts';
import { commandOf, isAlive, readPid, whileLocked } from './processes.ts';
import { UsageFault } from './services.ts';

export interface EmbeddedDatabase {
  readonly url: string;
  readonly pid: number;
  /** Starts the server again on the same port, should it have died; else does nothing. */
  revive(): Promise<boolean>;
  readonly notice: string | undefined;
  /** It runs for another process, and is left running. */
  readonly shared: boolean;
  /** Stops the server (fast shutdown), unless another living process owns it. */
  stop(): Promise<void>;
}

const USER = 'waybill';
const DATABASE = 'waybill';
const START_MS = 60_000;

/** Whether a database was ever made in the data folder. */
export function hasEmbeddedDatabase(dataDir: string): boolean {
  return existsSync(resolve(dataDir, 'postgres-password'));
}

/**
 * Starts or adopts the server of a data folder.
 * @param port a free one when left out
 * @param use borrow: a server that runs already goes on when this process is done with it
 */
export async function startEmbeddedDatabase(
  dataDir: string,
  port?: number,
  use: 'own' | 'borrow' = 'own',
): Promise<EmbeddedDatabase> {
  mkdirSync(dataDir, { recursive: true });
  // Two that set up one folder at the same time would clear away each other's files.
  return whileLocked(resolve(dataDir, 'postgres-lock'), START_MS, () =>
    startOrAdopt(dataDir, port, use),
  );
}

async function startOrAdopt(
  dataDir: string,
  port: number | undefined,
  use: 'own' | 'borrow',
): Promise<EmbeddedDatabase> {
  const files = preparePostgresFiles(dataDir);
  const passwordFile = resolve(dataDir, 'postgres-password');
  if (!existsSync(join(files.data, 'PG_VERSION'))) await createCluster(files, passwordFile);
  const password = readFileSync(passwordFile, 'utf8').trim();
  const left = await findRunning(files, password);
  const server = left ?? (await launch(files, dataDir, password, port, SOCKET_LAUNCHES));
  await createDatabase(server.port, password);
  const ownerFile = resolve(dataDir, 'postgres-owner');
  const shared = left !== undefined && (use === 'borrow' || isAlive(readPid(ownerFile)));
  if (!shared) writeFileSync(ownerFile, String(process.pid));
  let { pid } = server;
  const url = urlOf(files.data, server.port, password);
  return {
    url,
    get pid() {
      return pid;
    },
    notice: files.notice,
    shared,
    async revive() {
      if (shared || isAlive(pid)) return false;
      const sockets = url.includes('?') ? LAUNCHES : 0;
      pid = (await launch(files, dataDir, password, server.port, sockets)).pid;
      return true;
    },
    async stop() {
      if (shared) return;
      await stopServer(pid);
      rmSync(ownerFile, { force: true });
    },
  };
}

/** By its socket where it has one: a statement costs both sides a tenth less than over TCP. */
function urlOf(data: string, port: number, password: string): string {
  const url = new URL(`postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`);
  if (existsSync(join(data, `.s.PGSQL.${port}`))) url.searchParams.set('host', data);
  return url.href;
}

/** The longest path that every system takes for a socket, less the name of the socket. */
const LONGEST_FOLDER = 100 - '/.s.PGSQL.65535.lock'.length;

/** The folder of the server's socket; none on Windows, or where the folder's name does not do. */
function socketFolder(data: string): string {
  const usable = process.platform !== 'win32' && data.length <= LONGEST_FOLDER;
  return usable && /^[\w./-]+$/.test(data) ? data : '';
}

const WATCH_MS = 500;

/** Keeps the server up for as long as this process wants it. */
export function superviseDatabase(database: EmbeddedDatabase, log: Logger): () => Promise<void> {
  return startLoop('embedded PostgreSQL', log, async (signal) => {
    await sleep(WATCH_MS, signal);
    if (!signal.aborted && (await database.revive()))
      log.error({ server: database.pid }, 'the embedded PostgreSQL had died and was started again');
  });
}

async function createCluster(files: PostgresFiles, passwordFile: string): Promise<void> {
  const password = newToken(24);
  const draft = `${passwordFile}.draft`;
  writeFileSync(draft, password, { mode: 0o600 });
  if (files.owner !== undefined) chownSync(draft, files.owner.uid, files.owner.gid);
  // initdb reads the password from a file that its user must be able to reach.
  const readable = join(files.data, '..', `.initdb-${process.pid}`);
  writeFileSync(readable, password, { mode: 0o600 });
  if (files.owner !== undefined) chownSync(readable, files.owner.uid, files.owner.gid);
  // What an interrupted set-up left behind; the folder itself stays, and is the server's user's.
  if (existsSync(files.data))
    for (const entry of readdirSync(files.data))
      rmSync(join(files.data, entry), { recursive: true, force: true });
  const { code, output } = await run(files, 'initdb', [
    `--pgdata=${files.data}`,
    `--username=${USER}`,
    '--auth=scram-sha-256',
    `--pwfile=${readable}`,
    '--encoding=UTF8',
    '--locale=C',
    '--no-instructions',
  ]);
  rmSync(readable, { force: true });
  if (code !== 0) throw new Error(`The embedded PostgreSQL could not be set up: ${output.trim()}`);
  if (files.owner !== undefined) chownSync(draft, 0, 0);
  renameSync(draft, passwordFile);
}

function run(files: PostgresFiles, program: string, args: string[]) {
  return new Promise<{ code: number; output: string }>((done, fail) => {
    const child = spawn(join(files.bin, program), args, {
      ...files.owner,
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let output = '';
    child.stderr.on('data', (text: Buffer) => (output += text.toString()));
    child.on('error', fail);
    child.on('close', (code) => done({ code: code ?? 1, output }));
  });
}

interface Server {
  readonly pid: number;
  readonly port: number;
}

/** An id that no process has: greater than the greatest that a system gives. */
const NOBODY = '1999999999';

/** The server that runs on this data folder, if one does; it may be starting or stopping. */
async function findRunning(files: PostgresFiles, password: string): Promise<Server | undefined> {
  const file = join(files.data, 'postmaster.pid');
  const begin = monotonicMs();
  while (existsSync(file) && monotonicMs() - begin < START_MS) {
    const text = readFileSync(file, 'utf8');
    const [pid = 0, , , port = 0] = text.split('\n').map(Number);
    const alive = isAlive(pid);
    const stranger = alive && commandOf(pid)?.includes('postgres') === false;
    if (stranger)
      // Somebody else has the id by now, after a restart of the machine or the container; the
      // server cannot tell and would not start. The rest of the file stays: by it the server
      // knows whether processes of the last one still use the data.
      writeFileSync(file, text.replace(/^\d+/, NOBODY));
    if (stranger || !alive) {
      clearSockets(files.data);
      return undefined;
    }
    if (port > 0 && (await accepts(port, password))) return { pid, port };
    await sleep(25);
  }
  return undefined;
}

const LAUNCHES = 5;
/** After so many without success it may be that no socket can be made in the data folder. */
const SOCKET_LAUNCHES = 3;
const LAUNCH_PAUSE_MS = 250;

async function launch(
  files: PostgresFiles,
  dataDir: string,
  password: string,
  wantedPort: number | undefined,
  socketLaunches: number,
): Promise<Server> {
  const logFile = resolve(dataDir, 'postgres.log');
  for (let attempt = 1; ; attempt++) {
    const port = wantedPort ?? 20_000 + Math.floor(random() * 10_000);
    const sockets = attempt <= socketLaunches ? socketFolder(files.data) : '';
    const log = openSync(logFile, 'a');
    // Detached, so that Ctrl-C reaches this process alone, which stops the server when it is done.
    const child = spawn(join(files.bin, 'postgres'), serverArguments(files.data, port, sockets), {
      ...files.owner,
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    if (await becomesReady(child, port, password)) return { pid: child.pid as number, port };
    child.kill('SIGINT');
    if (attempt === LAUNCHES)
      throw new UsageFault(
        `The embedded PostgreSQL did not start (${lastFault(logFile)}); more in ${logFile}.`,
      );
    // The port may be taken, or processes of a server that was killed may still use the data.
    await sleep(LAUNCH_PAUSE_MS * attempt);
  }
}

/** What a killed server left of its sockets: their locks, too, may name somebody else by now. */
function clearSockets(data: string): void {
  for (const entry of readdirSync(data))
    if (entry.startsWith('.s.PGSQL.')) rmSync(join(data, entry), { force: true });
}

/** What the server said last about why it ended. */
function lastFault(logFile: string): string {
  const lines = readFileSync(logFile, 'utf8').slice(-10_000).split('\n');
  const line = lines.findLast((text) => /FATAL|PANIC/.test(text)) ?? '';
  return line.replace(/^.*?(FATAL|PANIC):\s*/, '') || 'it gave no reason';
}

function serverArguments(data: string, port: number, sockets: string): string[] {
  const settings: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: sockets,
    max_connections: 200,
    shared_buffers: '256MB',
    synchronous_commit: 'on',
    max_wal_size: '4GB',
    wal_level: 'minimal',
    max_wal_senders: 0,
    checkpoint_completion_target: 0.9,
    autovacuum_naptime: '15s',
    timezone: 'UTC',
  };
  return [
    '-D',
    data,
    '-p',
    String(port),
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
}

async function becomesReady(child: ChildProcess, port: number, password: string): Promise<boolean> {
  let ended = false;
  child.on('exit', () => (ended = true));
  child.on('error', () => (ended = true));
  for (let waited = 0; waited < START_MS && !ended; waited += 25) {
    if (await accepts(port, password)) return true;
    await sleep(25);
  }
  return false;
}

function clientOf(port: number, password: string, database: string): pg.Client {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: USER,
    password,
    database,
    connectionTimeoutMillis: 2000,
  });
  client.on('error', () => {});
  return client;
}

async function accepts(port: number, password: string): Promise<boolean> {
  const client = clientOf(port, password, 'postgres');
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function createDatabase(port: number, password: string): Promise<void> {
  const client = clientOf(port, password, 'postgres');
  await client.connect();
  try {
    const { rows } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rows.length === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}

async function stopServer(pid: number): Promise<void> {
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGINT');
  for (let waited = 0; waited < 30_000 && isAlive(pid); waited += 25) await sleep(25);
}
