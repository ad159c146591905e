/** A process that is killed between sending an e-mail and writing down that it was sent. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startInbox, type Inbox } from '@waybill/sandbox/mail/inbox.ts';
import { createTestDatabase, queryRows } from '../support/database.ts';
import { startWaybill, until, type WaybillProcess } from '../support/waybill.ts';

const SECRET = 'secret of the inbox';
const AT_ONCE = 4;
const MAILS = 12;

let inbox: Inbox;
let env: Record<string, string>;
const started: WaybillProcess[] = [];

beforeAll(async () => {
  inbox = await startInbox({ host: '127.0.0.1', smtpPort: 0, port: 0, secret: SECRET });
  env = {
    DATABASE_URL: await createTestDatabase(),
    DATABASE_ROLE_PREFIX: 'waybill_mail',
    WAYBILL_SECRET: 'a secret of the mail tests',
    SMTP_URL: inbox.smtpUrl,
    MAIL_CONCURRENCY: String(AT_ONCE),
    MAIL_TIMEOUT: '60',
  };
});
afterAll(async () => {
  await Promise.all(started.map((running) => running.kill9()));
  await inbox.close();
});

async function start(): Promise<WaybillProcess> {
  const running = await startWaybill({ names: ['gateway', 'notifications'], env });
  started.push(running);
  return running;
}

async function behave(mode: string): Promise<void> {
  const reply = await fetch(`${inbox.url}/control`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-sandbox-secret': SECRET },
    body: JSON.stringify({ mode }),
  });
  expect(reply.status).toBe(200);
}

/** How often a mail came to each address. */
async function copiesFor(addresses: readonly string[]): Promise<number[]> {
  const reply = await fetch(`${inbox.url}/mails?limit=9999`);
  const { mails } = (await reply.json()) as { mails: { to: string[]; copies: number }[] };
  return addresses.map((address) => {
    const [mail, ...others] = mails.filter(({ to }) => to.includes(address));
    expect(others).toEqual([]);
    return mail?.copies ?? 0;
  });
}

function leave(url: string, email: string): Promise<Response> {
  const body = {
    notificationType: 'SUCCESS',
    parentType: 'ORDER',
    username: 'ada',
    text: 'It is paid.',
    contact: { email },
  };
  return fetch(`${url}/api/v1/notification`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

test('nothing is lost, and what came twice has one Message-ID', async () => {
  const addresses = Array.from({ length: MAILS }, () => `${randomUUID()}@example.com`);
  const first = await start();
  await behave('hang_after_accept');
  for (const address of addresses) expect((await leave(first.url, address)).status).toBe(201);
  // As many as may be under way at once have come, and none of them is answered.
  await until(async () => (await copiesFor(addresses)).filter((n) => n > 0).length === AT_ONCE);
  await first.kill9();
  await behave('up');
  const second = await start();
  await until(async () => {
    const rows = await queryRows<{ state: string }>(
      env['DATABASE_URL'] as string,
      'select state from notifications.sendings',
    );
    return rows.length === MAILS && rows.every(({ state }) => state === 'SENT');
  }, 30_000);
  const once = Array<number>(MAILS - AT_ONCE).fill(1);
  const twice = Array<number>(AT_ONCE).fill(2);
  expect((await copiesFor(addresses)).toSorted((one, other) => one - other)).toEqual([
    ...once,
    ...twice,
  ]);
  for (const { output } of [first, second])
    for (const address of addresses) expect(output()).not.toContain(address);
});
