/** Schemas, roles and migrations, whoever starts first. */
import { sql, type Kysely } from 'kysely';
import { beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, queryRows } from '../tests/support/database.ts';
import { silent } from '../tests/support/kit.ts';
import { openPostgresBus } from './bus/postgres.ts';
import { openDatabase } from './db.ts';
import { Outage } from './errors.ts';
import { emit } from './eventlog.ts';
import { migrateAll, roleOf, rolePassword, type MigrateOptions } from './migrate.ts';

const PREFIX = 'migrate_test';
const SECRET = 'a secret of the migrations';

const createShelves = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`create table shelves (id bigint generated always as identity primary key)`.execute(
      db,
    );
    await sql`select pg_sleep(0.05)`.execute(db);
  },
};
const createTins = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`create table tins (name text primary key)`.execute(db);
  },
};

function optionsFor(url: string, changes: Partial<MigrateOptions> = {}): MigrateOptions {
  return {
    services: [
      {
        name: 'larder',
        databaseUrl: url,
        migrations: { '0001_shelves': createShelves, '0002_tins': createTins },
        consumes: ['kitchen'],
      },
      { name: 'kitchen', databaseUrl: url, migrations: {}, consumes: [] },
    ],
    busUrl: url,
    rolePrefix: PREFIX,
    poolSize: 4,
    secret: SECRET,
    log: silent,
    ...changes,
  };
}

function poolOf(url: string, service: string, secret = SECRET) {
  const role = roleOf(PREFIX, service);
  const password = rolePassword(secret, role);
  return openDatabase({ url, service, role, password, poolSize: 2, onError: () => {} });
}

describe('four processes that start at once on an empty database', () => {
  let url: string;
  let done: string[];

  beforeAll(async () => {
    url = await createTestDatabase();
    const each = await Promise.all([1, 2, 3, 4].map(() => migrateAll(optionsFor(url))));
    done = each.flat().map(({ service, migration }) => `${service} ${migration}`);
  });

  test('all get through, and every migration runs once', () => {
    expect(done.toSorted()).toEqual([
      'kitchen 0000_kit',
      'larder 0000_kit',
      'larder 0001_shelves',
      'larder 0002_tins',
    ]);
  });

  test('leave nothing to do for the fifth', async () => {
    expect(await migrateAll(optionsFor(url))).toEqual([]);
  });

  test('give each service its own tables, and none of another’s', async () => {
    const larder = poolOf(url, 'larder');
    const kitchen = poolOf(url, 'kitchen');
    await larder.query(`insert into tins values ('beans')`);
    expect(await larder.query('select name from tins')).toEqual([{ name: 'beans' }]);
    for (const statement of [
      'select * from larder.tins',
      'insert into larder.log (key, version, type, data) values (1, 1, 1, 1)',
      'create table kitchen.mine ()',
      'create schema mine',
      'update kitchen.migrations set name = name',
    ])
      await expect(kitchen.queryOnce(statement), statement).rejects.toThrow('permission denied');
    await larder.close();
    await kitchen.close();
  });

  test('let a service number its own log, and fetch what it follows', async () => {
    const larder = poolOf(url, 'larder');
    const kitchen = poolOf(url, 'kitchen');
    const emitted = { key: 'soup', version: 1, type: 'SOUP_MADE', data: { salt: 1 } };
    await kitchen.transaction((tx) => emit(tx, 'kitchen', [emitted]));
    const fetch = `select event, position, key, data from bus.fetch('kitchen', 0, 10)`;
    expect(await larder.query(fetch)).toEqual([]);
    await kitchen.query('select sequence_log(10)');
    const fetched = { event: null, position: 1n, key: 'soup', data: { salt: 1 } };
    expect(await larder.query(fetch)).toEqual([fetched]);
    await expect(kitchen.query(fetch)).rejects.toThrow('does not subscribe to kitchen');
    await larder.close();
    await kitchen.close();
  });

  test('let a service publish and trim its own topic where its log is elsewhere', async () => {
    const busUrl = await createTestDatabase();
    await migrateAll(optionsFor(url, { busUrl }));
    const larder = poolOf(busUrl, 'larder');
    const kitchen = poolOf(busUrl, 'kitchen');
    const event = { position: 1, key: 'soup', body: '{"position":1}' };
    await openPostgresBus(kitchen, silent).publish('kitchen', [event]);
    await expect(openPostgresBus(kitchen, silent).publish('larder', [event])).rejects.toThrow(
      'does not publish larder',
    );
    const fetch = `select event from bus.fetch('kitchen', 0, 10)`;
    expect(await larder.query(fetch)).toHaveLength(1);
    await expect(kitchen.query(fetch)).rejects.toThrow('does not subscribe to kitchen');
    await larder.query(`select bus.trim('kitchen', interval '-1 hour')`);
    expect(await larder.query(fetch)).toHaveLength(1);
    await kitchen.query(`select bus.trim('kitchen', interval '-1 hour')`);
    expect(await larder.query(fetch)).toHaveLength(0);
    await expect(kitchen.query('select * from bus.events')).rejects.toThrow('permission denied');
    await larder.close();
    await kitchen.close();
  });
});

test('a secret that has changed changes the passwords with it', async () => {
  const url = await createTestDatabase();
  const rolePrefix = `${PREFIX}_moved`;
  const options = optionsFor(url, { rolePrefix });
  await migrateAll(options);
  await migrateAll({ ...options, secret: 'another secret' });
  const role = roleOf(rolePrefix, 'larder');
  const open = (secret: string) =>
    openDatabase({
      url,
      service: 'larder',
      role,
      password: rolePassword(secret, role),
      poolSize: 1,
      onError: () => {},
    });
  const known = open('another secret');
  expect(await known.query('select 1 as one')).toEqual([{ one: 1 }]);
  await known.close();
});

test('a migration that fails leaves the ones before it, and is tried again', async () => {
  const url = await createTestDatabase();
  let broken = true;
  const flaky = {
    async up(db: Kysely<never>): Promise<void> {
      await sql`create table half (id integer)`.execute(db);
      if (broken) throw new Error('half done');
    },
  };
  const options = optionsFor(url, {
    services: [
      {
        name: 'larder',
        databaseUrl: url,
        migrations: { '0001_shelves': createShelves, '0002_flaky': flaky },
        consumes: [],
      },
    ],
  });
  await expect(migrateAll(options)).rejects.toThrow('half done');
  const tables = () =>
    queryRows(url, `select 1 from pg_tables where schemaname = 'larder' and tablename = 'half'`);
  expect(await tables()).toEqual([]);
  broken = false;
  await migrateAll(options);
  expect(await tables()).toHaveLength(1);
});

test('a server that is not there is an outage, told without the password', async () => {
  const url = 'postgres://olga:hunter2@127.0.0.1:9/none';
  const error = await migrateAll(optionsFor(url)).catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(Outage);
  expect((error as Outage).message).toContain('127.0.0.1:9');
  expect((error as Outage).message).not.toContain('hunter2');
});

test('pools that the server could never fill are refused before anything is made', async () => {
  const url = await createTestDatabase();
  await expect(migrateAll(optionsFor(url, { poolSize: 5000 }))).rejects.toThrow(
    /^DATABASE_POOL_SIZE: this process would open 10004 connections to PostgreSQL, which allows/,
  );
});
