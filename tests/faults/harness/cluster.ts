/**
 * The system under test as real processes, in one of two topologies: `one` is what `npm start`
 * runs, on its own embedded PostgreSQL; `many` is every service in a process of its own, on a
 * PostgreSQL and with a provider that outlive them.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from './at-exit.ts';
import { createMember, type Member } from './member.ts';
import { reservePort } from './ports.ts';
import {
  killBackend,
  killServer,
  signal,
  startPrivatePostgres,
  type Killable,
} from './postgres.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { openSandbox, type Sandbox } from './sandbox.ts';
import { repository } from './tree.ts';

export type Topology = 'one' | 'many';

export interface ClusterOptions {
  readonly topology: Topology;
  /** Absent: the bus in PostgreSQL. */
  readonly busUrl?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly root?: string | undefined;
  /** Services that have a second address; `second(service)` starts who listens there. */
  readonly doubled?: readonly Service[];
  /** The processes of `many`. */
  readonly runs?: readonly Service[];
  /** Services that others reach through a proxy, which can be taken away (`many` alone). */
  readonly proxied?: readonly Proxied[];
}

/** A process: what it is called, and what it runs. */
const PROCESSES = {
  gateway: ['gateway'],
  orders: ['orders'],
  payments: ['payments'],
  billing: ['billing', 'customers', 'notifications'],
  pets: ['pets', 'photos'],
  inventory: ['inventory'],
} as const satisfies Record<string, readonly string[]>;

export type Service = keyof typeof PROCESSES;

/** Whom a delivery or a checkout passes; pets and inventory are started where they are needed. */
const USUAL: readonly Service[] = ['gateway', 'orders', 'payments', 'billing'];
export const EVERYBODY = Object.keys(PROCESSES) as Service[];
export type Proxied = (typeof PROCESSES)[Service][number];

export interface Cluster {
  readonly topology: Topology;
  readonly url: string;
  readonly folder: string;
  readonly sandbox: Sandbox;
  readonly postgres: Killable;
  /** The owner's URL of the database. */
  databaseUrl(): string;
  /** The owner's URL of the database of a bus in PostgreSQL. */
  busUrl(): string;
  /** The process that runs a service, or the sandbox. */
  member(service: Service | 'sandbox'): Member;
  /** The second process of a service; not started. */
  second(service: Service): Member;
  readonly members: readonly Member[];
  /** The proxy in front of a service that was to have one. */
  proxy(service: Proxied): Proxy;
  stop(): Promise<void>;
}

const SECRET = 'a-secret-of-the-fault-harness';
const JOURNAL = 'sandbox/journal.jsonl';
const SANDBOX_SECRET = 'the-control-of-the-fault-harness';

/** Quick retries and a quick provider: a run is about steps, not about waiting. */
const BRISK = {
  PAYMENT_RETRY_DELAY: '0.05',
  PAYMENT_TIMEOUT: '1',
  PAYMENT_MOCK_SUCCESS_RATE: '1',
  PAYMENT_MOCK_LATENCY_MIN: '2',
  PAYMENT_MOCK_LATENCY_MAX: '20',
  CIRCUIT_BREAKER_FAILURE_THRESHOLD: '50',
  CIRCUIT_BREAKER_RECOVERY_TIMEOUT: '0.5',
};

/** Starts it and resolves when every process is ready. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-faults-'));
  // The database's own user must be able to reach what lies below.
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'data'));
  const cluster = await (options.topology === 'one' ? oneProcess : manyProcesses)(options, folder);
  try {
    if (options.topology === 'many') await cluster.member('sandbox').start();
    await Promise.all(
      cluster.members.filter((one) => one.name !== 'sandbox').map((one) => one.start()),
    );
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

interface Surroundings {
  readonly env: Record<string, string>;
  readonly root: string;
}

function surroundingsOf({ busUrl, env, root }: ClusterOptions): Surroundings {
  return {
    root: root ?? repository,
    env: {
      ...BRISK,
      WAYBILL_SECRET: SECRET,
      SANDBOX_SECRET,
      AUTH_MODE: 'open',
      ...(busUrl === undefined ? {} : { BUS_URL: busUrl }),
      ...env,
    },
  };
}

async function oneProcess(options: ClusterOptions, folder: string): Promise<Cluster> {
  const { env, root } = surroundingsOf(options);
  const port = await reservePort();
  const url = `http://127.0.0.1:${port}`;
  const dataDir = join(folder, 'data');
  const whole = createMember({
    name: 'waybill',
    root,
    arguments: ['serve'],
    env: { ...env, PORT: String(port), DATA_DIR: dataDir },
    logFile: join(folder, 'waybill.log'),
    readyUrl: `${url}/readyz`,
  });
  const read = (name: string) => readFileSync(join(dataDir, name), 'utf8');
  const postmaster = () => read('postgres/postmaster.pid').split('\n');
  const databaseUrl = () => {
    const password = read('postgres-password').trim();
    return `postgres://waybill:${password}@127.0.0.1:${postmaster()[3]}/waybill`;
  };
  const forget = atExit(() => {
    if (existsSync(join(dataDir, 'postgres/postmaster.pid'))) signal(Number(postmaster()[0]));
  });
  const controlUrl = () => (JSON.parse(read('sandbox.json')) as { controlUrl: string }).controlUrl;
  return {
    topology: 'one',
    url,
    folder,
    sandbox: openSandbox(controlUrl, SANDBOX_SECRET, join(dataDir, JOURNAL)),
    // Its own process starts it again, or the next one on the same folder.
    postgres: {
      killBackend: () => killBackend(databaseUrl()),
      killAll: () => killServer(Number(postmaster()[0])),
    },
    databaseUrl,
    busUrl: databaseUrl,
    member: () => whole,
    second() {
      throw new Error('there is one process');
    },
    members: [whole],
    proxy() {
      throw new Error('there is one process');
    },
    async stop() {
      await whole.stop();
      forget();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function manyProcesses(options: ClusterOptions, folder: string): Promise<Cluster> {
  const { env, root } = surroundingsOf(options);
  const { doubled = [], proxied = [], runs: services = USUAL } = options;
  const ports = new Map<string, number>();
  const names = [...services, ...doubled.map((service) => `${service}-2`), 'sandbox', 'control'];
  names.push(...proxied.map((service) => `${service}-proxy`));
  for (const name of names) ports.set(name, await reservePort());
  const urlOf = (name: string) => `http://127.0.0.1:${ports.get(name)}`;
  const proxies = await startProxies(ports, proxied);
  const postgres = await startPrivatePostgres(join(folder, 'database'));
  const shared = {
    BUS_URL: postgres.busUrl,
    ...env,
    DATA_DIR: join(folder, 'data'),
    DATABASE_URL: postgres.url,
    DISCOVERY_URL: discoveryOf(options, urlOf),
    SANDBOX_URL: urlOf('sandbox'),
    DATABASE_POOL_SIZE: '6',
  };
  const memberOf = (name: string, service: Service) =>
    createMember({
      name,
      root,
      arguments: ['serve', ...PROCESSES[service]],
      env: { ...shared, PORT: String(ports.get(name)) },
      logFile: join(folder, `${name}.log`),
      readyUrl: `${urlOf(name)}/readyz`,
    });
  const sandbox = createMember({
    name: 'sandbox',
    root,
    arguments: ['serve', 'sandbox'],
    env: {
      ...shared,
      SANDBOX_DATA_DIR: join(folder, 'sandbox'),
      SANDBOX_PORT: String(ports.get('sandbox')),
      SANDBOX_CONTROL_PORT: String(ports.get('control')),
      SANDBOX_CALLBACK_URL:
        env['SANDBOX_CALLBACK_URL'] ?? `${urlOf('gateway')}/api/v1/payments/callbacks`,
    },
    logFile: join(folder, 'sandbox.log'),
    readyUrl: `${urlOf('control')}/healthz`,
  });
  const firsts = new Map<string, Member>(services.map((name) => [name, memberOf(name, name)]));
  firsts.set('sandbox', sandbox);
  const seconds = new Map(doubled.map((service) => [service, memberOf(`${service}-2`, service)]));
  return {
    topology: 'many',
    url: urlOf('gateway'),
    folder,
    sandbox: openSandbox(() => urlOf('control'), SANDBOX_SECRET, join(folder, JOURNAL)),
    postgres,
    databaseUrl: () => postgres.url,
    busUrl: () => postgres.busUrl,
    member: (name) => firsts.get(name) as Member,
    second: (service) => seconds.get(service) as Member,
    members: [...firsts.values()],
    proxy: (service) => proxies.get(service) as Proxy,
    async stop() {
      await Promise.all([...firsts.values(), ...seconds.values()].map((one) => one.stop()));
      await Promise.all([...proxies.values()].map((one) => one.stop()));
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Where each service is: at its process, at both of them, or behind its proxy. */
function discoveryOf(
  { doubled = [], proxied = [], runs = USUAL }: ClusterOptions,
  urlOf: (name: string) => string,
): string {
  const addresses = runs.flatMap((service) => {
    const second = doubled.includes(service) ? [urlOf(`${service}-2`)] : [];
    const urls = [urlOf(service), ...second].join('|');
    return PROCESSES[service].map((name) =>
      proxied.includes(name) ? `${name}=${urlOf(`${name}-proxy`)}` : `${name}=${urls}`,
    );
  });
  return `static:${addresses.join(',')}`;
}

async function startProxies(
  ports: ReadonlyMap<string, number>,
  proxied: readonly Proxied[],
): Promise<Map<Proxied, Proxy>> {
  const proxies = new Map<Proxied, Proxy>();
  for (const name of proxied) {
    const owner = EVERYBODY.find((service) => PROCESSES[service].some((one) => one === name));
    const [port, target] = [ports.get(`${name}-proxy`), ports.get(owner ?? '')];
    proxies.set(name, await startProxy(port as number, target as number));
  }
  return proxies;
}
