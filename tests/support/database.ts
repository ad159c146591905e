/** Databases for tests, made and dropped on the run's own PostgreSQL. */
import { afterAll, inject } from 'vitest';
import pg from 'pg';

let counter = 0;

/** The URL of a new, empty database, dropped when the file's tests have ended. */
export async function createTestDatabase(): Promise<string> {
  const owner = new URL(inject('databaseUrl'));
  const name = `test_${process.pid}_${counter++}`;
  await asOwner(owner, `create database ${name}`);
  afterAll(() => asOwner(owner, `drop database if exists ${name} with (force)`));
  const url = new URL(owner);
  url.pathname = `/${name}`;
  return url.href;
}

async function asOwner(owner: URL, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: owner.href });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Rows of a statement, as the owner, over a connection of its own. */
export async function queryRows<Row>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text, values)).rows as Row[];
  } finally {
    await client.end();
  }
}
