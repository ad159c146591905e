/** Wallets through the routes of their owners: who may what, amounts, keys, statements. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  someone,
  startServices,
  type CallOptions,
  type Running,
} from '../../tests/support/service.ts';
import { billing } from './index.ts';

let running: Running;

beforeAll(async () => {
  running = await startServices([billing]);
});

const ACCOUNT = '/api/v1/billing/account';
const admin = someone('root', 'admin');
const olga = someone('olga', 'operator');
const orders = someone('orders', 'service');

let people = 0;

async function owner(amount = 0) {
  const who = someone(`person-${people++}`);
  const opened = await open(who.subject);
  expect(opened.status).toBe(201);
  if (amount > 0) expect((await operate('DEPOSIT', amount, who.subject)).status).toBe(200);
  return who;
}

function open(username: string, more: CallOptions = {}) {
  return running.call('POST', `${ACCOUNT}/new`, { as: admin, body: { username }, ...more });
}

function operate(type: string, amount: unknown, username: string, more: CallOptions = {}) {
  return send({ type, amount, account: { username } }, more);
}

function send(body: object, more: CallOptions = {}) {
  return running.call('POST', `${ACCOUNT}/operate`, { as: admin, body, ...more });
}

function pay(username: string, amount: number, orderId: string, type = 'PAYMENT') {
  return send({ type, amount, account: { username }, orderId });
}

async function balanceOf(username: string) {
  return (await running.call('GET', `${ACCOUNT}/balance?username=${username}`)).body['balance'];
}

const said = ({ status, body }: { status: number; body: Record<string, unknown> }) =>
  `${status} ${String(body['code'])}`;

describe('an owner', () => {
  test('deposits, withdraws and sees what is there', async () => {
    const ada = await owner();
    const put = await operate('DEPOSIT', 150, ada.subject, { as: ada });
    expect(put.status).toBe(200);
    expect(put.body).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      createdAt: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/),
      type: 'DEPOSIT',
      amount: 150,
      orderId: null,
    });
    expect((await operate('WITHDRAW', 19.5, ada.subject, { as: ada })).status).toBe(200);
    const { status, body } = await running.call('GET', `${ACCOUNT}/balance`, { as: ada });
    expect(status).toBe(200);
    expect(body).toEqual({ id: expect.any(String), username: ada.subject, balance: 130.5 });
  });

  test('cannot take more than there is, nor pay or refund by hand', async () => {
    const ada = await owner(10);
    const own = { as: ada };
    expect(said(await operate('WITHDRAW', 10.01, ada.subject, own))).toBe('400 insufficient_funds');
    expect(said(await operate('PAYMENT', 1, ada.subject, own))).toBe('403 forbidden');
    expect(said(await operate('REFUND', 1, ada.subject, own))).toBe('403 forbidden');
    expect(await balanceOf(ada.subject)).toBe(10);
    expect((await operate('WITHDRAW', 10, ada.subject, own)).status).toBe(200);
    expect(await balanceOf(ada.subject)).toBe(0);
  });

  test("reaches nobody else's account, whether it is there or not", async () => {
    const ada = await owner(10);
    const bob = await owner(10);
    for (const username of [bob.subject, 'nobody-at-all']) {
      for (const type of ['DEPOSIT', 'WITHDRAW'])
        expect(said(await operate(type, 1, username, { as: ada }))).toBe('403 foreign_account');
      for (const view of ['balance', 'full']) {
        const path = `${ACCOUNT}/${view}?username=${username}`;
        expect(said(await running.call('GET', path, { as: ada }))).toBe('403 foreign_account');
      }
    }
    expect(await balanceOf(bob.subject)).toBe(10);
  });

  test('without an account is told so', async () => {
    const ghost = someone('ghost');
    expect(said(await operate('DEPOSIT', 1, 'ghost', { as: ghost }))).toBe('404 account_not_found');
    const seen = await running.call('GET', `${ACCOUNT}/balance`, { as: ghost });
    expect(said(seen)).toBe('404 account_not_found');
  });

  test('is the same person in every spelling of the name', async () => {
    const name = `Jos\u00e9-${newId()}`;
    await open(name.normalize('NFD'));
    expect(said(await open(name))).toBe('409 account_exists');
    const jose = someone(name);
    expect((await operate('DEPOSIT', 1, name.normalize('NFD'), { as: jose })).status).toBe(200);
    const { body } = await running.call('GET', `${ACCOUNT}/balance`, { as: jose });
    expect(body).toMatchObject({ username: name, balance: 1 });
  });
});

describe('staff', () => {
  test('of the desk look, and move nothing', async () => {
    const ada = await owner(10);
    for (const type of ['DEPOSIT', 'WITHDRAW', 'PAYMENT', 'REFUND'])
      expect(said(await operate(type, 1, ada.subject, { as: olga }))).toBe('403 forbidden');
    expect(said(await open('somebody-new', { as: olga }))).toBe('403 forbidden');
    expect(await balanceOf(ada.subject)).toBe(10);
  });

  test.each([admin, orders])('$roles pay and refund for others', async (as) => {
    const ada = await owner(10);
    expect((await operate('PAYMENT', 4, ada.subject, { as })).status).toBe(200);
    expect(await balanceOf(ada.subject)).toBe(6);
    expect((await operate('REFUND', 3, ada.subject, { as })).status).toBe(200);
    expect(said(await operate('REFUND', 1.01, ada.subject, { as }))).toBe(
      '409 refund_exceeds_capture',
    );
    expect(await balanceOf(ada.subject)).toBe(9);
  });

  test('nobody else opens accounts, and none is opened twice', async () => {
    const name = `new-${newId()}`;
    expect(said(await open(name, { as: someone(name) }))).toBe('403 forbidden');
    expect(said(await open(name, { as: null }))).toBe('401 unauthenticated');
    const { status, body, headers } = await open(name, { as: orders });
    expect(status).toBe(201);
    expect(body).toEqual({ id: expect.any(String), username: name, balance: 0 });
    expect(headers['location']).toBe(`${ACCOUNT}/balance?username=${name}`);
    expect(said(await open(name))).toBe('409 account_exists');
  });
});

describe('an order', () => {
  test('is paid once, and refunded at most what it paid', async () => {
    const ada = await owner(50);
    const orderId = newId();
    const paid = await pay(ada.subject, 20, orderId);
    expect(paid.body).toMatchObject({ type: 'PAYMENT', amount: 20, orderId });
    expect(said(await pay(ada.subject, 20, orderId))).toBe('409 already_charged');
    expect((await pay(ada.subject, 15, orderId, 'REFUND')).status).toBe(200);
    expect(said(await pay(ada.subject, 5.01, orderId, 'REFUND'))).toBe(
      '409 refund_exceeds_capture',
    );
    expect((await pay(ada.subject, 5, orderId, 'REFUND')).status).toBe(200);
    expect(said(await pay(ada.subject, 20, orderId))).toBe('409 already_charged');
    expect(await balanceOf(ada.subject)).toBe(50);
  });

  test('that was not paid from the wallet is not refunded to it', async () => {
    const ada = await owner(50);
    const bob = await owner(50);
    const orderId = newId();
    await pay(ada.subject, 20, orderId);
    expect(said(await pay(bob.subject, 20, orderId, 'REFUND'))).toBe('409 order_not_paid');
    expect(said(await pay(ada.subject, 1, newId(), 'REFUND'))).toBe('409 order_not_paid');
    // What an order paid is refunded for the order alone: otherwise it could go back twice.
    expect(said(await operate('REFUND', 1, ada.subject))).toBe('409 refund_exceeds_capture');
    expect([await balanceOf(ada.subject), await balanceOf(bob.subject)]).toEqual([30, 50]);
  });

  test('that cannot be paid leaves nothing behind', async () => {
    const ada = await owner(5);
    const orderId = newId();
    expect(said(await pay(ada.subject, 6, orderId))).toBe('400 insufficient_funds');
    expect(said(await pay('nobody-at-all', 6, orderId))).toBe('404 account_not_found');
    const left = 'select 1 from billing.charges where order_id = $1';
    expect(await queryRows(running.databaseUrl, left, [orderId])).toEqual([]);
    expect((await pay(ada.subject, 5, orderId)).status).toBe(200);
  });

  test('paid by hand is not charged by payments, nor the other way round', async () => {
    const ada = await owner(50);
    const orderId = newId();
    await pay(ada.subject, 20, orderId);
    const money = { username: ada.subject, amount_minor: 2000, currency: 'USD' };
    const body = { key: `${orderId}:charge`, order_id: orderId, ...money };
    const charged = await running.call('POST', '/internal/billing/charges', { as: orders, body });
    expect(charged.body).toMatchObject({ kind: 'declined', code: 'already_charged' });
    const next = newId();
    const other = { ...body, key: `${next}:charge`, order_id: next };
    await running.call('POST', '/internal/billing/charges', { as: orders, body: other });
    expect(said(await pay(ada.subject, 20, next))).toBe('409 already_charged');
    expect(await balanceOf(ada.subject)).toBe(10);
  });
});

describe('a request', () => {
  test.each([
    [{ amount: 0 }, '400 invalid_amount'],
    [{ amount: -1 }, '400 invalid_amount'],
    [{ amount: 0.001 }, '422 invalid_body'],
    [{ amount: '1' }, '422 invalid_body'],
    [{ amount: 9_000_000_000_000.5 }, '422 invalid_body'],
    [{ type: 'GIFT' }, '422 invalid_body'],
    [{ type: 'deposit' }, '422 invalid_body'],
    [{ account: { username: '' } }, '422 invalid_body'],
    [{ account: {} }, '422 invalid_body'],
    [{ account: { username: 'a', id: '1' } }, '422 invalid_body'],
    [{ balance: 1_000_000 }, '422 invalid_body'],
    [{ orderId: '' }, '422 invalid_body'],
    [{ account: { username: 'nobody-at-all' } }, '404 account_not_found'],
  ])('with %j is refused as %s', async (changes, expected) => {
    const ada = await owner(1);
    const body = { type: 'DEPOSIT', amount: 1, account: { username: ada.subject }, ...changes };
    expect(said(await send(body))).toBe(expected);
    expect(await balanceOf(ada.subject)).toBe(1);
  });

  test('may say that there is no order', async () => {
    const ada = await owner();
    const body = { type: 'DEPOSIT', amount: 1, account: { username: ada.subject }, orderId: null };
    expect((await send(body)).body).toMatchObject({ orderId: null });
  });

  test('makes no balance that a number could not hold', async () => {
    const ada = await owner(9_000_000_000_000);
    expect(said(await operate('DEPOSIT', 0.01, ada.subject))).toBe('409 balance_too_large');
    expect(await balanceOf(ada.subject)).toBe(9_000_000_000_000);
  });
});

describe('an idempotency key', () => {
  const keyed = (key: string) => ({ headers: { 'idempotency-key': key } });

  test('moves money once, and gives the same bytes again', async () => {
    const ada = await owner();
    const key = newId();
    const first = await operate('DEPOSIT', 5, ada.subject, keyed(key));
    const again = await operate('DEPOSIT', 5, ada.subject, keyed(key));
    expect(again.body).toEqual(first.body);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    expect(said(await operate('DEPOSIT', 6, ada.subject, keyed(key)))).toBe(
      '422 idempotency_key_reused',
    );
    expect(await balanceOf(ada.subject)).toBe(5);
  });

  test('is the same under both paths', async () => {
    const ada = await owner();
    const key = newId();
    const body = { type: 'DEPOSIT', amount: 5, account: { username: ada.subject } };
    const call = (path: string) => running.call('POST', path, { as: ada, body, ...keyed(key) });
    const first = await call('/billing/account/operate');
    expect((await call(`${ACCOUNT}/operate`)).body).toEqual(first.body);
    expect(await balanceOf(ada.subject)).toBe(5);
  });

  test('used a hundred times at once moves money once', async () => {
    const ada = await owner(100);
    const key = newId();
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => operate('WITHDRAW', 60, ada.subject, keyed(key))),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(await balanceOf(ada.subject)).toBe(40);
  });

  test('keeps no refusal', async () => {
    const ada = await owner();
    const key = newId();
    const take = () => operate('WITHDRAW', 5, ada.subject, keyed(key));
    expect(said(await take())).toBe('400 insufficient_funds');
    await operate('DEPOSIT', 5, ada.subject);
    expect((await take()).status).toBe(200);
  });

  test('opens an account once', async () => {
    const key = newId();
    const name = `new-${newId()}`;
    const first = await open(name, keyed(key));
    const again = await open(name, keyed(key));
    expect([again.status, again.body]).toEqual([201, first.body]);
  });
});

describe('settings', () => {
  test('with a real provider nobody fills their own wallet', async () => {
    const strict = await startServices([billing], {
      DATABASE_URL: running.databaseUrl,
      PAYMENT_PROVIDER: 'stripe',
    });
    const ada = await owner(5);
    const body = { type: 'DEPOSIT', amount: 1, account: { username: ada.subject } };
    const refused = await strict.call('POST', `${ACCOUNT}/operate`, { as: ada, body });
    expect(said(refused)).toBe('403 deposit_not_allowed');
    const taken = await strict.call('POST', `${ACCOUNT}/operate`, {
      as: ada,
      body: { ...body, type: 'WITHDRAW' },
    });
    expect(taken.status).toBe(200);
    const booked = await strict.call('POST', `${ACCOUNT}/operate`, { as: admin, body });
    expect(booked.status).toBe(200);
    await strict.stop();
  });

  test('in another currency old wallets stay what they are', async () => {
    const yen = await startServices([billing], {
      DATABASE_URL: running.databaseUrl,
      DEFAULT_CURRENCY: 'JPY',
    });
    const ada = await owner(5.25);
    const body = { type: 'WITHDRAW', amount: 1, account: { username: ada.subject } };
    const refused = await yen.call('POST', `${ACCOUNT}/operate`, { as: ada, body });
    expect(said(refused)).toBe('409 currency_mismatch');
    const seen = await yen.call('GET', `${ACCOUNT}/balance`, { as: ada });
    expect(seen.body['balance']).toBe(5.25);
    await yen.stop();
  });
});
