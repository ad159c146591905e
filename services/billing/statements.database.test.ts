/** Statements of wallets: every operation once, newest first, page by page, at a steady cost. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { billing } from './index.ts';

let running: Running;

beforeAll(async () => {
  running = await startServices([billing]);
});

const ACCOUNT = '/api/v1/billing/account';
const admin = someone('root', 'admin');

let people = 0;

async function owner(amount = 0) {
  const who = someone(`person-${people++}`);
  await running.call('POST', `${ACCOUNT}/new`, { as: admin, body: { username: who.subject } });
  if (amount > 0) await operate('DEPOSIT', amount, who.subject);
  return who;
}

async function operate(type: string, amount: number, username: string, orderId?: string) {
  const body = { type, amount, account: { username }, orderId };
  const { status } = await running.call('POST', `${ACCOUNT}/operate`, { as: admin, body });
  expect(status).toBe(200);
}

describe('a statement', () => {
  interface Statement {
    readonly operations: readonly { id: string; type: string; amount: number }[];
    readonly nextCursor: string | null;
  }

  async function page(username: string, more = '') {
    const path = `${ACCOUNT}/full?username=${username}${more}`;
    const answer = await running.call('GET', path);
    return { ...answer, body: answer.body as unknown as Statement };
  }

  test('has every operation once, newest first, page by page', async () => {
    const ada = await owner(100);
    const orderId = newId();
    await operate('WITHDRAW', 1, ada.subject);
    await operate('PAYMENT', 20, ada.subject, orderId);
    await operate('REFUND', 5, ada.subject, orderId);
    for (let amount = 2; amount <= 4; amount++) await operate('DEPOSIT', amount, ada.subject);
    const whole = await page(ada.subject);
    expect(whole.body).toMatchObject({ username: ada.subject, balance: 93, nextCursor: null });
    const told = whole.body.operations.map(({ type, amount }) => `${type} ${amount}`);
    expect(told).toEqual([
      'DEPOSIT 4',
      'DEPOSIT 3',
      'DEPOSIT 2',
      'REFUND 5',
      'PAYMENT 20',
      'WITHDRAW 1',
      'DEPOSIT 100',
    ]);
    expect(whole.body.operations[4]).toMatchObject({ orderId });
    const pages: unknown[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const next = await page(ada.subject, `&size=3${cursor && `&cursor=${cursor}`}`);
      expect(next.body.operations.length).toBeLessThanOrEqual(3);
      pages.push(...next.body.operations);
      cursor = next.body.nextCursor;
    }
    expect(pages).toEqual(whole.body.operations);
  });

  test("takes no cursor of somebody else's, nor one that was made up", async () => {
    const ada = await owner(1);
    const bob = await owner(1);
    await operate('DEPOSIT', 1, ada.subject);
    const cursor = (await page(ada.subject, '&size=1')).body.nextCursor;
    expect(cursor).not.toBeNull();
    for (const more of [`&cursor=${cursor}`, '&cursor=abc', '&cursor=YQ.YQ'])
      expect((await page(bob.subject, more)).status).toBe(422);
    for (const size of ['0', '101', '-1', 'all'])
      expect((await page(ada.subject, `&size=${size}`)).status).toBe(422);
  });

  test('reads a page of a long one by the index alone', async () => {
    const ada = await owner();
    const [wallet] = await queryRows<{ id: string }>(
      running.databaseUrl,
      'select id from billing.accounts where username = $1',
      [ada.subject],
    );
    await queryRows(
      running.databaseUrl,
      `insert into billing.transfers (id, type, from_account, to_account, amount_minor, currency)
       select gen_random_uuid(), 'DEPOSIT', billing.system_account('outside', 'USD'), $1, 1, 'USD'
       from generate_series(1, 20000)`,
      [wallet?.id],
    );
    await queryRows(running.databaseUrl, 'analyze billing.transfers');
    const plan = await queryRows(
      running.databaseUrl,
      `explain select transfer_id, type, amount_minor, order_id, created_at from billing.entries
       where account_id = '${wallet?.id}' and transfer_id < '${newId()}'
       order by transfer_id desc limit 21`,
    );
    const told = JSON.stringify(plan);
    expect(told).toContain('Merge Append');
    expect(told).not.toMatch(/-> +Sort|Seq Scan/);
  });
});
