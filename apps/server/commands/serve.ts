/** `waybill serve`: runs services until it is told to stop. */
import cluster from 'node:cluster';
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkAddress } from '@waybill/kit/address.ts';
import { sleep } from '@waybill/kit/clock.ts';
import { readEnvironment, type Environment } from '@waybill/kit/config.ts';
import { openLogger, type Logger } from '@waybill/kit/logger.ts';
import { migrate, runServices } from '@waybill/kit/run.ts';
import { readOrCreateSecret } from '@waybill/kit/secrets.ts';
import { configure, type Configuration } from '@waybill/kit/settings.ts';
import { collectProcessMetrics } from '@waybill/kit/telemetry.ts';
import { startEmbeddedDatabase, superviseDatabase } from '../embedded-database.ts';
import { endInOrder } from '../grace.ts';
import {
  sandboxFaults,
  startSandboxProcess,
  wantsSandbox,
  type SandboxProcess,
} from '../sandbox-process.ts';
import { loadServices, serviceNames, UsageFault } from '../services.ts';

export interface ServeOptions {
  readonly workers: number;
}

type Stop = () => Promise<void>;

const GRACE_MS = 25_000;
const RESTART_MS = 500;

export async function serve(names: readonly string[], options: ServeOptions): Promise<void> {
  const stops: Stop[] = [];
  let stopping: Promise<void> | undefined;
  const environment = readEnvironment();
  const starting = cluster.isWorker
    ? startWorker(names, environment, stops)
    : startPrimary(names, options, environment, stops);
  // Whoever ends it while it starts must wait for what is being started, or leave it behind.
  endInOrder(async () => {
    await starting.catch(() => {});
    await (stopping ??= stopInTurn(stops));
  }, GRACE_MS);
  try {
    await starting;
  } catch (error) {
    await (stopping ??= stopInTurn(stops));
    throw error;
  }
}

/** Last started, first stopped; one that fails does not keep the others from it. */
async function stopInTurn(stops: readonly Stop[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops.toReversed())
    await stop().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function startPrimary(
  names: readonly string[],
  options: ServeOptions,
  environment: Environment,
  stops: Stop[],
): Promise<void> {
  const wanted = names.filter((name) => name !== 'sandbox');
  const services = names.length > 0 && wanted.length === 0 ? [] : await loadServices(wanted);
  const whole = names.length === 0;
  const needsSandbox = names.includes('sandbox') || (whole && wantsSandbox(environment));
  const early = configure(
    services,
    needsSandbox ? { SANDBOX_URL: 'http://127.0.0.1', ...environment } : environment,
    whole ? 'postgres://127.0.0.1/waybill' : undefined,
    needsSandbox ? sandboxFaults(environment) : [],
  );
  const log = openLogger(early.platform.logLevel);
  if (services.length > 0) await checkAddress(early.platform.host, early.platform.port);
  const [databaseUrl, sandbox] = await bothOrNeither(
    whole && early.platform.databaseUrl === undefined
      ? startDatabase(early, log, stops)
      : Promise.resolve(undefined),
    needsSandbox ? startSandbox(early, environment, log, stops) : Promise.resolve(undefined),
  );
  if (services.length === 0) {
    process.stderr.write(
      `The sandbox gateway is ready at ${sandbox?.url ?? ''}; it takes mails at ` +
        `${sandbox?.smtpUrl ?? ''} and shows them at ${sandbox?.inboxUrl ?? ''}\n`,
    );
    return;
  }
  const complete: Environment = {
    ...(sandbox === undefined
      ? {}
      : {
          SANDBOX_URL: sandbox.url,
          SANDBOX_INBOX_URL: sandbox.inboxUrl,
          ...(environment['SMTP_URL_FILE'] === undefined ? { SMTP_URL: sandbox.smtpUrl } : {}),
        }),
    ...environment,
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
  };
  const configuration = configure(services, complete);
  if (options.workers > 1)
    await startWorkers(options.workers, complete, configuration, names, log, stops);
  else {
    collectProcessMetrics();
    const running = await runServices({ services, configuration, log });
    stops.push(() => running.stop());
    announce(names, running.url, complete);
    fillUnused(names, running.url, configuration, log, stops);
  }
}

/** Rejects when one fails, but not before the other is there to be stopped. */
async function bothOrNeither<One, Other>(
  one: Promise<One>,
  other: Promise<Other>,
): Promise<[One, Other]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

async function startDatabase(configuration: Configuration, log: Logger, stops: Stop[]) {
  const database = await startEmbeddedDatabase(configuration.platform.dataDir);
  stops.push(() => database.stop(), superviseDatabase(database, log));
  if (database.notice !== undefined) log.warn(database.notice);
  return database.url;
}

async function startSandbox(
  configuration: Configuration,
  environment: Environment,
  log: Logger,
  stops: Stop[],
): Promise<SandboxProcess> {
  const { platform } = configuration;
  const dataDir = resolve(platform.dataDir);
  const secret = platform.secret === '' ? readOrCreateSecret(dataDir) : platform.secret;
  const sandbox = await startSandboxProcess({
    dataDir,
    secret,
    environment,
    callbackUrl:
      platform.port === 0
        ? undefined
        : `http://127.0.0.1:${platform.port}/api/v1/payments/callbacks`,
    onExit: (code) => log.error({ code }, 'the sandbox gateway ended and is started again'),
  });
  stops.push(() => sandbox.stop());
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(
    resolve(dataDir, 'sandbox.json'),
    JSON.stringify({
      url: sandbox.url,
      controlUrl: sandbox.controlUrl,
      smtpUrl: sandbox.smtpUrl,
      inboxUrl: sandbox.inboxUrl,
      sourcesUrl: sandbox.sourcesUrl,
    }),
  );
  return sandbox;
}

/** One process more for each core: the workers share the port; each runs every service. */
async function startWorkers(
  count: number,
  environment: Environment,
  configuration: Configuration,
  names: readonly string[],
  log: Logger,
  stops: Stop[],
): Promise<void> {
  await migrate(await loadServices(names.filter((name) => name !== 'sandbox')), configuration, log);
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('../waybill.mjs', import.meta.url)),
    args: ['serve', ...names],
  });
  let stopping = false;
  const start = () => cluster.fork(environment);
  const ready = new Promise<void>((done, fail) => {
    let listening = 0;
    cluster.on('listening', () => {
      if (++listening === count) done();
    });
    cluster.on('exit', (worker, code) => {
      if (stopping) return;
      if (listening < count)
        return fail(new UsageFault('A worker did not start; its message is above.'));
      log.error({ pid: worker.process.pid, code }, 'a worker ended; another is started');
      // Not at once: one that cannot live would keep the machine busy with being born.
      void sleep(RESTART_MS).then(() => (stopping ? undefined : start()));
    });
  });
  for (let index = 0; index < count; index++) start();
  stops.push(async () => {
    stopping = true;
    const workers = Object.values(cluster.workers ?? {});
    await Promise.all(
      workers.map(
        (worker) =>
          new Promise<void>((done) => {
            if (worker === undefined || worker.isDead()) return done();
            worker.once('exit', () => done());
            worker.process.kill('SIGTERM');
          }),
      ),
    );
  });
  await ready;
  const { host, port } = configuration.platform;
  announce(names, `http://${host}:${port}`, environment);
  fillUnused(names, `http://${host}:${port}`, configuration, log, stops);
}

/** Nobody waits for the demo data to be loaded, but the end does. */
function fillUnused(
  names: readonly string[],
  url: string,
  { platform }: Configuration,
  log: Logger,
  stops: Stop[],
): void {
  if (names.length > 0 || platform.authMode !== 'open' || !platform.demoData) return;
  const loading = import('../demo/petstore.ts').then((demo) => demo.loadWhenUnused(url, log));
  stops.push(() => loading);
}

async function startWorker(names: readonly string[], environment: Environment, stops: Stop[]) {
  const services = await loadServices(names.filter((name) => name !== 'sandbox'));
  const configuration = configure(services, environment);
  const log = openLogger(configuration.platform.logLevel);
  collectProcessMetrics();
  const running = await runServices({ services, configuration, log, migrated: true });
  stops.push(() => running.stop());
}

function announce(names: readonly string[], url: string, environment: Environment): void {
  const what = names.length === 0 ? serviceNames.join(', ') : names.join(', ');
  const inbox = environment['SANDBOX_INBOX_URL'];
  process.stderr.write(
    `Waybill is ready at ${url} (${what}); the API is at ${url}/docs` +
      `${inbox === undefined ? '' : `, and its mails are at ${inbox}`}\n`,
  );
}
