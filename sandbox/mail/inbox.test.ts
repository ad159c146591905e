import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { createTransport } from 'nodemailer';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { reasonOf, SECRET } from '../testing.ts';
import { startInbox } from './inbox.ts';
import type { Inbox } from './inbox.ts';

let inbox: Inbox;
const sockets: Socket[] = [];

beforeEach(async () => {
  inbox = await startInbox({ host: '127.0.0.1', smtpPort: 0, port: 0, secret: SECRET });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await inbox.close();
});

interface Mail {
  readonly id: number;
  readonly to: string[];
  readonly subject: string;
  readonly message_id: string;
  readonly copies: number;
  readonly text: string;
  readonly html: string | null;
}

async function ask(path: string, options: RequestInit & { body?: string } = {}) {
  const response = await fetch(inbox.url + path, {
    ...options,
    headers: { 'content-type': 'application/json', ...(options.headers as object) },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

async function mails(query = ''): Promise<Mail[]> {
  return JSON.parse((await ask(`/mails${query}`)).text).mails as Mail[];
}

function control(change: object, secret = SECRET) {
  return ask('/control', {
    method: 'POST',
    body: JSON.stringify(change),
    headers: { 'x-sandbox-secret': secret },
  });
}

const mail = {
  from: 'Shop <shop@example.com>',
  to: 'ada@example.com',
  subject: 'Größe & <b>Preis</b>',
  text: 'First line\n.dot at the start\nhttps://example.com/?a=1&b=2 ends.\n',
  html: '<p>Grüße</p><script>alert(1)</script><a href="https://example.com/">go</a>',
  messageId: '<one@example.com>',
};

async function send(changes: object = {}): Promise<void> {
  const transport = createTransport({ host: '127.0.0.1', port: inbox.smtpPort, ignoreTLS: true });
  try {
    await transport.sendMail({ ...mail, ...changes });
  } finally {
    transport.close();
  }
}

/** Says lines as they are, and gives back what is heard within the time. */
async function converse(lines: readonly string[], waitMs = 100): Promise<string> {
  const socket = connect(inbox.smtpPort, '127.0.0.1');
  sockets.push(socket);
  let heard = '';
  socket.on('data', (data) => (heard += data.toString()));
  socket.on('error', (error: NodeJS.ErrnoException) => (heard += `(${error.code})`));
  socket.on('close', () => (heard += '(closed)'));
  for (const line of lines) {
    socket.write(line);
    await sleep(5);
  }
  await sleep(waitMs);
  return heard;
}

test('a mail is kept, and read as it was meant', async () => {
  await send();
  const [kept] = await mails();
  expect(kept).toMatchObject({
    to: ['ada@example.com'],
    subject: mail.subject,
    message_id: mail.messageId,
    copies: 1,
    html: mail.html,
  });
  expect(kept?.text.trim()).toBe(mail.text.trim());
  expect(await mails('?to=ada@example.com')).toHaveLength(1);
  expect(await mails('?to=eve@example.com')).toHaveLength(0);
});

test('long lines and odd words come out as they went in', async () => {
  const text = 'Grüße, = and 你好 and  two spaces 🎉. '.repeat(60).trim();
  const subject = 'Ein sehr langer Betreff: Größe, 你好, = und _ und 🎉. '.repeat(4).trim();
  const html = `<p title="a = b">${text}</p>`;
  for (const encoding of ['quoted-printable', 'base64'] as const)
    await send({ text, html, subject, encoding, messageId: `<${encoding}@x>` });
  for (const kept of await mails())
    expect([kept.text.trim(), kept.html, kept.subject]).toEqual([text, html, subject]);
});

test('the same Message-ID is one mail that came twice', async () => {
  await send();
  await send();
  await send({ messageId: '<two@example.com>' });
  await send({ to: 'eve@example.com' });
  const kept = await mails();
  expect(kept.map(({ copies }) => copies)).toEqual([1, 1, 2]);
  expect(JSON.parse((await ask('/control')).text)).toMatchObject({ received: 4 });
});

test('pages show it, and nothing of it runs', async () => {
  await send();
  const list = await ask('/');
  expect(list.headers.get('content-type')).toContain('text/html');
  expect(list.text).toContain('Größe &amp; &lt;b&gt;Preis&lt;/b&gt;');
  const page = await ask('/mail/1');
  expect(page.text).toContain('href="https://example.com/?a=1&amp;b=2"');
  expect(page.text).toMatch(/<iframe[^>]*sandbox="allow-popups[^"]*"/);
  for (const { text, headers } of [list, page]) {
    expect(text).not.toContain('<script');
    const policy = headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(policy).not.toContain('script-src');
  }
  const body = await ask('/mail/1/html');
  expect(body.headers.get('content-security-policy')).toMatch(/default-src 'none'.*sandbox /);
  expect(body.headers.get('content-security-policy')).not.toContain('allow-scripts');
  const raw = await ask('/mail/1/raw');
  expect(raw.headers.get('content-type')).toContain('text/plain');
  expect(raw.headers.get('x-content-type-options')).toBe('nosniff');
  for (const path of ['/mail/2', '/mail/x', '/mail/1e0', '/mail/2/html'])
    expect((await ask(path)).status).toBe(404);
});

test('only this machine reads them, under its own name', async () => {
  await send();
  const asked = await new Promise<string>((done) => {
    const socket = connect(inbox.port, '127.0.0.1');
    sockets.push(socket);
    let heard = '';
    socket.on('data', (data) => (heard += data.toString()));
    socket.on('close', () => done(heard));
    socket.write('GET /mails HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n');
  });
  expect(asked).toContain('403');
  expect(asked).not.toContain('ada@example.com');
});

test('changes need the secret', async () => {
  await send();
  expect((await control({ mode: 'down' }, 'guessed')).status).toBe(401);
  expect((await ask('/mails', { method: 'DELETE', body: '{}' })).status).toBe(401);
  expect((await control({ mode: 'sideways' })).status).toBe(422);
  const headers = { 'x-sandbox-secret': SECRET };
  expect((await ask('/mails', { method: 'DELETE', body: '{}', headers })).status).toBe(200);
  expect(await mails()).toEqual([]);
});

test('the oldest make room', async () => {
  const mailOf = (number: number) =>
    `MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nMessage-ID: <${number}@x>\r\n\r\nx\r\n.\r\n`;
  await converse([Array.from({ length: 1005 }, (_, number) => mailOf(number)).join('')]);
  while (JSON.parse((await ask('/control')).text).received < 1005) await sleep(20);
  const { total, mails: shown } = JSON.parse((await ask('/mails')).text);
  expect([total, shown.length, shown[0].message_id]).toEqual([1000, 100, '<1004@x>']);
});

test('what is no mail is refused step by step', async () => {
  const heard = await converse([
    'DATA\r\n',
    'RCPT TO:<a@b>\r\n',
    'MAIL FROM:a@b\r\n',
    'EHLO x\r\n',
    'STARTTLS\r\n',
    'MAIL FROM:<a@b>\r\n',
    'RCPT TO:<>\r\n',
    'RCPT TO:<a@b>\r\n',
    'RSET\r\n',
    'DATA\r\n',
    'QUIT\r\n',
  ]);
  const codes = heard.split('\r\n').flatMap((line) => /^\d{3}(?= )/.exec(line)?.[0] ?? []);
  expect(codes.join(' ')).toBe('220 503 503 501 250 502 250 501 250 250 503 221');
  expect(heard).toContain('(closed)');
  expect(await mails()).toEqual([]);
});

test('lines may come in any pieces, and commands all at once', async () => {
  const text =
    'EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: s\r\n\r\n..\r\n.\r\n';
  await converse([text]);
  await converse(text.split(''));
  const kept = await mails();
  expect(kept.map(({ text: body, subject }) => [subject, body])).toEqual([
    ['s', '.'],
    ['s', '.'],
  ]);
});

test('what is too long or too large is dropped', async () => {
  expect(await converse(['x'.repeat(10_000)])).toContain('(closed)');
  const lines = `${'x'.repeat(998)}\r\n`.repeat(6000);
  const large = `MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n${lines}`;
  expect(await converse([large, '.\r\n'], 500)).toContain('552');
  expect(await mails()).toEqual([]);
});

test.each([
  ['delay', /451/],
  ['reject', /550/],
  ['reset', /ECONNRESET|closed|socket/i],
  ['reset_after_accept', /ECONNRESET|closed/i],
  ['down', /ECONNREFUSED/],
])('it misbehaves on purpose: %s, and then no more', async (mode, message) => {
  await control({ mode });
  await expect(send()).rejects.toThrow(message);
  expect(await mails()).toHaveLength(mode === 'reset_after_accept' ? 1 : 0);
  await control({ mode: 'up' });
  await send();
  expect(await mails()).toHaveLength(1);
});

test('it hangs on purpose, at the start or once it has the mail', async () => {
  await control({ mode: 'hang' });
  expect(await converse(['EHLO x\r\n'])).toBe('');
  await control({ mode: 'hang_after_accept' });
  const text = 'EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: s\r\n\r\nx\r\n.\r\n';
  expect((await converse([text])).trim().split('\r\n').at(-1)).toMatch(/^354/);
  expect(await mails()).toHaveLength(1);
});

test('two recipients are always refused', async () => {
  await expect(send({ to: 'reject@example.com' })).rejects.toThrow(/550/);
  await expect(send({ to: 'delay@example.com' })).rejects.toThrow(/451/);
});

test('it ends, whoever is connected', async () => {
  await converse(['EHLO x\r\n']);
  await inbox.close();
  expect(await reasonOf(fetch(inbox.url))).toBe('ECONNREFUSED');
});
