/** The sandbox payment gateway as a child process of `waybill serve`. */
import { fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Environment } from '@waybill/kit/config.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';

export interface SandboxProcess {
  readonly url: string;
  readonly controlUrl: string;
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
export function sandboxEnvironment(options: Omit<SandboxOptions, 'onExit'>): Environment {
  const { environment, secret } = options;
  return {
    ...environment,
    SANDBOX_DATA_DIR: environment['SANDBOX_DATA_DIR'] ?? resolve(options.dataDir, 'sandbox'),
    SANDBOX_SECRET: environment['SANDBOX_SECRET'] ?? sandboxControlSecret(secret),
    SANDBOX_CALLBACK_SECRET:
      environment['SANDBOX_CALLBACK_SECRET'] ?? deriveKey(secret, 'sandbox-callback').toString('hex'),
    ...(options.callbackUrl === undefined
      ? {}
      : { SANDBOX_CALLBACK_URL: environment['SANDBOX_CALLBACK_URL'] ?? options.callbackUrl }),
  };
}

/** The secret of /control and /journal, where none is set. */
export function sandboxControlSecret(secret: string): string {
  return deriveKey(secret, 'sandbox-control').toString('hex');
}

/** Starts it and resolves when it listens. It ends by itself when this process does. */
export function startSandboxProcess(options: SandboxOptions): Promise<SandboxProcess> {
  const environment = sandboxEnvironment(options);
  mkdirSync(environment['SANDBOX_DATA_DIR'] as string, { recursive: true });
  const main = fileURLToPath(import.meta.resolve('@waybill/sandbox/main.ts'));
  const child = fork(main, [], { env: environment as NodeJS.ProcessEnv, execArgv: [] });
  let stopping = false;
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code) => {
      fail(new Error(`The sandbox gateway did not start (exit code ${code}).`));
      if (!stopping) options.onExit(code);
    });
    child.once('message', (message) => {
      const { port, controlPort } = message as { port: number; controlPort: number };
      done({
        url: `http://127.0.0.1:${port}`,
        controlUrl: `http://127.0.0.1:${controlPort}`,
        async stop() {
          stopping = true;
          if (child.exitCode !== null || child.signalCode !== null) return;
          const exited = new Promise((resolveExit) => child.once('exit', resolveExit));
          child.kill('SIGTERM');
          await exited;
        },
      });
    });
  });
}
