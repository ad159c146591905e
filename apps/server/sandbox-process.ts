/** The sandbox, payment gateway and mail inbox, as a child process of `waybill serve`. */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '@waybill/kit/clock.ts';
import type { Environment } from '@waybill/kit/config.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';
import { DEFAULTS, parseSettings } from '@waybill/sandbox/settings.ts';

export interface SandboxProcess {
  readonly url: string;
  readonly controlUrl: string;
  /** Where it takes mails, and where they are shown. */
  readonly smtpUrl: string;
  readonly inboxUrl: string;
  /** Where it answers as the sources of an assignment. */
  readonly sourcesUrl: string;
  stop(): Promise<void>;
}

export interface SandboxOptions {
  readonly dataDir: string;
  readonly secret: string;
  readonly environment: Environment;
  /** Where its signed callbacks go. */
  readonly callbackUrl: string | undefined;
  readonly onExit: (code: number | null) => void;
}

/** What the sandbox's process is started with: its own settings, and secrets that fit ours. */
function sandboxEnvironment(options: Omit<SandboxOptions, 'onExit'>): Environment {
  const { environment, secret } = options;
  return {
    ...environment,
    SANDBOX_DATA_DIR: environment['SANDBOX_DATA_DIR'] ?? resolve(options.dataDir, 'sandbox'),
    SANDBOX_SECRET: environment['SANDBOX_SECRET'] ?? sandboxControlSecret(secret),
    SANDBOX_CALLBACK_SECRET:
      environment['SANDBOX_CALLBACK_SECRET'] ??
      deriveKey(secret, 'sandbox-callback').toString('hex'),
    ...(options.callbackUrl === undefined
      ? {}
      : { SANDBOX_CALLBACK_URL: environment['SANDBOX_CALLBACK_URL'] ?? options.callbackUrl }),
  };
}

/** Whether a `waybill serve` of all services brings the sandbox along. */
export function wantsSandbox(environment: Environment): boolean {
  const provider = environment['PAYMENT_PROVIDER'] ?? 'sandbox';
  return provider === 'sandbox' && environment['SANDBOX_URL'] === undefined;
}

/** The sandbox's settings, as `waybill serve` starts it. */
export function sandboxSettings(dataDir: string) {
  const made: Readonly<Record<string, string>> = {
    SANDBOX_CONTROL_PORT: '(the port after SANDBOX_PORT, or a free one)',
    SANDBOX_DATA_DIR: `${dataDir}/sandbox`,
    SANDBOX_SECRET: '(made of WAYBILL_SECRET)',
    SANDBOX_CALLBACK_SECRET: '(made of WAYBILL_SECRET)',
    SANDBOX_CALLBACK_URL: '(payments of this Waybill)',
  };
  return Object.keys(DEFAULTS).map((env) => ({
    env,
    fallback: made[env] ?? DEFAULTS[env],
    secret: env.endsWith('_SECRET'),
  }));
}

/** What is wrong with the settings that the sandbox would be started with. */
export function sandboxFaults(environment: Environment): readonly string[] {
  const secrets = { SANDBOX_SECRET: 'made at start', SANDBOX_CALLBACK_SECRET: 'made at start' };
  const parsed = parseSettings({ ...secrets, ...environment });
  return 'faults' in parsed ? parsed.faults.map((fault) => `${fault}.`) : [];
}

/** The secret of /control and /journal, where none is set. */
export function sandboxControlSecret(secret: string): string {
  return deriveKey(secret, 'sandbox-control').toString('hex');
}

const RESTART_MS = 200;

/**
 * Starts it and resolves when it listens. It ends by itself when this process does; should it end
 * before, it is started again on the same ports.
 */
export async function startSandboxProcess(options: SandboxOptions): Promise<SandboxProcess> {
  const environment = sandboxEnvironment(options);
  mkdirSync(environment['SANDBOX_DATA_DIR'] as string, { recursive: true });
  let stopping = false;
  let child: ChildProcess;
  const launch = async (ports: Environment) => {
    const launched = await launchSandbox({ ...environment, ...ports });
    child = launched.child;
    child.once('exit', (code) => {
      if (stopping) return;
      options.onExit(code);
      void relaunch(launched);
    });
    return launched;
  };
  const relaunch = async ({ ports: taken }: Launched) => {
    while (!stopping) {
      await sleep(RESTART_MS);
      const ports = {
        SANDBOX_PORT: String(taken.port),
        SANDBOX_CONTROL_PORT: String(taken.controlPort),
        SANDBOX_SMTP_PORT: String(taken.smtpPort),
        SANDBOX_INBOX_PORT: String(taken.inboxPort),
        SANDBOX_SOURCES_PORT: String(taken.sourcesPort),
      };
      const again = await launch(ports).catch(() => undefined);
      if (again !== undefined) return;
    }
  };
  const { ports } = await launch({});
  return {
    url: `http://127.0.0.1:${ports.port}`,
    controlUrl: `http://127.0.0.1:${ports.controlPort}`,
    smtpUrl: `smtp://127.0.0.1:${ports.smtpPort}`,
    inboxUrl: `http://127.0.0.1:${ports.inboxPort}`,
    sourcesUrl: `http://127.0.0.1:${ports.sourcesPort}`,
    async stop() {
      stopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await exited;
    },
  };
}

interface Launched {
  readonly child: ChildProcess;
  readonly ports: Ports;
}

/** What it says when it is ready. */
interface Ports {
  readonly port: number;
  readonly controlPort: number;
  readonly smtpPort: number;
  readonly inboxPort: number;
  readonly sourcesPort: number;
}

function launchSandbox(environment: Environment): Promise<Launched> {
  const main = fileURLToPath(import.meta.resolve('@waybill/sandbox/main.ts'));
  const child = fork(main, [], { env: environment, execArgv: [] });
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code) =>
      fail(new Error(`The sandbox gateway did not start (exit code ${String(code)}).`)),
    );
    child.once('message', (message) => {
      done({ child, ports: message as Ports });
    });
  });
}
