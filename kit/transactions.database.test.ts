/** Transactions: what is run again, what is an outage, and what may not be done inside. */
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createKitDatabase, type KitDatabase } from '../tests/support/kit.ts';
import { until } from '../tests/support/waybill.ts';
import { monotonicMs, sleep } from './clock.ts';
import { openDatabase, refuseInTransaction, type Database, type Tx } from './db.ts';
import { Outage, Refusal } from './errors.ts';

let kit: KitDatabase;
let db: Database;

beforeAll(async () => {
  kit = await createKitDatabase('accounts', [
    'create table balances (name text primary key, amount bigint not null check (amount >= 0))',
  ]);
  db = kit.open({ statementTimeoutMs: 1000 });
});
beforeEach(() => kit.owner(`delete from balances`));

const put = (tx: Tx, name: string, amount = 1) =>
  tx.query('insert into balances values ($1, $2)', [name, amount]);
const names = async () =>
  (await kit.owner<{ name: string }>('select name from balances order by 1')).map((r) => r.name);

const outage = expect.objectContaining({ name: 'Outage', target: 'database' }) as Outage;

describe('a transaction', () => {
  test('happens as a whole or not at all', async () => {
    await db.transaction(async (tx) => {
      await put(tx, 'a');
      await put(tx, 'b');
    });
    const refused = db.transaction(async (tx) => {
      await put(tx, 'c');
      throw new Refusal(409, 'no', 'No.');
    });
    await expect(refused).rejects.toBeInstanceOf(Refusal);
    await expect(db.transaction((tx) => put(tx, 'd', -1))).rejects.toThrow('check constraint');
    expect(await names()).toEqual(['a', 'b']);
    expect(db.load()).toMatchObject({ waiting: 0 });
  });

  test('tells of its commit afterwards, and of nothing when there was none', async () => {
    const told: string[] = [];
    await db.transaction(async (tx) => {
      tx.onCommit(() => told.push('committed'));
      await put(tx, 'a');
      expect(told).toEqual([]);
    });
    const failing = db.transaction(async (tx) => {
      tx.onCommit(() => told.push('never'));
      await put(tx, 'a');
    });
    await expect(failing).rejects.toThrow('duplicate key');
    expect(told).toEqual(['committed']);
  });

  test('that met another in a ring is run again, effects and all', async () => {
    await db.transaction(async (tx) => {
      await put(tx, 'a');
      await put(tx, 'b');
    });
    const raise = 'update balances set amount = amount + 1 where name = $1';
    let runs = 0;
    const both = Promise.withResolvers<void>();
    let here = 0;
    // PostgreSQL looks for a ring after a second.
    const patient = kit.open({ statementTimeoutMs: 10_000 });
    const cross = (first: string, second: string) =>
      patient.transaction(async (tx) => {
        runs++;
        await tx.query(raise, [first]);
        if (++here === 2) both.resolve();
        await both.promise;
        await tx.query(raise, [second]);
      });
    await Promise.all([cross('a', 'b'), cross('b', 'a')]);
    expect(runs).toBeGreaterThan(2);
    expect(await kit.owner('select name, amount from balances order by 1')).toEqual([
      { name: 'a', amount: '3' },
      { name: 'b', amount: '3' },
    ]);
  });

  test('that cannot be serialised is run again, five times at most', async () => {
    let runs = 0;
    const conflict = async (tx: Tx) =>
      tx.query(`do $$ begin raise exception 'conflict' using errcode = '40001'; end $$`);
    const once = db.transaction(async (tx) => {
      if (++runs < 3) await conflict(tx);
      return 'done';
    });
    expect(await once).toBe('done');
    expect(runs).toBe(3);
    runs = 0;
    const never = db.transaction(async (tx) => {
      runs++;
      await conflict(tx);
    });
    await expect(never).rejects.toEqual(outage);
    expect(runs).toBe(5);
  });
});

describe('an outbound call', () => {
  test('is refused while a transaction is open, however deep inside', async () => {
    const call = async () => {
      await sleep(1);
      refuseInTransaction('a neighbour');
    };
    await call();
    await expect(db.transaction(() => call())).rejects.toThrow(
      'accounts calls a neighbour while a transaction is open',
    );
    await call();
  });

  test('is free again after the commit, and in what runs beside it', async () => {
    const gate = Promise.withResolvers<void>();
    const open = db.transaction(() => gate.promise);
    expect(() => refuseInTransaction('a neighbour')).not.toThrow();
    gate.resolve();
    await open;
  });
});

describe('an outage', () => {
  test('is a connection that dies in the middle, and the next one works', async () => {
    const dying = db.transaction(async (tx) => {
      const [row] = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      await put(tx, 'a');
      await kit.owner('select pg_terminate_backend($1)', [row?.pid]);
      await put(tx, 'b');
    });
    await expect(dying).rejects.toEqual(outage);
    await db.transaction((tx) => put(tx, 'c'));
    expect(await names()).toEqual(['c']);
  });

  test('is a connection that dies between two statements', async () => {
    const dying = db.transaction(async (tx) => {
      const [row] = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      await kit.owner('select pg_terminate_backend($1)', [row?.pid]);
      await sleep(100);
    });
    await expect(dying).rejects.toEqual(outage);
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('is a statement that takes too long', async () => {
    const from = monotonicMs();
    await expect(db.query('select pg_sleep(30)')).rejects.toEqual(outage);
    expect(monotonicMs() - from).toBeLessThan(10_000);
  });

  test('is a lock that is not to be had', async () => {
    await db.transaction((tx) => put(tx, 'a'));
    const gate = Promise.withResolvers<void>();
    const holding = db.transaction(async (tx) => {
      await tx.query(`select 1 from balances where name = 'a' for update`);
      await gate.promise;
    });
    await until(async () => (await kit.owner(`select 1 from pg_locks where granted`)).length > 0);
    await sleep(50);
    const waiting = db.query(`update balances set amount = 9 where name = 'a'`);
    await expect(waiting).rejects.toEqual(outage);
    gate.resolve();
    await holding;
  });

  test.each([
    ['port', 'postgres://nobody@127.0.0.1:9/none'],
    ['socket', 'postgres://nobody@localhost/none?host=/nowhere'],
  ])('is a server that is not there, by %s', async (_by, url) => {
    const nowhere = openDatabase({
      url,
      service: 'accounts',
      poolSize: 1,
      onError: () => {},
    });
    await expect(nowhere.query('select 1')).rejects.toEqual(outage);
    await expect(nowhere.transaction((tx) => put(tx, 'a'))).rejects.toEqual(outage);
    await nowhere.close();
  });

  test('is a pool without a free connection, after a while', async () => {
    const small = kit.open({ poolSize: 2 });
    const gate = Promise.withResolvers<void>();
    const holding = [1, 2].map(() => small.transaction(() => gate.promise));
    await sleep(50);
    await expect(small.query('select 1')).rejects.toEqual(outage);
    gate.resolve();
    await Promise.all(holding);
  });

  test('is nothing that the statement itself did wrong', async () => {
    await expect(db.query('select 1 / 0')).rejects.toThrow('division by zero');
    await expect(db.query('select 1 / 0')).rejects.not.toBeInstanceOf(Outage);
    await expect(db.query('select nothing')).rejects.not.toBeInstanceOf(Outage);
  });
});
