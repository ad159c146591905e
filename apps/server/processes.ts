/** Processes by their ids, and files that name one. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';
import { UsageFault } from './services.ts';

/** Whether another process has this id. */
export function isAlive(pid: number): boolean {
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The id that a file holds; 0 when it holds none. */
export function readPid(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || 0;
  } catch {
    return 0;
  }
}

/** How a process was called; undefined where that cannot be told. */
export function commandOf(pid: number): string | undefined {
  try {
    if (existsSync('/proc/self/cmdline')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return undefined;
  }
}

const LOOK_MS = 50;

/** Runs the work while no other process runs work under the same file. */
export async function whileLocked<Result>(
  file: string,
  patienceMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const begin = monotonicMs();
  while (!claim(file)) {
    const holder = readPid(file);
    if (!isAlive(holder)) rmSync(file, { force: true });
    else if (monotonicMs() - begin > patienceMs)
      throw new UsageFault(`Process ${holder} holds ${file}; end it, or remove the file.`);
    else await sleep(LOOK_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function claim(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}
