/** Runs one command to its end, and finds what it may have left running. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export const node = join(root, 'node_modules/.bin/node');
export const waybill = join(root, 'apps/server/waybill.mjs');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `waybill …` with this environment and no other; SIGKILL after a minute. */
export function runCommand(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd = root,
): Promise<Ended> {
  const child = spawn(node, [waybill, ...argv], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  return new Promise((done) => {
    child.on('close', (code) => done({ code, stdout, stderr }));
  });
}

/** Processes whose command line or environment names the folder, as `pid command` (Linux alone). */
export function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8');
        const command = read('cmdline').replaceAll('\0', ' ').trim();
        const dead = command === '';
        if (dead || !`${command} ${read('environ')}`.includes(folder)) return [];
        return [`${pid} ${command}`];
      } catch {
        return [];
      }
    });
}
