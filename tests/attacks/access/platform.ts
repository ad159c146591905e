/** Every service there is behind the gateway in jwt mode, and somebody of each role. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { mintToken } from '@waybill/gateway/dev-key.ts';
import { openDatabase, type Tx } from '@waybill/kit/db.ts';
import { openIdentitySigner, type IdentitySigner, type Role } from '@waybill/kit/identity.ts';
import { roleOf, rolePassword } from '@waybill/kit/migrate.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';
import { loadServices } from '../../../apps/server/services.ts';
import { sandboxSettings, SECRET, startServices, startTestSandbox } from '../../support/service.ts';
import { ask, type Answer, type Sent } from '../wire.ts';

export interface Person {
  readonly name: string;
  readonly role: Role;
}

const person = (name: string, role: Role): Person => ({ name, role });

export const anna = person('anna', 'customer');
const courier = person('courier-1', 'executor');
export const olga = person('olga', 'operator');
export const adam = person('adam', 'admin');
export const program = person('shop', 'service');

/** One of each role. */
export const everybody: readonly Person[] = [anna, courier, olga, adam, program];

export interface AccessPlatform {
  readonly url: string;
  readonly port: number;
  readonly signer: IdentitySigner;
  /** Where the development key is. */
  readonly dataDir: string;
  /** Does something as the auth service, as the command line does. */
  inAuth<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>;
  /** Somebody whom nobody has met. */
  meet(role: Role): Promise<Person>;
  /** Sends as somebody, or as nobody. */
  send(who: Person | undefined, sent: Sent): Promise<Answer>;
}

/** Started once for the file; nobody is counted, so that a walk over every route is not limited. */
export function startPlatform(
  settings: Readonly<Record<string, string>> = {},
  names: readonly string[] = [],
): AccessPlatform {
  let started: Awaited<ReturnType<typeof startServices>> | undefined;
  const authorizations = new Map<string, string>();
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-access-'));
  beforeAll(async () => {
    const sandbox = await startTestSandbox();
    started = await startServices(await loadServices(names), {
      ...sandboxSettings(sandbox),
      AUTH_MODE: 'jwt',
      DATA_DIR: dataDir,
      DATABASE_POOL_SIZE: '3',
      RATE_LIMIT: '0',
      RATE_LIMIT_POLLS: '0',
      ...settings,
    });
    await Promise.all(everybody.map(introduce));
  });
  afterAll(async () => {
    await started?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const introduce = async ({ name, role }: Person) => {
    const token = await mintToken({
      dataDir,
      subject: name,
      roles: [role],
      ttlSeconds: 3600,
      ...(role === 'executor' ? { executorId: name } : {}),
    });
    authorizations.set(name, `Bearer ${token}`);
  };
  const running = () => {
    if (started === undefined) throw new Error('the tests have not begun');
    return started.process;
  };
  return {
    get url() {
      return running().url;
    },
    get port() {
      return running().port;
    },
    signer: openIdentitySigner(deriveKey(SECRET, 'identity')),
    dataDir,
    inAuth: (work) => asAuth(started?.databaseUrl ?? '', work),
    async meet(role) {
      const somebody = person(`${role}-${authorizations.size}`, role);
      await introduce(somebody);
      return somebody;
    },
    send(who, sent) {
      const known = who === undefined ? undefined : authorizations.get(who.name);
      const authorization = known === undefined ? {} : { authorization: known };
      return ask(running().url, { ...sent, headers: { ...authorization, ...sent.headers } });
    },
  };
}

async function asAuth<Result>(url: string, work: (tx: Tx) => Promise<Result>): Promise<Result> {
  const role = roleOf('waybill_test', 'auth');
  const db = openDatabase({
    url,
    service: 'auth',
    role,
    password: rolePassword(SECRET, role),
    poolSize: 1,
    onError: () => {},
  });
  try {
    return await db.transaction(work);
  } finally {
    await db.close();
  }
}
