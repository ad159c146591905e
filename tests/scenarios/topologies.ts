/** The two ways the platform runs in scenarios: all in one process, and each service its own. */
import { join } from 'node:path';
import {
  startEmbeddedDatabase,
  type EmbeddedDatabase,
} from '../../apps/server/embedded-database.ts';
import type { PrivateServer } from '../bus/servers.ts';
import { freePort, newDataDir, startWaybill, type WaybillProcess } from '../support/waybill.ts';

export interface Platform {
  /** The entrance. */
  readonly url: string;
  readonly dataDir: string;
  readonly databaseUrl: string;
  /** Where the sandbox keeps its journal. */
  readonly journal: string;
  /** Everything that its processes have logged. */
  output(): string;
  stop(): Promise<void>;
}

/** Settings of every scenario: short delays, a gateway that only fails when it is told to. */
const SETTINGS = {
  PAYMENT_MOCK_SUCCESS_RATE: '1',
  PAYMENT_MOCK_LATENCY_MIN: '5',
  PAYMENT_MOCK_LATENCY_MAX: '20',
  PAYMENT_RETRY_DELAY: '0.2',
  PAYMENT_TIMEOUT: '2',
  CIRCUIT_BREAKER_FAILURE_THRESHOLD: '1000',
  SANDBOX_SEED: '7',
  LOG_LEVEL: 'warn',
};

/** `waybill serve`. */
export async function startTogether(
  settings: Readonly<Record<string, string>> = {},
): Promise<Platform> {
  const waybill = await startWaybill({ env: { ...SETTINGS, ...settings } });
  // Adopted, not started: what it started, it also stops.
  const database = await startEmbeddedDatabase(waybill.dataDir);
  return {
    url: waybill.url,
    dataDir: waybill.dataDir,
    databaseUrl: database.url,
    journal: join(waybill.dataDir, 'sandbox', 'journal.jsonl'),
    output: waybill.output,
    async stop() {
      await waybill.stop();
    },
  };
}

export interface ApartOptions {
  /** Without one events travel through the database. */
  readonly broker?: PrivateServer;
  /** The services behind the gateway, each a process of its own. */
  readonly services?: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
}

/** `waybill serve gateway`, `… orders`, `… payments`, `… sandbox`: each a process of its own. */
export async function startApart(options: ApartOptions): Promise<Platform> {
  const { broker, services = ['orders', 'payments'], settings = {} } = options;
  const dataDir = newDataDir();
  const database: EmbeddedDatabase = await startEmbeddedDatabase(dataDir);
  const [gateway, sandbox, control, ...ports] = await Promise.all(
    Array.from({ length: 3 + services.length }, freePort),
  );
  const places = services.map((name, index) => `${name}=http://127.0.0.1:${ports[index]}`);
  const env = {
    ...SETTINGS,
    DATABASE_URL: database.url,
    ...(broker === undefined ? {} : { BUS_URL: broker.url }),
    BUS_PARTITIONS: '2',
    DISCOVERY_URL: `static:${places.join(',')}`,
    SANDBOX_PORT: String(sandbox),
    SANDBOX_CONTROL_PORT: String(control),
    SANDBOX_URL: `http://127.0.0.1:${sandbox}`,
    SANDBOX_CALLBACK_URL: `http://127.0.0.1:${gateway}/api/v1/payments/callbacks`,
    ...settings,
  };
  const processes: WaybillProcess[] = [];
  const stop = async () => {
    for (const one of processes.reverse()) await one.stop();
    await database.stop();
  };
  const start = async (name: string, more: object) => {
    const one = await startWaybill({ names: [name], dataDir, env, ...more });
    processes.push(one);
    return one;
  };
  try {
    await start('sandbox', { unready: true });
    const starts = services.map((name, at) => start(name, { port: ports[at] }));
    await Promise.allSettled(starts);
    await Promise.all(starts);
    await start('gateway', { port: gateway });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `http://127.0.0.1:${gateway}`,
    dataDir,
    databaseUrl: database.url,
    journal: join(dataDir, 'sandbox', 'journal.jsonl'),
    output: () => processes.map((one) => one.output()).join(''),
    stop,
  };
}
