/** Services in the test's own process, on a database of their own, called through their routes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openIdentitySigner, type Identity, type Role } from '@waybill/kit/identity.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { runServices, type RunningProcess } from '@waybill/kit/run.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';
import type { Service } from '@waybill/kit/service.ts';
import { configure } from '@waybill/kit/settings.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '@waybill/sandbox/gateway.ts';
import { createTestDatabase } from './database.ts';
import { freePort } from './waybill.ts';

/** One for all files of a run: roles belong to the server, and their passwords derive from it. */
export const SECRET = 'a secret of the service tests';
const SANDBOX_SECRET = 'a secret of the sandbox';
export const CALLBACK_SECRET = 'a secret of the callbacks';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // The shape is what the tests are about.
  readonly body: Record<string, never> & Record<string, unknown>;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  /** Who calls; an operator unless told otherwise, nobody when null. */
  readonly as?: Identity | null;
  readonly body?: unknown;
  /** Sent as it is instead of the body's JSON. */
  readonly raw?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Running {
  readonly databaseUrl: string;
  readonly process: RunningProcess;
  /** Calls a service's route as the gateway would, with a signed identity. */
  call(method: Method, path: string, options?: CallOptions): Promise<Answer>;
  /** What the entrance would tell a service of somebody. */
  sign(identity: Identity, service: string): string;
  stop(): Promise<void>;
}

export const operator: Identity = { subject: 'olga', roles: ['operator'] };

export function someone(subject: string, ...roles: Role[]): Identity {
  return { subject, roles: roles.length === 0 ? ['customer'] : roles };
}

/** Runs services, on a new database unless one is named; they end with the file at the latest. */
export async function startServices(
  services: readonly Service[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const databaseUrl = environment['DATABASE_URL'] ?? (await createTestDatabase());
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-service-'));
  const configuration = configure(services, {
    DATABASE_URL: databaseUrl,
    DATABASE_ROLE_PREFIX: 'waybill_test',
    WAYBILL_SECRET: SECRET,
    DATA_DIR: dataDir,
    PORT: '0',
    ...environment,
  });
  const running = await runServices({ services, configuration, log: openLogger('silent') });
  const signer = openIdentitySigner(deriveKey(SECRET, 'identity'));
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= running.stop().finally(() => rmSync(dataDir, { recursive: true, force: true }));
    return stopped;
  };
  afterAll(stop);
  return {
    databaseUrl,
    process: running,
    sign: (identity, service) => signer.sign(identity, service),
    stop,
    async call(method, path, { as = operator, body, raw, headers = {} } = {}) {
      const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
      const reply = await running.server.inject({
        method,
        url: path,
        headers: {
          ...(as === null
            ? {}
            : { 'waybill-identity': signer.sign(as, audienceOf(path, services)) }),
          ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(payload === undefined ? {} : { payload }),
      });
      const { statusCode: status } = reply;
      return { status, headers: reply.headers, body: JSON.parse(reply.body || '{}') as never };
    },
  };
}

function audienceOf(path: string, services: readonly Service[]): string {
  const owner = services.find((service) => service.paths.some((prefix) => path.startsWith(prefix)));
  if (owner !== undefined) return owner.name;
  // /internal/log/<name>, /internal/<name>/… or /api/v1/dead-tasks/<name>/…
  const parts = path.split('?')[0]?.split('/') ?? [];
  const named = services.find((service) => parts.includes(service.name));
  return named?.name ?? parts.at(-1) ?? '';
}

export interface SandboxInTest extends Sandbox {
  control(change: Readonly<Record<string, unknown>>): Promise<void>;
  /** What took effect, oldest first. */
  journal(): Promise<{ kind: string; order_id: string; amount_minor: number }[]>;
}

/** A sandbox gateway in this process that behaves unless told otherwise; it ends with the file. */
export async function startTestSandbox(
  changes: Partial<SandboxOptions> = {},
): Promise<SandboxInTest> {
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-sandbox-'));
  const sandbox = await startSandbox({
    host: '127.0.0.1',
    port: 0,
    controlPort: 0,
    dataDir,
    secret: SANDBOX_SECRET,
    callbackSecret: CALLBACK_SECRET,
    successRate: 1,
    latencyMinMs: 0,
    latencyMaxMs: 0,
    seed: 1,
    ...changes,
  });
  afterAll(async () => {
    await sandbox.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const ask = async (path: string, body?: unknown) => {
    const reply = await fetch(`${sandbox.controlUrl}${path}`, {
      headers: { 'x-sandbox-secret': SANDBOX_SECRET, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
    if (!reply.ok) throw new Error(`the sandbox answered ${reply.status}`);
    return (await reply.json()) as { entries: never };
  };
  return {
    ...sandbox,
    async control(change) {
      await ask('/control', change);
    },
    journal: async () => (await ask('/journal?limit=10000')).entries,
  };
}

/** What a payments service is told to use the sandbox, in a hurry. */
export function sandboxSettings(sandbox: Sandbox): Record<string, string> {
  return {
    PAYMENT_PROVIDER: 'sandbox',
    SANDBOX_URL: sandbox.url,
    SANDBOX_CALLBACK_SECRET: CALLBACK_SECRET,
    PAYMENT_RETRY_DELAY: '0.02',
    PAYMENT_TIMEOUT: '0.5',
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: '1000',
  };
}

/** A port for a service that must be known before it runs. */
export async function portForCallbacks(): Promise<{ port: string; callbackUrl: string }> {
  const port = String(await freePort());
  return { port, callbackUrl: `http://127.0.0.1:${port}/api/v1/payments/callbacks` };
}
