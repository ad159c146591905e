/** What the database itself guarantees of the ledger, whoever asks it and however many at once. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import pg from 'pg';
import { openDatabase, type Database } from '@waybill/kit/db.ts';
import { newId } from '@waybill/kit/ids.ts';
import { rolePassword } from '@waybill/kit/migrate.ts';
import { queryRows } from '../../tests/support/database.ts';
import { SECRET, someone, startServices, type Running } from '../../tests/support/service.ts';
import type { ChargeRequest } from './contract.ts';
import { billing } from './index.ts';
import { chargeWallet, postOperation, refundCharge, voidCharge, type Operation } from './store.ts';

let running: Running;
let one: Database;
let two: Database;
const admin = someone('root', 'admin');

beforeAll(async () => {
  running = await startServices([billing]);
  [one, two] = [connect(), connect()];
});

afterAll(() => Promise.all([one.close(), two.close()]));

const ROLE = 'waybill_test_billing';

/** A pool of the service's own role, as every process has one. */
function connect(): Database {
  return openDatabase({
    url: running.databaseUrl,
    service: 'billing',
    role: ROLE,
    password: rolePassword(SECRET, ROLE),
    poolSize: 8,
    onError: () => {},
  });
}

let people = 0;

async function wallet(amount = 0): Promise<string> {
  const username = `person-${people++}`;
  const account = { as: admin, body: { username } };
  await running.call('POST', '/api/v1/billing/account/new', account);
  if (amount > 0) expect(await operate('DEPOSIT', username, BigInt(amount))).toBe('posted');
  return username;
}

async function operate(
  type: Operation['type'],
  username: string,
  amountMinor: bigint,
  db = one,
): Promise<string> {
  const operation = { id: newId(), type, username, amountMinor, currency: 'USD', orderId: null };
  return db.transaction(async (tx) => (await postOperation(tx, operation)).outcome);
}

function requestOf(username: string, amountMinor: number): ChargeRequest {
  const orderId = newId();
  const money = { amount_minor: amountMinor, currency: 'USD' };
  return { key: `${orderId}:charge`, order_id: orderId, username, ...money };
}

interface Books {
  readonly balance: string;
  readonly entries: string;
}

/** What the wallet's row says, and what its entries add up to. */
async function booksOf(username: string): Promise<[balance: number, entries: number]> {
  const [row] = await queryRows<Books>(
    running.databaseUrl,
    `select a.balance_minor as balance, coalesce(sum(e.change_minor), 0) as entries
     from billing.accounts a left join billing.entries e on e.account_id = a.id
     where a.username = $1 group by a.id`,
    [username],
  );
  return [Number(row?.balance), Number(row?.entries)];
}

async function refused(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error: { code?: string }) => String(error.code),
  );
}

const DENIED = '42501';

describe("the service's own role", () => {
  test.each([
    `insert into transfers (id, type, from_account, to_account, amount_minor, currency)
     values (gen_random_uuid(), 'DEPOSIT', gen_random_uuid(), gen_random_uuid(), 1, 'USD')`,
    'update transfers set amount_minor = 1',
    'delete from transfers',
    'truncate transfers',
    `insert into accounts (id, kind, username, currency, balance_minor)
     values (gen_random_uuid(), 'wallet', 'thief', 'USD', 100)`,
    'update accounts set balance_minor = 100',
    'delete from accounts',
    `insert into charges (key, order_id, username, amount_minor, currency, state)
     values ('a', 'b', 'c', 1, 'USD', 'voided')`,
    'update charges set refunded_minor = 0',
    'delete from charges',
    'alter table transfers disable trigger all',
    'drop trigger transfers_stay on transfers',
    'drop function refuse_change() cascade',
  ])('may not %s', async (statement) => {
    expect(await refused(one.queryOnce(statement))).toBe(DENIED);
  });

  test('cannot put tables of its own in front of the ledger', async () => {
    const username = await wallet(100);
    const client = new pg.Client({
      connectionString: running.databaseUrl,
      user: ROLE,
      password: rolePassword(SECRET, ROLE),
      options: '-c search_path=pg_temp,billing',
    });
    await client.connect();
    try {
      await client.query('create temp table accounts (like billing.accounts including defaults)');
      await client.query(
        `insert into pg_temp.accounts (id, kind, username, currency, balance_minor)
         values (gen_random_uuid(), 'wallet', $1, 'USD', 999999)`,
        [username],
      );
      const { rows } = await client.query(
        `select outcome from billing.operate('WITHDRAW', $1, 101, 'USD', null, gen_random_uuid())`,
        [username],
      );
      expect(rows).toEqual([{ outcome: 'insufficient_funds' }]);
    } finally {
      await client.end();
    }
  });

  test('keeps no more after the tables were brought up to date once more', async () => {
    const again = await startServices([billing], { DATABASE_URL: running.databaseUrl });
    await again.stop();
    expect(await refused(one.queryOnce('delete from transfers'))).toBe(DENIED);
  });
});

describe('not even the owner', () => {
  test.each([
    ['update billing.transfers set amount_minor = amount_minor + 1', '23001'],
    ['delete from billing.transfers', '23001'],
    ['truncate billing.transfers', '23001'],
    ['delete from billing.charges', '23001'],
    ['truncate billing.charges', '23001'],
    [
      "update billing.charges set amount_minor = amount_minor + 1 where state = 'captured'",
      '23001',
    ],
    ["update billing.charges set state = 'voided', transfer_id = null", '23001'],
    [
      `update billing.charges set state = 'captured', transfer_id = gen_random_uuid()
       where state = 'voided'`,
      '23001',
    ],
    ['update billing.charges set refunded_minor = amount_minor + 1', '23514'],
    ['update billing.accounts set balance_minor = -1', '23514'],
    ['update billing.accounts set balance_minor = null', '23514'],
  ])('does %s', async (statement, code) => {
    const username = await wallet(10);
    await chargeWallet(one, requestOf(username, 1), newId());
    await voidCharge(one, requestOf(username, 1));
    expect(await refused(queryRows(running.databaseUrl, statement))).toBe(code);
  });
});

describe('a charge and a void of one key at once', () => {
  test('have one winner, and both are told which', async () => {
    const username = await wallet(100_000);
    const races = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const request = requestOf(username, 10);
        const charging = () => chargeWallet(one, request, newId());
        const voiding = () => voidCharge(two, request);
        // Whoever is asked first gets there first more often; each of them half of the times.
        const both = index % 2 === 0 ? [charging(), voiding()] : [voiding(), charging()];
        const [first, second] = await Promise.all(both);
        expect(first?.state).toBe(second?.state);
        expect(first?.transfer_id).toBe(second?.transfer_id);
        return first?.state;
      }),
    );
    const captured = races.filter((state) => state === 'captured').length;
    expect(new Set(races)).toEqual(new Set(['captured', 'voided']));
    expect(await booksOf(username)).toEqual([100_000 - 10 * captured, 100_000 - 10 * captured]);
  });
});

describe('a wallet that many take from at once', () => {
  test('is never taken below zero, and no key is charged twice', async () => {
    const username = await wallet(1000);
    const requests = Array.from({ length: 60 }, () => requestOf(username, 70));
    const answers = await Promise.all(
      requests.flatMap((request) => [
        chargeWallet(one, request, newId()),
        chargeWallet(two, request, newId()),
      ]),
    );
    const captured = new Set(
      answers.filter(({ state }) => state === 'captured').map(({ transfer_id }) => transfer_id),
    );
    expect(captured.size).toBe(14);
    for (let index = 0; index < answers.length; index += 2)
      expect(answers[index]).toEqual(answers[index + 1]);
    expect(await booksOf(username)).toEqual([20, 20]);
  });

  test('is charged once for an order, under however many keys', async () => {
    const username = await wallet(1000);
    const request = requestOf(username, 10);
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        chargeWallet(index % 2 === 0 ? one : two, { ...request, key: `key ${newId()}` }, newId()),
      ),
    );
    expect(answers.filter(({ state }) => state === 'captured')).toHaveLength(1);
    expect(answers.filter(({ decline_code: code }) => code === 'already_charged')).toHaveLength(39);
    expect(await booksOf(username)).toEqual([990, 990]);
  });

  test('gets every refund once, and never more than was captured', async () => {
    const username = await wallet(1000);
    const { transfer_id: reference } = await chargeWallet(one, requestOf(username, 100), newId());
    const refunds = Array.from({ length: 40 }, (_, index) => ({
      key: `refund ${username} ${index % 20}`,
      reference: String(reference),
      amount_minor: 30,
      currency: 'USD',
    }));
    const answers = await Promise.all(
      refunds.map((request, index) => refundCharge(index % 2 === 0 ? one : two, request, newId())),
    );
    const done = answers.filter(({ outcome }) => outcome === 'refunded');
    expect(new Set(done.map((answer) => answer.reference)).size).toBe(3);
    expect(await booksOf(username)).toEqual([990, 990]);
  });

  test('holds up nobody else, though all of them pay the same shop', async () => {
    const [slow, quick] = [await wallet(100), await wallet(100)];
    const answer = await one.transaction(async (tx) => {
      await chargeWallet(tx, requestOf(slow, 1), newId());
      const late = new Promise<string>((done) => setTimeout(done, 2000, 'waited'));
      return Promise.race([
        chargeWallet(two, requestOf(quick, 1), newId()).then(({ state }) => state),
        late,
      ]);
    });
    expect(answer).toBe('captured');
  });
});

describe('a transfer that is cut off', () => {
  test('happened wholly or not at all', async () => {
    const usernames = await Promise.all(Array.from({ length: 5 }, () => wallet(1_000_000)));
    let going = true;
    let cut = 0;
    const cutting = (async () => {
      while (going) {
        const rows = await queryRows<{ cut: boolean }>(
          running.databaseUrl,
          `select pg_terminate_backend(pid) as cut from pg_stat_activity
           where usename = '${ROLE}' and datname = current_database() and state <> 'idle'
           order by random() limit 2`,
        );
        cut += rows.length;
      }
    })();
    const types = ['DEPOSIT', 'WITHDRAW', 'PAYMENT'] as const;
    const outcomes = await Promise.all(
      Array.from({ length: 1500 }, (_, index) =>
        operate(
          types[index % 3] ?? 'DEPOSIT',
          String(usernames[index % 5]),
          7n,
          index % 2 === 0 ? one : two,
        ).catch(() => 'cut'),
      ),
    );
    going = false;
    await cutting;
    expect(cut).toBeGreaterThan(0);
    expect(outcomes).toContain('cut');
    expect(outcomes).toContain('posted');
    for (const username of usernames) {
      const [balance, entries] = await booksOf(username);
      expect(balance).toBe(entries);
    }
    const total = 'select sum(change_minor)::integer as total from billing.entries';
    expect(await queryRows(running.databaseUrl, total)).toEqual([{ total: 0 }]);
  });
});
