/** Runs services in this process: configuration, tables, server, loops; and their orderly end. */
import type { FastifyInstance } from 'fastify';
import { describeListenFailure } from './address.ts';
import { openBus } from './bus/open.ts';
import { openClient, type Client } from './client.ts';
import { openDatabase, type Database } from './db.ts';
import { createTopology, type Topology } from './discovery.ts';
import { armFailpoints } from './failpoints.ts';
import { mountHealth } from './health.ts';
import { createServer, mountRoutes } from './http.ts';
import { drain } from './drain.ts';
import { openIdentitySigner, type IdentitySigner } from './identity.ts';
import { kitRoutes } from './kit-routes.ts';
import type { Logger } from './logger.ts';
import { BUS_POOL_SIZE, migrateAll, roleOf, rolePassword, type Migrated } from './migrate.ts';
import { describeRoutes, type OpenApiPart } from './openapi.ts';
import { deriveKey } from './secrets.ts';
import type { Service, ServiceContext } from './service.ts';
import { installShortcuts, type QuickEntrance } from './shortcuts.ts';
import type { Configuration } from './settings.ts';
import { startTracing } from './telemetry.ts';
import { startWork, type Running } from './work.ts';

export interface RunOptions {
  readonly services: readonly Service[];
  readonly configuration: Configuration;
  readonly log: Logger;
  /** Skip migrations when another process has just done them (a worker of --workers). */
  readonly migrated?: boolean;
}

export interface RunningProcess {
  readonly server: FastifyInstance;
  readonly url: string;
  readonly port: number;
  /** Drains and stops: readiness off, requests in flight answered, loops ended, pools closed. */
  stop(): Promise<void>;
}

/** Starts the services; resolves when they answer. */
export async function runServices(options: RunOptions): Promise<RunningProcess> {
  const { services, configuration, log } = options;
  const { platform } = configuration;
  armFailpoints(platform.failpoints ?? '');
  const stopTracing =
    platform.otlpEndpoint === undefined
      ? undefined
      : await startTracing(platform.otlpEndpoint, processName(services));
  if (options.migrated !== true) await migrate(services, configuration, log);

  const server = createServer(log);
  const signer = openIdentitySigner(deriveKey(platform.secret, 'identity'));
  const topology = createTopology(
    services.map((service) => service.name),
    platform.discoveryUrl,
  );
  const running: Running[] = [];
  const clients: Client[] = [];
  for (const service of services) {
    const client = openClient({ self: service.name, server: () => server, topology, signer });
    clients.push(client);
    running.push(await prepare(service, configuration, log, client));
  }
  const state = mountHealth(server, running, platform, signer);
  const entrance = await mountAll(server, running, { topology, signer, secret: platform.secret });
  await server.ready();
  installShortcuts(server, {
    shortcuts: running.flatMap(({ service, context }) =>
      (service.shortcuts ?? []).map((shortcut) => ({ service: service.name, shortcut, context })),
    ),
    entrance,
    signer,
    isOpen: () => !state.stopping,
  });
  const stops = running.map((one) => startWork(one, configuration));
  try {
    await server.listen({ port: platform.port, host: platform.host });
  } catch (error) {
    await Promise.all(stops.map((stop) => stop()));
    throw describeListenFailure(error as NodeJS.ErrnoException, platform.host, platform.port);
  }
  state.ready = true;
  const { port } = server.server.address() as { port: number };
  return {
    server,
    port,
    url: `http://${platform.host.includes(':') ? `[${platform.host}]` : platform.host}:${port}`,
    async stop() {
      state.ready = false;
      state.stopping = true;
      for (const { service, context } of running) service.release?.(context as never);
      await drain(server);
      await Promise.all(stops.map((stop) => stop()));
      for (const one of running) await end(one);
      await Promise.all(clients.map((client) => client.close()));
      await stopTracing?.();
    },
  };
}

interface Surroundings {
  readonly topology: Topology;
  readonly signer: IdentitySigner;
  readonly secret: string;
}

/** The entrance's hooks first, so that they stand in front of every route; then the routes. */
async function mountAll(
  server: FastifyInstance,
  running: readonly Running[],
  { topology, signer, secret }: Surroundings,
): Promise<QuickEntrance | undefined> {
  const documents = new Map<string, OpenApiPart>();
  let entrance: QuickEntrance | undefined;
  for (const { service, context } of running)
    entrance ??= await service.entrance?.(server, context as never, {
      topology,
      signer,
      documents,
    });
  const idempotencySecret = deriveKey(secret, 'idempotency');
  for (const { service, context, db, inboxes } of running) {
    const routes = [...service.routes, ...kitRoutes({ service, db, inboxes })];
    documents.set(service.name, describeRoutes(service.name, service.description, routes));
    await server.register(async (scope) => {
      mountRoutes(scope, {
        service: service.name,
        routes,
        context: context as never,
        signer,
        idempotencySecret,
      });
    });
  }
  return entrance;
}

function processName(services: readonly Service[]): string {
  const [only, ...others] = services;
  return only === undefined || others.length > 0 ? 'waybill' : `waybill-${only.name}`;
}

/** Brings the tables of these services up to date; tells what had to be done. */
export function migrate(
  services: readonly Service[],
  configuration: Configuration,
  log: Logger,
): Promise<Migrated[]> {
  const { platform, databaseUrls, busUrl } = configuration;
  return migrateAll({
    services: services.flatMap((service) => {
      const databaseUrl = databaseUrls.get(service.name);
      if (service.migrations === undefined || databaseUrl === undefined) return [];
      const consumes = service.consumers.map((consumer) => consumer.topic);
      const { name, migrations, readOnly = [] } = service;
      return [{ name, databaseUrl, migrations, readOnly, consumes }];
    }),
    busUrl,
    rolePrefix: platform.databaseRolePrefix,
    secret: platform.secret,
    poolSize: platform.databasePoolSize,
    log,
  });
}

async function prepare(
  service: Service,
  configuration: Configuration,
  log: Logger,
  client: Client,
): Promise<Running> {
  const { platform, busUrl } = configuration;
  const ownLog = log.child({ service: service.name });
  const url = configuration.databaseUrls.get(service.name);
  const role = roleOf(platform.databaseRolePrefix, service.name);
  const pool = (poolUrl: string, poolSize: number) =>
    openDatabase({
      url: poolUrl,
      service: service.name,
      role,
      password: rolePassword(platform.secret, role),
      poolSize,
      onError: (error) => ownLog.warn({ reason: error.message }, 'a database connection broke'),
    });
  const db = url === undefined ? undefined : pool(url, platform.databasePoolSize);
  const bus =
    db === undefined
      ? undefined
      : await openBus({
          url: busUrl,
          partitions: platform.busPartitions,
          log: ownLog,
          database: () => pool(busUrl, BUS_POOL_SIZE),
        });
  const base: ServiceContext = {
    name: service.name,
    settings: configuration.settings.get(service.name),
    platform,
    db: db ?? noDatabase(service.name),
    log: ownLog,
    client,
    key: (purpose, of) => deriveKey(platform.secret, purpose, of),
  };
  const context = (await service.create(base as never)) as ServiceContext;
  return { service, context, db, bus, inboxes: new Map() };
}

function noDatabase(name: string): Database {
  return new Proxy({} as Database, {
    get() {
      throw new Error(`${name} keeps no data`);
    },
  });
}

async function end({ service, context, db, bus }: Running): Promise<void> {
  await service.close?.(context as never);
  await bus?.close();
  await db?.close();
}
