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
const STOP_MS = 15_000;

interface State {
  readonly options: MemberOptions;
  child: ChildProcess | undefined;
  gone: Promise<void>;
  wanted: boolean;
  deaths: number;
}

export function createMember(options: MemberOptions): Member {
  const state: State = {
    options,
    child: undefined,
    gone: Promise.resolve(),
    wanted: false,
    deaths: 0,
  };
  atExit(() => isRunning(state) && state.child?.kill('SIGKILL'));
  return {
    name: options.name,
    get deaths() {
      return state.deaths;
    },
    get running() {
      return isRunning(state);
    },
    async start(failpoints) {
      state.wanted = true;
      launch(state, failpoints);
      await untilReady(options, READY_MS);
    },
    untilReady: (timeoutMs = READY_MS) => untilReady(options, timeoutMs),
    stop: () => stop(state),
    async kill9() {
      if (!isRunning(state)) return;
      const going = state.gone;
      state.child?.kill('SIGKILL');
      await going;
    },
    thaw: () => void state.child?.kill('SIGCONT'),
    fired: (failpoint) => printed(options).split(`"failpoint":"${failpoint}"`).length - 1,
    tail: () => printed(options).slice(-3000),
  };
}

function isRunning({ child }: State): boolean {
  return child !== undefined && child.exitCode === null && child.signalCode === null;
}

function printed({ logFile }: MemberOptions): string {
  return existsSync(logFile) ? readFileSync(logFile, 'utf8') : '';
}

function launch(state: State, failpoints: string | undefined): void {
  const { root, env, logFile, arguments: words } = state.options;
  const log = openSync(logFile, 'a');
  const armed = failpoints === undefined ? {} : { FAILPOINTS: failpoints };
  const started = spawn(
    join(root, 'node_modules/.bin/node'),
    ['apps/server/waybill.mjs', ...words],
    {
      cwd: root,
      stdio: ['ignore', log, log],
      env: { PATH: process.env['PATH'], LOG_LEVEL: 'warn', DEMO_DATA: '0', ...env, ...armed },
    },
  );
  closeSync(log);
  state.child = started;
  state.gone = new Promise((done) => {
    started.once('exit', () => {
      done();
      if (!state.wanted) return;
      state.deaths++;
      setTimeout(() => {
        if (state.wanted && state.child === started) launch(state, undefined);
      }, RESTART_MS);
    });
  });
}

async function untilReady(options: MemberOptions, timeoutMs: number): Promise<void> {
  const asks = () =>
    fetch(options.readyUrl, { signal: AbortSignal.timeout(2000) }).then(
      (reply) => reply.ok,
      () => false,
    );
  await until(asks, timeoutMs, 25).catch(() => {
    const said = printed(options).slice(-3000);
    throw new Error(`${options.name} is not ready after ${timeoutMs} ms; it said:\n${said}`);
  });
}

async function stop(state: State): Promise<void> {
  state.wanted = false;
  if (!isRunning(state)) return;
  state.child?.kill('SIGCONT');
  state.child?.kill('SIGTERM');
  const late = pause(STOP_MS, 'late', { ref: false });
  if ((await Promise.race([state.gone, late])) === 'late') state.child?.kill('SIGKILL');
  await state.gone;
}
