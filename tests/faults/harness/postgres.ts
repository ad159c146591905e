/** A PostgreSQL of the harness's own, so that it can be killed in every way. */
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { startEmbeddedDatabase } from '../../../apps/server/embedded-database.ts';
import { atExit } from './at-exit.ts';
import { reservePort } from './ports.ts';

/** A PostgreSQL that can be killed. */
export interface Killable {
  /** Kills the server process of one connection; the server ends all others and recovers. */
  killBackend(): Promise<void>;
  /** Kills the postmaster and everything below it; it is started again on what is on the disk. */
  killAll(): Promise<void>;
}

export interface PrivatePostgres extends Killable {
  readonly url: string;
  /**
   * A database of the bus's own. In the services', subscribers read the logs themselves, and
   * nothing is copied that could be lost on the way.
   */
  readonly busUrl: string;
  stop(): Promise<void>;
}

export async function startPrivatePostgres(folder: string): Promise<PrivatePostgres> {
  const port = await reservePort();
  let server = await startEmbeddedDatabase(folder, port);
  const forget = atExit(() => signal(server.pid));
  await queryAsOwner(server.url, 'create database bus');
  const busUrl = new URL(server.url);
  busUrl.pathname = '/bus';
  return {
    url: server.url,
    busUrl: busUrl.href,
    killBackend: () => killBackend(server.url),
    async killAll() {
      await killServer(server.pid);
      server = await startEmbeddedDatabase(folder, port);
    },
    async stop() {
      await server.stop();
      forget();
    },
  };
}

/** Kills the server process of some service's connection. */
export async function killBackend(url: string): Promise<void> {
  const rows = await queryAsOwner<{ pid: number }>(
    url,
    `select pid from pg_stat_activity where application_name like 'waybill-%'
     order by random() limit 1`,
  ).catch(() => []);
  if (rows[0] !== undefined) signal(rows[0].pid);
}

/** Kills a postmaster with all its children, and waits until they have gone. */
export async function killServer(postmaster: number): Promise<void> {
  const all = [postmaster, ...childrenOf(postmaster)];
  for (const pid of all) signal(pid);
  // A server that has not quite gone keeps the next one from starting.
  while (all.some(isAlive)) await pause(10);
}

/** Rows of a statement over a connection of its own. */
export async function queryAsOwner<Row>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000 });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text, values)).rows as Row[];
  } finally {
    await client.end().catch(() => {});
  }
}

function childrenOf(pid: number): number[] {
  try {
    const printed = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
    return printed
      .split('\n')
      .map(Number)
      .filter((child) => child > 0);
  } catch {
    return [];
  }
}

/** SIGKILL; a process that has gone already is no fault. */
export function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
