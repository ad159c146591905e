import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase } from '../tests/support/database.ts';
import { openDatabase, type Database } from './db.ts';

let db: Database;
beforeAll(async () => {
  const url = await createTestDatabase();
  db = openDatabase({ url, service: 'public', poolSize: 2, onError: () => {} });
});
afterAll(() => db.close());

test.each([
  '2026-01-02T03:04:05.678Z',
  '2026-01-02T03:04:05.670Z',
  '2026-01-02T03:04:05.600Z',
  '2026-01-02T03:04:05.000Z',
  '2026-01-02T03:04:05.678912Z',
])('%s comes back as it went in', async (moment) => {
  const [row] = await db.query<{ at: string }>('select $1::timestamptz as at', [moment]);
  expect(row?.at).toBe(moment);
});

test('a 64-bit number comes back whole', async () => {
  const [row] = await db.query<{ n: bigint }>('select 9007199254740993 as n');
  expect(row?.n).toBe(9007199254740993n);
});
