import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Lets one process alone write a folder. Two writers of one journal would charge a key twice, and
 * that happens when a supervisor restarts faster than its orphan exits. A socket is the lock and
 * not a file with a process number: the system frees it however the holder dies.
 */
export async function lockFolder(folder: string, patienceMs: number): Promise<FolderLock> {
  const name = `waybill-sandbox-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`;
  const address = toAddress(name);
  for (let waitedMs = 0; ; waitedMs += 50) {
    const server = await tryListen(address);
    if (server !== undefined) {
      return { release: () => new Promise((resolve) => server.close(() => resolve())) };
    }
    if (waitedMs >= patienceMs) {
      throw new Error(`Another sandbox is using ${folder}. Stop it, or name another folder.`);
    }
    if (isFile(address) && !(await isAnswered(address))) await rm(address, { force: true });
    await sleep(50);
  }
}

/** Linux and Windows have names that vanish with their process; elsewhere it is a socket file. */
function toAddress(name: string): string {
  if (process.platform === 'linux') return `\0${name}`;
  if (process.platform === 'win32') return `\\\\.\\pipe\\${name}`;
  return join(tmpdir(), `${name}.sock`);
}

function isFile(address: string): boolean {
  return !address.startsWith('\0') && !address.startsWith('\\\\');
}

function tryListen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(address, () => {
      server.unref();
      resolve(server);
    });
  });
}

function isAnswered(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
