/** The test of the tests: every check is silent on clean books, and speaks up for its fault. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import pg from 'pg';
import { cleanCalls, cleanJournal, writeCleanBooks } from '../../tests/support/clean-books.ts';
import { createTestDatabase } from '../../tests/support/database.ts';
import { clientFaults, harmless } from '../../tests/support/planted/client.ts';
import { dispatchFaults } from '../../tests/support/planted/dispatch.ts';
import { eventFaults } from '../../tests/support/planted/events.ts';
import { journalFaults } from '../../tests/support/planted/journal.ts';
import { ledgerFaults } from '../../tests/support/planted/ledger.ts';
import { noticeFaults } from '../../tests/support/planted/notices.ts';
import { orderFaults } from '../../tests/support/planted/orders.ts';
import { paymentFaults } from '../../tests/support/planted/payments.ts';
import { harmlessPets, petFaults } from '../../tests/support/planted/pets.ts';
import type { Plant } from '../../tests/support/planted/plant.ts';
import { harmlessUsers, userFaults } from '../../tests/support/planted/users.ts';
import { checks } from './verify/checks.ts';
import { judgeSnapshot, prepare, verifyDatabase, type VerifyOptions } from './verify/database.ts';

const plants: readonly Plant[] = [
  ...orderFaults,
  ...paymentFaults,
  ...journalFaults,
  ...ledgerFaults,
  ...petFaults,
  ...dispatchFaults,
  ...userFaults,
  ...noticeFaults,
  ...eventFaults,
  ...clientFaults,
];

let books = '';
let client: pg.Client;

beforeAll(async () => {
  books = await createTestDatabase();
  await writeCleanBooks(books);
  client = new pg.Client({ connectionString: books });
  await client.connect();
  await prepare(client);
});

afterAll(() => client?.end());

/** Judges the books as they are once a fault is planted in them, and takes it out again. */
async function judgeWith(
  plant: Omit<Plant, 'check' | 'name'>,
  options: Pick<VerifyOptions, 'kinds' | 'rowLimit'> = {},
) {
  const journal = cleanJournal();
  const calls = cleanCalls();
  await client.query('begin');
  try {
    await client.query(plant.sql ?? '');
    return await judgeSnapshot(client, {
      ...options,
      journal: plant.journal?.(journal) ?? journal,
      client: plant.calls?.(calls) ?? calls,
    });
  } finally {
    await client.query('rollback');
  }
}

/** What was found, as `check: rows`. */
async function violated(plant: Omit<Plant, 'check' | 'name'>) {
  const { verdicts } = await judgeWith(plant);
  expect(verdicts.filter(({ state }) => state === 'skipped')).toEqual([]);
  return verdicts.filter(({ state }) => state === 'violated');
}

describe('clean books', () => {
  test('are silent, and were looked at', async () => {
    expect(await violated({})).toEqual([]);
    const report = await verifyDatabase({
      databaseUrl: books,
      journal: cleanJournal(),
      client: cleanCalls(),
    });
    expect(report).toMatchObject({ ok: true, quiescent: true });
    expect(report.examined).toMatchObject({ orders: 12, payments: 9, journal_entries: 6 });
    expect(report.verdicts.map(({ id }) => id)).toEqual(checks.map(({ id }) => id));
  });

  test('are silent after old events have left the log', async () => {
    const sql = `delete from orders.log where time < now() - interval '30 days';
      delete from payments.log where time < now() - interval '30 days'`;
    expect(await violated({ sql })).toEqual([]);
  });

  test.each([...harmless, ...harmlessPets, ...harmlessUsers])(
    'are silent about $name',
    async (plant) => {
      expect(await violated(plant)).toEqual([]);
    },
  );

  test('are judged without witnesses when there are none, and that is told', async () => {
    const { ok, verdicts } = await verifyDatabase({ databaseUrl: books });
    const skipped = verdicts.filter(({ state }) => state === 'skipped').map(({ id }) => id);
    expect(ok).toBe(true);
    expect(skipped).toEqual(checks.filter(({ needs }) => needs).map(({ id }) => id));
  });
});

describe('a planted fault', () => {
  test('exists for every check', () => {
    expect([...new Set(plants.map(({ check }) => check))].toSorted()).toEqual(
      checks.map(({ id }) => id).toSorted(),
    );
  });

  test.each(plants)('$check: $name', async (plant) => {
    const found = await violated(plant);
    const ids = found.map(({ id }) => id);
    expect(ids).toContain(plant.check);
    const unexpected = ids.filter((id) => id !== plant.check && !plant.also?.includes(id));
    expect(unexpected).toEqual([]);
    const verdict = found.find(({ id }) => id === plant.check);
    expect(verdict?.violations).toBe(plant.rows ?? 1);
    expect(verdict?.rows).toHaveLength(plant.rows ?? 1);
  });
});

test('at most so many rows are shown, and all are counted', async () => {
  const sql = "update orders.orders set status = 'PENDING'";
  const { verdicts } = await judgeWith({ sql }, { rowLimit: 2 });
  const verdict = verdicts.find(({ id }) => id === 'order-unsettled');
  expect(verdict).toMatchObject({ state: 'violated', violations: 9 });
  expect(verdict?.rows).toHaveLength(2);
});

test('in the middle of a run only what holds at every moment is judged', async () => {
  const sql = "update payments.payments set state = 'UNKNOWN'";
  const { ok, verdicts } = await judgeWith({ sql }, { kinds: ['safety'] });
  const safety = checks.filter(({ kind }) => kind === 'safety');
  expect(verdicts.map(({ id }) => id)).toEqual(safety.map(({ id }) => id));
  expect(ok).toBe(false);
});

test('payments from wallets are found out where there is no ledger', async () => {
  const databaseUrl = await createTestDatabase();
  await writeCleanBooks(databaseUrl);
  const owner = new pg.Client({ connectionString: databaseUrl });
  await owner.connect();
  await owner.query('drop schema billing cascade');
  await owner.end();
  const { verdicts } = await verifyDatabase({ databaseUrl });
  const violated = verdicts.filter(({ state }) => state === 'violated');
  expect(violated.map(({ id, violations }) => `${id} ${violations}`)).toEqual([
    'wallet-disagrees-with-payment 2',
    'wallet-key-open 2',
  ]);
});

describe('waiting', () => {
  beforeEach(() =>
    client.query(`insert into payments.tasks (id, kind, key)
      values ('01980000-0000-7000-8000-0000000000ff', 'payments.charge', 'x')`),
  );
  afterEach(() => client.query('delete from payments.tasks'));

  test('ends when the work is done', async () => {
    const waiting = verifyDatabase({ databaseUrl: books, waitSeconds: 20 });
    await new Promise((done) => setTimeout(done, 500));
    await client.query('delete from payments.tasks');
    const report = await waiting;
    expect(report).toMatchObject({ ok: true, quiescent: true });
    expect(report.waitedMs).toBeGreaterThan(0);
    expect(report.waitedMs).toBeLessThan(20_000);
  });

  test('ends when its time is over, and tells what is still open', async () => {
    const report = await verifyDatabase({ databaseUrl: books, waitSeconds: 0.3 });
    expect(report).toMatchObject({ ok: false, quiescent: false });
    expect(report.verdicts.filter(({ state }) => state === 'violated')).toMatchObject([
      { id: 'task-open', rows: [{ key: 'x' }] },
    ]);
  });
});

test('a database without Waybill is a mistake, told in a sentence', async () => {
  const empty = await createTestDatabase();
  await expect(verifyDatabase({ databaseUrl: empty })).rejects.toThrow(
    /no orders and no payments: "waybill serve" or "waybill migrate" makes/,
  );
});

test('a server that is not there is an outage, told in a sentence', async () => {
  const databaseUrl = 'postgres://waybill:geheim@127.0.0.1:1/waybill';
  await expect(verifyDatabase({ databaseUrl })).rejects.toThrow(
    /PostgreSQL at 127\.0\.0\.1:1 \(database waybill, user waybill\) cannot be used/,
  );
  await expect(verifyDatabase({ databaseUrl })).rejects.not.toThrow(/geheim/);
});
