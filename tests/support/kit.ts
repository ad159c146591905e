/** The kit's own tables in a database of their own, as a service without rooms would have them. */
import { afterAll } from 'vitest';
import { openDatabase, type Database } from '@waybill/kit/db.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { migrateAll, roleOf, rolePassword } from '@waybill/kit/migrate.ts';
import { createTestDatabase, queryRows } from './database.ts';

export const silent = openLogger('silent');

const SECRET = 'a secret of the kit tests';
const PREFIX = 'kit_test';

export interface KitDatabase {
  readonly url: string;
  /** A pool of the service's role; one for each process that a test pretends to have. */
  open(options?: { poolSize?: number; statementTimeoutMs?: number }): Database;
  /** Runs a statement as the owner, in the service's schema. */
  owner<Row>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Breaks connections of the service that are in use or idle; tells how many. */
  terminate(limit: number): Promise<number>;
}

/** Migrates a new database for a service of that name; its pools end with the file. */
export async function createKitDatabase(
  service: string,
  tables: readonly string[] = [],
): Promise<KitDatabase> {
  const url = await createTestDatabase();
  await migrateAll({
    services: [{ name: service, databaseUrl: url, migrations: {}, consumes: [] }],
    busUrl: url,
    rolePrefix: PREFIX,
    poolSize: 4,
    secret: SECRET,
    log: silent,
  });
  const role = roleOf(PREFIX, service);
  const owner = async <Row>(text: string, values: unknown[] = []) => {
    const own = new URL(url);
    own.searchParams.set('options', `-c search_path=${service},pg_catalog`);
    return queryRows<Row>(own.href, text, values);
  };
  for (const table of tables) await owner(table);
  await owner(`grant select, insert, update, delete on all tables in schema ${service} to ${role}`);
  const pools: Database[] = [];
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.close()));
  });
  return {
    url,
    owner,
    open(options = {}) {
      const pool = openDatabase({
        url,
        service,
        role,
        password: rolePassword(SECRET, role),
        poolSize: 8,
        onError: () => {},
        ...options,
      });
      pools.push(pool);
      return pool;
    },
    async terminate(limit) {
      const rows = await owner(
        `select pg_terminate_backend(pid) from (
           select pid from pg_stat_activity
           where datname = current_database() and application_name = $1
           order by random() limit $2) victims`,
        [`waybill-${service}`, limit],
      );
      return rows.length;
    },
  };
}
