/**
 * One process of the system under test, and the supervisor that starts it again when it dies, as
 * an init system would. A process that was started with failpoints comes back without them.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../support/waybill.ts';
import { atExit } from './at-exit.ts';

export interface MemberOptions {
  readonly name: string;
  /** The tree it runs from; a planted bug lives in a copy. */
  readonly root: string;
  /** After `waybill`. */
  readonly arguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Answers 200 when it is ready. */
  readonly readyUrl: string;
}

export interface Member {
  readonly name: string;
  /** How often it ended without being asked to. */
  readonly deaths: number;
  readonly running: boolean;
  /** Starts it, with failpoints if there are any, and resolves when it is ready. */
  start(failpoints?: string): Promise<void>;
  untilReady(timeoutMs?: number): Promise<void>;
  /** SIGTERM; resolves when it has gone, and it stays gone. */
  stop(): Promise<void>;
  /** SIGKILL; the supervisor starts it again. */
  kill9(): Promise<void>;
  thaw(): void;
  /** How often a failpoint has fired in it. */
  fired(failpoint: string): number;
  /** The end of what it printed. */
  tail(): string;
}

const RESTART_MS = 150;
const READY_MS = 60_000;

export function createMember(options: MemberOptions): Member {
  const { name, root, env, logFile, readyUrl } = options;
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();
  let wanted = false;
  let deaths = 0;
  const isRunning = () =>
    child !== undefined && child.exitCode === null && child.signalCode === null;
  const print = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : '');

  atExit(() => isRunning() && child?.kill('SIGKILL'));

  const launch = (failpoints: string | undefined): void => {
    const log = openSync(logFile, 'a');
    const started = spawn(
      join(root, 'node_modules/.bin/node'),
      ['apps/server/waybill.mjs', ...options.arguments],
      {
        cwd: root,
        stdio: ['ignore', log, log],
        env: {
          PATH: process.env['PATH'],
          LOG_LEVEL: 'warn',
          ...env,
          ...(failpoints === undefined ? {} : { FAILPOINTS: failpoints }),
        },
      },
    );
    closeSync(log);
    child = started;
    gone = new Promise((done) => {
      started.once('exit', () => {
        done();
        if (!wanted) return;
        deaths++;
        setTimeout(() => {
          if (wanted && child === started) launch(undefined);
        }, RESTART_MS);
      });
    });
  };

  const untilReady = (timeoutMs = READY_MS) =>
    until(
      () =>
        fetch(readyUrl, { signal: AbortSignal.timeout(2000) }).then(
          (reply) => reply.ok,
          () => false,
        ),
      timeoutMs,
      25,
    ).catch(() => {
      throw new Error(
        `${name} is not ready after ${timeoutMs} ms; it said:\n${print().slice(-3000)}`,
      );
    });

  return {
    name,
    get deaths() {
      return deaths;
    },
    get running() {
      return isRunning();
    },
    async start(failpoints) {
      wanted = true;
      launch(failpoints);
      await untilReady();
    },
    untilReady,
    async stop() {
      wanted = false;
      if (!isRunning()) return;
      child?.kill('SIGCONT');
      child?.kill('SIGTERM');
      const late = pause(15_000, 'late', { ref: false });
      if ((await Promise.race([gone, late])) === 'late') child?.kill('SIGKILL');
      await gone;
    },
    async kill9() {
      if (!isRunning()) return;
      const going = gone;
      child?.kill('SIGKILL');
      await going;
    },
    thaw: () => void child?.kill('SIGCONT'),
    fired: (failpoint) => print().split(`"failpoint":"${failpoint}"`).length - 1,
    tail: () => print().slice(-3000),
  };
}
