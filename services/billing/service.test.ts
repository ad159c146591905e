/** The billing service through its routes, on PostgreSQL, under its own role. */
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

const admin = someone('root', 'admin');
const payments = someone('payments', 'service');
const ACCOUNT = '/api/v1/billing/account';

let people = 0;

/** Somebody with a wallet, and so much in it. */
async function owner(amount = 0) {
  const who = someone(`person ${people++}`);
  await open(who.subject);
  if (amount > 0) expect((await operate('DEPOSIT', amount, who.subject)).status).toBe(200);
  return who;
}

function open(username: string, as = admin) {
  return running.call('POST', `${ACCOUNT}/new`, { body: { username }, as });
}

function operate(type: string, amount: unknown, username: string, more: CallOptions = {}) {
  const body = { type, amount, account: { username } };
  return running.call('POST', `${ACCOUNT}/operate`, { as: admin, body, ...more });
}

async function balanceOf(username: string) {
  const path = `${ACCOUNT}/balance?username=${encodeURIComponent(username)}`;
  return (await running.call('GET', path)).body['balance'];
}

async function internal(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) {
  const url = `/internal/billing/${path}`;
  const answer = await running.call(method, url, { as: payments, ...(body && { body }) });
  return answer;
}

interface Charge {
  readonly key: string;
  readonly order_id: string;
  readonly username: string;
  readonly amount_minor: number;
  readonly currency: string;
}

function chargeOf(username: string, amountMinor: number, changes: Partial<Charge> = {}): Charge {
  const orderId = newId();
  const key = `${orderId}:charge`;
  const money = { amount_minor: amountMinor, currency: 'USD' };
  return { key, order_id: orderId, username, ...money, ...changes };
}

const charge = async (body: Charge) => (await internal('POST', 'charges', body)).body;
const voided = async (body: Charge) => (await internal('POST', 'charges/void', body)).body;
const found = async ({ key }: Charge) =>
  (await internal('GET', `charges?key=${encodeURIComponent(key)}`)).body;

describe('a charge', () => {
  test('takes the amount from the wallet, and has one answer for ever', async () => {
    const { subject } = await owner(150);
    const body = chargeOf(subject, 1900);
    expect(await found(body)).toEqual({ kind: 'none' });
    const answer = await charge(body);
    expect(answer).toEqual({
      kind: 'captured',
      reference: expect.stringMatching(/^[0-9a-f-]{36}$/),
      amount_minor: 1900,
    });
    expect(await charge(body)).toEqual(answer);
    expect(await found(body)).toEqual(answer);
    expect(await voided(body)).toEqual(answer);
    expect(await balanceOf(subject)).toBe(131);
  });

  test('of too much is declined, also when the money comes later', async () => {
    const { subject } = await owner(131);
    const body = chargeOf(subject, 1_920_000);
    const answer = await charge(body);
    expect(answer).toMatchObject({ kind: 'declined', code: 'insufficient_funds' });
    expect(await balanceOf(subject)).toBe(131);
    await operate('DEPOSIT', 20_000, subject);
    expect(await charge(body)).toEqual(answer);
    expect(await found(body)).toEqual(answer);
    expect(await voided(body)).toEqual({ kind: 'voided' });
    expect(await balanceOf(subject)).toBe(20_131);
  });

  test('of everything leaves nothing', async () => {
    const { subject } = await owner(0.1);
    expect(await charge(chargeOf(subject, 10))).toMatchObject({ kind: 'captured' });
    expect(await balanceOf(subject)).toBe(0);
    expect(await charge(chargeOf(subject, 1))).toMatchObject({ code: 'insufficient_funds' });
  });

  test('of nobody, or of other money, is declined', async () => {
    const { subject } = await owner(10);
    expect(await charge(chargeOf('nobody at all', 1))).toMatchObject({ code: 'account_not_found' });
    expect(await charge(chargeOf(subject, 1, { currency: 'EUR' }))).toMatchObject({
      code: 'currency_mismatch',
    });
  });

  test('of an order that was paid under another key is declined', async () => {
    const { subject } = await owner(10);
    const body = chargeOf(subject, 100);
    await charge(body);
    const other = { ...body, key: `${body.order_id}:again` };
    expect(await charge(other)).toMatchObject({ kind: 'declined', code: 'already_charged' });
    expect(await balanceOf(subject)).toBe(9);
  });

  test('under a key of something else is refused', async () => {
    const { subject } = await owner(10);
    const body = chargeOf(subject, 100);
    await charge(body);
    for (const path of ['charges', 'charges/void']) {
      const answer = await internal('POST', path, { ...body, amount_minor: 101 });
      expect([answer.status, answer.body['code']]).toEqual([409, 'key_reused']);
    }
    expect(await balanceOf(subject)).toBe(9);
  });

  test('is for services alone', async () => {
    const body = chargeOf((await owner(1)).subject, 1);
    for (const as of [admin, someone(body.username), someone('olga', 'operator')]) {
      const answer = await running.call('POST', '/internal/billing/charges', { as, body });
      expect(answer.status).toBe(403);
    }
  });
});

describe('a voided key', () => {
  test('charges nothing from then on', async () => {
    const { subject } = await owner(10);
    const body = chargeOf(subject, 100);
    expect(await voided(body)).toEqual({ kind: 'voided' });
    expect(await charge(body)).toMatchObject({ kind: 'declined', code: 'voided' });
    expect(await found(body)).toMatchObject({ kind: 'declined', code: 'voided' });
    expect(await voided(body)).toEqual({ kind: 'voided' });
    expect(await balanceOf(subject)).toBe(10);
  });
});

describe('a refund', () => {
  const refund = (reference: unknown, amountMinor: number, key = newId(), currency = 'USD') =>
    internal('POST', 'refunds', { key, reference, amount_minor: amountMinor, currency });

  test('pays back, once for each key, and never more than was captured', async () => {
    const { subject } = await owner(10);
    const { reference } = await charge(chargeOf(subject, 600));
    const first = await refund(reference, 200, 'refund-1');
    expect(first.body).toMatchObject({ kind: 'refunded' });
    expect((await refund(reference, 200, 'refund-1')).body).toEqual(first.body);
    expect(await balanceOf(subject)).toBe(6);
    const tooMuch = await refund(reference, 401);
    expect([tooMuch.status, tooMuch.body['code']]).toEqual([409, 'refund_exceeds_capture']);
    expect((await refund(reference, 400)).status).toBe(200);
    expect(await balanceOf(subject)).toBe(10);
    expect((await refund(reference, 1)).body['code']).toBe('refund_exceeds_capture');
  });

  test('of nothing, of other money or under a used key is refused', async () => {
    const { subject } = await owner(10);
    const { reference } = await charge(chargeOf(subject, 600));
    const { reference: other } = await charge(chargeOf(subject, 300));
    const key = newId();
    await refund(reference, 100, key);
    const codes = [
      await refund(newId(), 1),
      await refund(reference, 1, newId(), 'EUR'),
      await refund(reference, 101, key),
      await refund(other, 100, key),
    ].map(({ status, body }) => `${status} ${String(body['code'])}`);
    expect(codes).toEqual([
      '404 charge_not_found',
      '409 currency_mismatch',
      '409 key_reused',
      '409 key_reused',
    ]);
    expect(await balanceOf(subject)).toBe(2);
  });

  test('of one charge, many at once, stays within it', async () => {
    const { subject } = await owner(10);
    const { reference } = await charge(chargeOf(subject, 1000));
    const answers = await Promise.all(Array.from({ length: 20 }, () => refund(reference, 300)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(17);
    expect(await balanceOf(subject)).toBe(9);
  });
});

describe('an account', () => {
  test('is opened once, however often that is asked', async () => {
    const username = `new ${newId()}`;
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => internal('POST', 'accounts', { username })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(7);
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(answers[0]?.body['username']).toBe(username);
    expect(await balanceOf(username)).toBe(0);
  });

  test('is closed while nothing was moved, and then no longer', async () => {
    const { subject } = await owner();
    const path = `accounts/${encodeURIComponent(subject)}`;
    expect((await internal('DELETE', path)).body).toEqual({ closed: true });
    expect((await internal('DELETE', path)).body).toEqual({ closed: false });
    expect(await balanceOf(subject)).toBeUndefined();
    expect((await internal('POST', 'accounts', { username: subject })).status).toBe(201);
    await operate('DEPOSIT', 1, subject);
    const kept = await internal('DELETE', path);
    expect([kept.status, kept.body['code']]).toEqual([409, 'account_in_use']);
    expect(await balanceOf(subject)).toBe(1);
  });

  test('tells that it was opened and closed', async () => {
    const { subject } = await owner();
    await internal('DELETE', `accounts/${encodeURIComponent(subject)}`);
    const events = await queryRows(
      running.databaseUrl,
      `select version, type, data->>'username' as username from billing.log
       where data->>'username' = $1 order by version`,
      [subject],
    );
    expect(events).toEqual([
      { version: 1, type: 'ACCOUNT_OPENED', username: subject },
      { version: 2, type: 'ACCOUNT_CLOSED', username: subject },
    ]);
  });
});
