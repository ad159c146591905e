/** E-mails over real SMTP, to a mail server that misbehaves when it is told to. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startInbox, type Inbox } from '@waybill/sandbox/mail/inbox.ts';
import { queryRows } from '../../tests/support/database.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { notifications } from './index.ts';

const SECRET = 'secret of the inbox';
const service = someone('orders', 'service');
const admin = someone('root', 'admin');

const HASTY = {
  MAIL_FROM: 'Shop <shop@example.com>',
  MAIL_RETRY_DELAY: '0.05',
  MAIL_RETRY_ATTEMPTS: '4',
  MAIL_TIMEOUT: '1',
  CIRCUIT_BREAKER_RECOVERY_TIMEOUT: '0.2',
};

interface Mail {
  readonly from: string;
  readonly to: string[];
  readonly subject: string;
  readonly message_id: string;
  readonly copies: number;
  readonly headers: [string, string][];
  readonly text: string;
  readonly html: string;
}

interface Sending {
  readonly state: string;
  readonly attempts: number;
  readonly waitingFor: string | null;
  readonly log: { outcome: string; detail: string }[];
}

let inbox: Inbox;
let running: Running;

beforeAll(async () => {
  inbox = await startInbox({ host: '127.0.0.1', smtpPort: 0, port: 0, secret: SECRET });
  running = await startServices([notifications], { ...HASTY, SMTP_URL: inbox.smtpUrl });
});
afterAll(() => inbox.close());
afterEach(() => control({ mode: 'up' }));

async function control(change: object): Promise<{ connections: number; received: number }> {
  const reply = await fetch(`${inbox.url}/control`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-sandbox-secret': SECRET },
    body: JSON.stringify(change),
  });
  expect(reply.status).toBe(200);
  return (await reply.json()) as { connections: number; received: number };
}

async function mailsTo(address: string): Promise<Mail[]> {
  const reply = await fetch(`${inbox.url}/mails?limit=9999&to=${encodeURIComponent(address)}`);
  return ((await reply.json()) as { mails: Mail[] }).mails;
}

const newAddress = () => `${randomUUID()}@example.com`;

async function leave(email: string, changes: object = {}): Promise<string> {
  const { status, body } = await running.call('POST', '/internal/notifications', {
    as: service,
    body: {
      dedupe_key: randomUUID(),
      notification_type: 'SUCCESS',
      parent_type: 'ORDER',
      username: 'ada',
      text: 'It is paid.',
      contact: { email },
      ...changes,
    },
  });
  expect(status).toBe(201);
  return String(body['id']);
}

async function sendingOf(id: string): Promise<Sending> {
  const { body } = await running.call('GET', `/api/v1/notification/${id}`, { as: admin });
  return (body as unknown as { sendings: Sending[] }).sendings[0]!;
}

const untilState = (id: string, state: string) =>
  until(async () => (await sendingOf(id)).state === state);

describe('an e-mail', () => {
  test('arrives as its template words it, and can be recognised', async () => {
    const ada = newAddress();
    const link = 'https://shop.example.com/reset?token=abc&x=1';
    const id = await leave(ada, { template: 'reset_password', data: { link } });
    await untilState(id, 'SENT');
    const [mail, ...more] = await mailsTo(ada);
    expect(more).toEqual([]);
    expect(mail).toMatchObject({
      from: 'shop@example.com',
      to: [ada],
      subject: 'Choose a new password',
      message_id: `<${id}@example.com>`,
      copies: 1,
    });
    expect(mail?.text).toContain(link);
    expect(mail?.html).toContain('token=abc&amp;x=1');
    expect(mail?.headers).toContainEqual(['From', 'Shop <shop@example.com>']);
    expect(mail?.headers).toContainEqual(['Auto-Submitted', 'auto-generated']);
    expect(await sendingOf(id)).toMatchObject({ attempts: 1, log: [{ outcome: 'sent' }] });
  });

  test('has no header and no recipient that somebody wrote into its words', async () => {
    const ada = newAddress();
    const evil = 'x\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<a@b>\r\n';
    const id = await leave(ada, {
      template: 'order_paid',
      text: `.\r\n${evil}`,
      data: { number: evil, total: evil, currency: evil },
    });
    await untilState(id, 'SENT');
    const [mail] = await mailsTo(ada);
    expect(mail?.to).toEqual([ada]);
    expect(mail?.headers.map(([name]) => name.toLowerCase())).not.toContain('bcc');
    expect(mail?.subject).toBe('Your order x Bcc: eve@example.com . MAIL FROM:<a@b> is paid');
    expect(mail?.text).toContain('\nBcc: eve@example.com\n');
  });

  test('in any language arrives as it was written', async () => {
    const ada = newAddress();
    const text = 'Grüße 你好 🎉 — '.repeat(300).trim();
    const id = await leave(ada, { text });
    await untilState(id, 'SENT');
    expect((await mailsTo(ada))[0]?.text.trim()).toBe(text);
  });
});

describe('a server that refuses', () => {
  test('for good is believed at once, and its words are kept without the address', async () => {
    await control({ mode: 'reject' });
    const ada = newAddress();
    const id = await leave(ada);
    await untilState(id, 'FAILED');
    const { attempts, log } = await sendingOf(id);
    expect(attempts).toBe(1);
    expect(log).toMatchObject([{ outcome: 'refused' }]);
    expect(log[0]?.detail).toContain('550');
    expect(log[0]?.detail).not.toContain(ada);
    const [row] = await queryRows<{ address: string | null }>(
      running.databaseUrl,
      'select address from notifications.sendings where notification_id = $1',
      [id],
    );
    expect(row?.address).toBeNull();
  });

  test('for now is asked again, and given up in the end', async () => {
    await control({ mode: 'delay' });
    const id = await leave(newAddress());
    await untilState(id, 'FAILED');
    const { attempts, log } = await sendingOf(id);
    expect(attempts).toBe(4);
    expect(log.map(({ outcome }) => outcome)).toEqual(Array(4).fill('delayed'));
  });

  test('some does not keep the others waiting', async () => {
    const good = Array.from({ length: 20 }, newAddress);
    const ids = await Promise.all(
      good.flatMap((address) => [leave('delay@example.com'), leave(address)]),
    );
    for (const id of ids.filter((_, index) => index % 2 === 1)) await untilState(id, 'SENT');
    for (const address of good) expect(await mailsTo(address)).toHaveLength(1);
  });
});

describe('a server that is away', () => {
  test.each(['down', 'reset', 'hang', 'slow'])(
    'costs delay, no mail and no attempt: %s',
    async (mode) => {
      await control({ mode, latency_ms: 5000 });
      const addresses = Array.from({ length: 30 }, newAddress);
      const begin = performance.now();
      const ids = await Promise.all(addresses.map((address) => leave(address)));
      // Whoever leaves a notification is never kept waiting by the mail server.
      expect(performance.now() - begin).toBeLessThan(5000);
      // Whichever was tried first: the breaker lets few more have a try.
      await until(async () =>
        (await Promise.all(ids.map(sendingOf))).some(({ waitingFor }) => waitingFor !== null),
      );
      await new Promise((done) => setTimeout(done, 1500));
      for (const id of ids) expect(await sendingOf(id)).toMatchObject({ state: 'WAITING' });
      await control({ mode: 'up' });
      for (const id of ids) await untilState(id, 'SENT');
      for (const id of ids) expect(await sendingOf(id)).toMatchObject({ attempts: 1 });
      for (const address of addresses)
        expect((await mailsTo(address)).map(({ copies }) => copies)).toEqual([1]);
    },
    30_000,
  );

  test('is left alone by the breaker', async () => {
    await control({ mode: 'down' });
    await Promise.all(Array.from({ length: 10 }, () => leave(newAddress())));
    await new Promise((done) => setTimeout(done, 500));
    const { connections } = await control({ mode: 'reset' });
    await new Promise((done) => setTimeout(done, 2000));
    const later = await control({ mode: 'reset' });
    // One trial, with one repetition of nodemailer's own, after each recovery of 0.2 s.
    expect(later.connections - connections).toBeGreaterThan(0);
    expect(later.connections - connections).toBeLessThan(30);
  });

  test('for longer than the deadline is given up', async () => {
    await control({ mode: 'down' });
    const id = await leave(newAddress());
    await queryRows(
      running.databaseUrl,
      'update notifications.sendings set deadline_at = now() where notification_id = $1',
      [id],
    );
    await untilState(id, 'FAILED');
    expect((await sendingOf(id)).log).toMatchObject([{ outcome: 'expired' }]);
  });
});

describe('a mail that was taken', () => {
  test('and not answered is sent again under the same Message-ID', async () => {
    await control({ mode: 'reset_after_accept' });
    const ada = newAddress();
    const id = await leave(ada);
    await until(async () => (await mailsTo(ada)).length === 1);
    await control({ mode: 'up' });
    await untilState(id, 'SENT');
    const mails = await mailsTo(ada);
    expect(mails).toHaveLength(1);
    expect(mails[0]?.copies).toBeGreaterThanOrEqual(2);
  });
});

test('no address and no word of a mail is in the log of events', async () => {
  const rows = await queryRows<{ row: string }>(
    running.databaseUrl,
    `select l::text as row from notifications.log l
     union all select t::text from notifications.tasks t`,
  );
  expect(rows.map(({ row }) => row).join('\n')).not.toMatch(/example\.com|paid/);
});
