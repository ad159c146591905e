/** People at a running Waybill that wants tokens: from the first admin to a forgotten password. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { node, runCommand, waybill as command } from '../support/command.ts';
import { startWaybill, until, type WaybillProcess } from '../support/waybill.ts';

/** What was taken back is refused no later than this (services/gateway/revocations.ts). */
const REFUSED_WITHIN_MS = 5000;
const PASSWORD = 'correct horse battery staple';
const ANOTHER = 'a quite different sentence';

let shop: WaybillProcess;
let inbox = '';
let settings: Record<string, string> = {};
/** What no log may hold. */
const secrets = new Set([PASSWORD, ANOTHER]);

beforeAll(async () => {
  shop = await startWaybill({ env: { AUTH_MODE: 'jwt', RATE_LIMIT: '0', LOG_LEVEL: 'trace' } });
  settings = { DATA_DIR: shop.dataDir, PORT: String(shop.port) };
  const told = () => /its mails are at (\S+)/.exec(shop.output())?.[1];
  await until(() => told() !== undefined);
  inbox = told()!;
});

afterAll(async () => {
  await shop.stop();
  rmSync(shop.dataDir, { recursive: true, force: true });
});

interface Told {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function send(method: string, path: string, body?: object, token?: string): Promise<Told> {
  const reply = await fetch(shop.url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  return { status: reply.status, body: text === '' ? {} : (JSON.parse(text) as Told['body']) };
}

const post = (path: string, body: object, token?: string) =>
  send('POST', `/api/v1/auth/${path}`, body, token);

/** Logs in, and keeps in mind what nobody else may see. */
async function logIn(username: string, password = PASSWORD) {
  const { status, body } = await post('login', { username, password });
  const tokens = body as { accessToken?: string; refreshToken?: string };
  for (const token of [tokens.accessToken, tokens.refreshToken])
    if (token !== undefined) secrets.add(token);
  return { status, access: tokens.accessToken ?? '', refresh: tokens.refreshToken ?? '' };
}

const me = (token: string) => send('GET', '/api/v1/auth/me', undefined, token);

async function refusedSoon(token: string): Promise<void> {
  await until(async () => (await me(token)).status === 401, REFUSED_WITHIN_MS, 100);
}

async function user(...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(['user', ...argv], settings);
  expect(code, stderr).toBe(0);
  return stdout;
}

let people = 0;

async function newUser() {
  const name = `person-${++people}`;
  const email = `${name}@example.com`;
  const body = { username: name, email, phone: '+1 555 0100', password: PASSWORD };
  expect((await post('register', body)).status).toBe(201);
  return { name, email };
}

interface Mail {
  readonly subject: string;
  readonly text: string;
}

/** The token of the last mail with these words that came to the address. */
async function mailedToken(email: string, words: RegExp): Promise<string> {
  const find = async () => {
    const reply = await fetch(`${inbox}/mails?to=${encodeURIComponent(email)}`);
    const { mails } = (await reply.json()) as { mails: Mail[] };
    return mails.find(({ subject }) => words.test(subject));
  };
  await until(async () => (await find()) !== undefined);
  const [, link, token] = /(http\S+)#token=([\w-]+)/.exec((await find())!.text) ?? [];
  expect((await fetch(link!)).status).toBe(200);
  secrets.add(token!);
  return token!;
}

test('the first admin is made at the command line, and is one', async () => {
  const told = await user('create', 'boss', '--role', 'admin');
  const password = /^password: (\S+)$/m.exec(told)?.[1] ?? '';
  secrets.add(password);
  const { status, access } = await logIn('boss', password);
  expect(status).toBe(200);
  expect((await me(access)).body['roles']).toEqual(['admin']);
  const { name } = await newUser();
  expect((await send('GET', `/api/v3/user/${name}`, undefined, access)).status).toBe(200);
  const own = await logIn(name);
  expect((await send('GET', '/api/v3/user/boss', undefined, own.access)).status).toBe(404);
});

test('a customer made there soon has a profile and a wallet', async () => {
  const argv = ['user', 'create', 'carla', '--email', 'carla@example.com', '--password-stdin'];
  const { status, stdout } = spawnSync(node, [command, ...argv], {
    env: { PATH: process.env.PATH, ...settings },
    input: `${PASSWORD}\n`,
    encoding: 'utf8',
  });
  expect([status, stdout.includes(PASSWORD)]).toEqual([0, false]);
  const { access } = await logIn('carla@example.com');
  const sees = async (path: string) => (await send('GET', path, undefined, access)).status;
  await until(async () => (await sees('/api/v1/user/carla')) === 200);
  await until(async () => (await sees('/api/v1/billing/account/balance')) === 200);
});

test('somebody who registers has all of it, and verifies the address by mail', async () => {
  const { name, email } = await newUser();
  const { access } = await logIn(email);
  expect((await send('GET', `/api/v1/user/${name}`, undefined, access)).body).toMatchObject({
    username: name,
    email,
  });
  const balance = await send('GET', '/api/v1/billing/account/balance', undefined, access);
  expect(balance.body).toMatchObject({ username: name, balance: 0 });
  const token = await mailedToken(email, /confirm/i);
  expect((await post('verify-email', { token })).status).toBe(204);
  expect((await me(access)).body).toMatchObject({ username: name, emailVerified: true });
});

test('a forgotten password is set anew by mail, and what was open is closed', async () => {
  const { name, email } = await newUser();
  const { access } = await logIn(name);
  expect((await me(access)).status).toBe(200);
  expect((await post('password-reset', { email })).status).toBe(202);
  const token = await mailedToken(email, /password/i);
  const confirm = { token, password: ANOTHER };
  expect((await post('password-reset/confirm', confirm)).status).toBe(204);
  await refusedSoon(access);
  expect((await logIn(name)).status).toBe(401);
  expect((await logIn(name, ANOTHER)).status).toBe(200);
});

describe('what an admin says at the command line', () => {
  test('holds within seconds: disabled, and let in again', async () => {
    const { name } = await newUser();
    const { access, refresh } = await logIn(name);
    expect((await me(access)).status).toBe(200);
    expect(await user('disable', name)).toContain('is disabled');
    await refusedSoon(access);
    expect((await post('refresh', { refreshToken: refresh })).status).toBe(401);
    expect((await logIn(name)).status).toBe(401);
    await user('enable', name);
    expect((await me((await logIn(name)).access)).status).toBe(200);
  });

  test('holds within seconds: roles, and who has them', async () => {
    const { name } = await newUser();
    const { access, refresh } = await logIn(name);
    const desk = '/api/v1/dead-letters/orders';
    expect((await send('GET', desk, undefined, access)).status).toBe(403);
    await user('grant', name, 'operator');
    expect(await user('list', '--role', 'operator')).toMatch(new RegExp(`^${name} `, 'm'));
    await refusedSoon(access);
    const { body } = await post('refresh', { refreshToken: refresh });
    secrets.add(String(body['accessToken']));
    secrets.add(String(body['refreshToken']));
    const more = String(body['accessToken']);
    expect((await send('GET', desk, undefined, more)).status).toBe(200);
    expect(await user('revoke', name, 'operator')).toContain('with customer.');
    await refusedSoon(more);
  });

  test('is signed with another key from then on, and old tokens stay good', async () => {
    const { name } = await newUser();
    const kidOf = (token: string) =>
      (JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string })
        .kid;
    const before = await logIn(name);
    await user('rotate-keys');
    let after = before;
    await until(async () => {
      after = await logIn(name);
      return kidOf(after.access) !== kidOf(before.access);
    });
    for (const { access } of [before, after]) expect((await me(access)).status).toBe(200);
  });

  test('is refused in a sentence when it makes no sense', async () => {
    const { name } = await newUser();
    for (const [argv, sentence] of [
      [['create', name], `Somebody is called "${name}" already.`],
      [['create', 'a b'], 'A user name has up to 128 letters'],
      [['create', 'zoe', '--email', 'nothing'], 'That is not an e-mail address.'],
      [['create', 'zoe', '--role', 'emperor'], 'There is no role "emperor"'],
      [['create', 'zoe', '--role', 'executor'], 'The role executor and --executor ID go together.'],
      [['grant', 'nobody', 'admin'], 'There is no user "nobody".'],
    ] as const) {
      const { code, stderr } = await runCommand(['user', ...argv], settings);
      expect([code, stderr]).toEqual([1, expect.stringContaining(sentence)]);
    }
  });
});

test('nothing of it stands in the log, however much is logged', async () => {
  const { name, email } = await newUser();
  const query = new URLSearchParams({ username: name, password: PASSWORD }).toString();
  const petstore = await fetch(`${shop.url}/api/v3/user/login?${query}`);
  expect(petstore.status).toBe(200);
  secrets.add((await petstore.json()) as string);
  await post('register', { username: name, email, phone: '1', password: PASSWORD });
  await post('login', { username: name, password: `${PASSWORD} ` });
  const log = shop.output();
  expect(log).toContain('"code":"invalid_credentials"');
  expect(secrets.size).toBeGreaterThan(20);
  for (const secret of [...secrets, encodeURIComponent(PASSWORD), query, email])
    expect(log.includes(secret), secret).toBe(false);
});
