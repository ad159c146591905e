/** What a service is: a name, settings, tables, routes, consumers, tasks and sweeps, as data. */
import type { FastifyInstance } from 'fastify';
import type { Migration } from 'kysely/migration';
import type { Client } from './client.ts';
import type { Platform, SettingsTable, Values } from './config.ts';
import type { ConsumerDefinition } from './consumer.ts';
import type { Database } from './db.ts';
import type { Topology } from './discovery.ts';
import type { IdentitySigner } from './identity.ts';
import type { Logger } from './logger.ts';
import type { OpenApiPart } from './openapi.ts';
import type { Route } from './route.ts';
import type { KeyPurpose } from './secrets.ts';
import type { QuickEntrance, Shortcut } from './shortcuts.ts';
import type { TaskHandler } from './tasks.ts';

/** What every service is given; its own context adds what it makes of it. */
export interface ServiceContext<Settings = unknown> {
  readonly name: string;
  readonly settings: Settings;
  readonly platform: Platform;
  readonly db: Database;
  readonly log: Logger;
  readonly client: Client;
  /** A key derived from the installation's secret. */
  key(purpose: KeyPurpose, of?: string): Buffer;
}

/** Regular upkeep that one process does at a time. */
export interface Sweep<Context> {
  readonly name: string;
  readonly everyMs: number;
  /** True: a bite is done and more is left, so that it runs again at once. */
  run(context: Context): Promise<boolean | void>;
}

export interface ServiceDefinition<Table extends SettingsTable, Context> {
  readonly name: string;
  /** One sentence for the API document and help texts. */
  readonly description: string;
  /** Prefixes of its public paths, by which the gateway finds it. */
  readonly paths: readonly string[];
  readonly settings: Table;
  /** Faults that more than one setting makes together. */
  readonly check?: (settings: Values<Table>, platform: Platform) => readonly string[];
  /** Absent: the service keeps no data. */
  readonly migrations?: Readonly<Record<string, Migration>>;
  /** Tables and views that its own role only reads: functions of its migrations write them. */
  readonly readOnly?: readonly string[];
  readonly create: (base: ServiceContext<Values<Table>>) => Context | Promise<Context>;
  readonly routes: readonly Route<Context>[];
  readonly consumers: readonly ConsumerDefinition<Context>[];
  readonly tasks: readonly TaskHandler<Context>[];
  readonly sweeps: readonly Sweep<Context>[];
  /** Quick answers of routes that are asked more often than all others together. */
  readonly shortcuts?: readonly Shortcut<Context>[];
  /** Lets go of requests that wait for something, before the process drains. */
  readonly release?: (context: Context) => void;
  /** Ends what `create` began. */
  readonly close?: (context: Context) => Promise<void>;
  /** The gateway alone: hooks in front of every route of this process, and proxies. */
  readonly entrance?: (
    app: FastifyInstance,
    context: Context,
    entrance: Entrance,
  ) => Promise<QuickEntrance>;
}

/** What the gateway is told of its surroundings. */
export interface Entrance {
  readonly topology: Topology;
  readonly signer: IdentitySigner;
  /** The documents of the services in this process. */
  readonly documents: ReadonlyMap<string, OpenApiPart>;
}

/** A definition whose own types are sealed, as tables of services hold it. */
export type Service = ServiceDefinition<SettingsTable, never>;

/** Declares a service. */
export function defineService<Table extends SettingsTable, Context>(
  definition: ServiceDefinition<Table, Context>,
): Service {
  return definition as unknown as Service;
}
