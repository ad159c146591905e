/**
 * Schemas, roles and migrations. Run as the owner, at start-up and by `waybill migrate`, under an
 * advisory lock, so that any number of processes may start at once.
 */
import { Kysely, PostgresDialect } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import pg from 'pg';
import { connectOwner, setUpPostgresBus } from './bus/postgres.ts';
import { isPostgresBus } from './bus/open.ts';
import { connectionOf } from './db.ts';
import { Outage } from './errors.ts';
import type { Logger } from './logger.ts';
import { deriveKey } from './secrets.ts';
import { kitTables } from './tables.ts';

export interface Migratable {
  readonly name: string;
  readonly databaseUrl: string;
  readonly migrations: Readonly<Record<string, Migration>>;
  /** Tables and views that its role may only read. */
  readonly readOnly?: readonly string[];
  readonly consumes: readonly string[];
}

export interface MigrateOptions {
  readonly services: readonly Migratable[];
  readonly busUrl: string;
  readonly rolePrefix: string;
  readonly secret: string;
  /** Connections of each service's pool, to be judged against what the server allows. */
  readonly poolSize: number;
  readonly log: Logger;
}

const LOCK = 7_230_912_001;
const OLDEST_SERVER = 150_000;

export function roleOf(prefix: string, service: string): string {
  return `${prefix}_${service}`;
}

/** A role's password: derived, so that every process knows it and no file holds it. */
export function rolePassword(secret: string, role: string): string {
  return deriveKey(secret, 'database', role).toString('base64url');
}

/** A migration that was carried out just now. */
export interface Migrated {
  readonly service: string;
  readonly migration: string;
}

/**
 * Brings every schema up to date and tells what had to be done. Rejects with an Outage when a
 * database cannot be reached.
 */
export async function migrateAll(options: MigrateOptions): Promise<Migrated[]> {
  const done: Migrated[] = [];
  const urls = new Set(options.services.map((service) => service.databaseUrl));
  if (isPostgresBus(options.busUrl)) urls.add(options.busUrl);
  for (const url of urls) {
    const owner = await connectOwner(url).catch((error: unknown) => {
      throw new Outage('database', describeConnectFailure(url, error as Error), { cause: error });
    });
    try {
      await checkServer(owner, connectionsTo(url, options));
      await owner.query('select pg_advisory_lock($1)', [LOCK]);
      for (const service of options.services) {
        await ensureRole(owner, url, roleOf(options.rolePrefix, service.name), options.secret);
        if (service.databaseUrl === url)
          done.push(...(await migrateService(owner, url, service, options)));
      }
      if (url === options.busUrl)
        await setUpPostgresBus(
          owner,
          options.services.map(({ name, databaseUrl, consumes }) => ({
            service: name,
            role: roleOf(options.rolePrefix, name),
            logIsHere: databaseUrl === url,
            consumes,
          })),
        );
    } finally {
      await owner.end();
    }
  }
  return done;
}

/** One sentence saying which server did not answer and why; never the password. */
export function describeConnectFailure(url: string, error: Error): string {
  const { host, port, database, user } = connectionOf(url);
  const reason = error.message === '' ? String((error as { code?: string }).code) : error.message;
  const server = `PostgreSQL at ${host}:${port} (database ${database}, user ${user})`;
  return `${server} cannot be used: ${reason}`;
}

/** Connections of a service's pool to the bus, where the bus is in PostgreSQL. */
export const BUS_POOL_SIZE = 2;

/** How many connections this process opens to a server at most. */
function connectionsTo(url: string, { services, busUrl, poolSize }: MigrateOptions): number {
  const own = services.filter((service) => service.databaseUrl === url).length * poolSize;
  return own + (url === busUrl ? services.length * BUS_POOL_SIZE : 0);
}

async function checkServer(owner: pg.Client, wanted: number): Promise<void> {
  const { rows } = await owner.query<{ version: string; durable: string; allowed: number }>(
    `select current_setting('server_version_num') as version,
       current_setting('synchronous_commit') as durable,
       current_setting('max_connections')::integer
         - current_setting('superuser_reserved_connections')::integer as allowed`,
  );
  const allowed = rows[0]?.allowed ?? wanted;
  if (wanted > allowed)
    throw new Error(
      `DATABASE_POOL_SIZE: this process would open ${wanted} connections to PostgreSQL, ` +
        `which allows ${allowed}.`,
    );
  if (Number(rows[0]?.version) < OLDEST_SERVER)
    throw new Error('PostgreSQL 15 or newer is needed.');
  if (rows[0]?.durable === 'off')
    throw new Error(
      'The server runs with synchronous_commit=off, which loses accepted orders in a crash; ' +
        'turn it on.',
    );
}

async function ensureRole(owner: pg.Client, url: string, role: string, secret: string) {
  const password = rolePassword(secret, role);
  const { rows } = await owner.query('select 1 from pg_roles where rolname = $1', [role]);
  if (rows.length === 0) {
    await ignoring(['42710', '23505'], () =>
      owner.query(`create role "${role}" login password '${password}'`),
    );
  }
  await ignoring(['0LP01'], () => grantConnect(owner, role));
  const probe = new pg.Client({ ...connectionOf(url), user: role, password });
  probe.on('error', () => {});
  try {
    await probe.connect();
  } catch (error) {
    if (!String((error as { code?: string }).code).startsWith('28')) throw error;
    await owner.query(`alter role "${role}" login password '${password}'`);
  } finally {
    await probe.end().catch(() => {});
  }
}

async function grantConnect(owner: pg.Client, role: string): Promise<void> {
  const { rows } = await owner.query<{ name: string; can: boolean }>(
    `select current_database() as name,
       has_database_privilege($1, current_database(), 'connect') as can`,
    [role],
  );
  if (rows[0]?.can === false)
    await owner.query(`grant connect on database "${rows[0].name}" to "${role}"`);
}

async function ignoring(codes: readonly string[], work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!codes.includes(String((error as { code?: string }).code))) throw error;
  }
}

async function migrateService(
  owner: pg.Client,
  url: string,
  service: Migratable,
  options: MigrateOptions,
): Promise<Migrated[]> {
  const schema = service.name;
  const done: Migrated[] = [];
  const role = roleOf(options.rolePrefix, schema);
  await owner.query(`create schema if not exists "${schema}"`);
  const pool = new pg.Pool({
    ...connectionOf(url),
    max: 1,
    options: `-c search_path=${schema},pg_catalog -c timezone=UTC`,
  });
  const db = new Kysely<never>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrations: Record<string, Migration> = { '0000_kit': kitTables, ...service.migrations };
    const migrator = new Migrator({
      db,
      provider: { getMigrations: () => Promise.resolve(migrations) },
      migrationTableSchema: schema,
      migrationTableName: 'migrations',
      migrationLockTableName: 'migrations_lock',
    });
    const { error, results } = await migrator.migrateToLatest();
    for (const { status, migrationName } of results ?? [])
      if (status === 'Success') done.push({ service: schema, migration: migrationName });
    for (const line of done) options.log.info(line, 'migrated');
    if (error !== undefined) throw error as Error;
  } finally {
    await db.destroy();
  }
  const kept = ['migrations', 'migrations_lock', ...(service.readOnly ?? [])];
  // One round trip is one transaction: at no moment does the role have more than it should.
  await owner.query(`
    grant usage on schema "${schema}" to "${role}";
    grant select, insert, update, delete on all tables in schema "${schema}" to "${role}";
    grant usage on all sequences in schema "${schema}" to "${role}";
    revoke insert, update, delete
      on ${kept.map((table) => `"${schema}"."${table}"`).join(', ')} from "${role}";
  `);
  return done;
}
