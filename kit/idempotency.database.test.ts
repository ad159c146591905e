import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, queryRows } from '../tests/support/database.ts';
import { openDatabase, type Database } from './db.ts';
import {
  claimKey,
  idempotencyKeyOf,
  keepAnswer,
  trimKeys,
  type IdempotencyKey,
} from './idempotency.ts';
import { openLogger } from './logger.ts';
import { migrateAll, roleOf, rolePassword } from './migrate.ts';

let db: Database;
let url: string;

beforeAll(async () => {
  url = await createTestDatabase();
  const name = 'keys';
  const rolePrefix = `test_${process.pid}`;
  const role = roleOf(rolePrefix, name);
  await migrateAll({
    services: [{ name, databaseUrl: url, migrations: {}, consumes: [] }],
    busUrl: url,
    rolePrefix,
    poolSize: 12,
    secret: 'a secret of the test',
    log: openLogger('silent'),
  });
  const password = rolePassword('a secret of the test', role);
  db = openDatabase({ url, service: name, role, password, poolSize: 12, onError: () => {} });
});
afterAll(() => db.close());

const secret = Buffer.from('a secret of the installation');
const asked = (key: string, body: unknown = {}, scope = 'ada POST /things'): IdempotencyKey =>
  idempotencyKeyOf(key, scope, [body], secret)!;

/** A command that counts how often its effect happened. */
function command(key: IdempotencyKey, effects: string[], fails = false) {
  return db.transaction(async (tx) => {
    const kept = await claimKey(tx, key);
    if (kept !== undefined) return kept.response;
    effects.push(key.key);
    if (fails) throw new Error('refused');
    await keepAnswer(tx, key, { status: 201, response: `answer ${effects.length}` });
    return `answer ${effects.length}`;
  });
}

describe('a key', () => {
  test('lets ten at once have one effect and one answer', async () => {
    const effects: string[] = [];
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => command(asked('parallel'), effects)),
    );
    expect(effects).toEqual(['parallel']);
    expect(new Set(answers)).toEqual(new Set(['answer 1']));
  });

  test('is free again when its command failed', async () => {
    const effects: string[] = [];
    await expect(command(asked('failing'), effects, true)).rejects.toThrow('refused');
    expect(await command(asked('failing'), effects)).toBe('answer 2');
  });

  test('of another scope is another key', async () => {
    const effects: string[] = [];
    await command(asked('shared'), effects);
    await command(asked('shared', {}, 'eve POST /things'), effects);
    expect(effects).toHaveLength(2);
  });

  test('with another body is refused', async () => {
    await command(asked('body', { a: 1 }), []);
    await expect(command(asked('body', { a: 2 }), [])).rejects.toThrow(
      expect.objectContaining({ status: 422, code: 'idempotency_key_reused' }),
    );
  });
});

test('keys are forgotten after a day, and not before', async () => {
  await command(asked('old'), []);
  await command(asked('young'), []);
  await queryRows(
    url,
    `update keys.idempotency_keys
     set created_at = now() - case key when 'old' then 25 else 23 end * interval '1 hour'
     where key in ('old', 'young')`,
  );
  await trimKeys(db);
  const left = await queryRows<{ key: string }>(
    url,
    `select key from keys.idempotency_keys where key in ('old', 'young')`,
  );
  expect(left.map(({ key }) => key)).toEqual(['young']);
});
