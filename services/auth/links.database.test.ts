/** Mailed links, news of profiles, and what gateways are told. */
import { decodeJwt } from 'jose';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { openNeighbours } from '../../tests/support/neighbours.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { auth } from './index.ts';

let running: Running;
const neighbours = openNeighbours();
const PASSWORD = 'correct horse battery staple';
const ANOTHER = 'another one, quite as long';

beforeAll(async () => {
  running = await startServices([auth, ...neighbours.services], {
    PUBLIC_URL: 'https://shop.example/base/',
  });
});

let people = 0;
let name = '';
let email = '';
let tokens: { accessToken: string; refreshToken: string };

beforeEach(async () => {
  name = `reader-${++people}`;
  email = `${name}@example.com`;
  const body = { username: name, email, phone: '+1 555 0100', password: PASSWORD, login: true };
  tokens = (await post('register', body)).body as never;
});

function rows<Row = Record<string, unknown>>(text: string, values: unknown[] = []) {
  return queryRows<Row>(running.databaseUrl, text, values);
}

function post(path: string, body: unknown, as: string | null = null, sessionId?: string) {
  const session = sessionId === undefined ? {} : { sessionId };
  const identity = as === null ? null : { ...someone(as), ...session };
  return running.call('POST', `/api/v1/auth/${path}`, { as: identity, body });
}

const login = async (password: string, word = name) =>
  (await post('login', { username: word, password })).status;
const refresh = async (refreshToken: string) => (await post('refresh', { refreshToken })).status;
const me = () => running.call('GET', '/api/v1/auth/me', { as: someone(name) });
const sessionId = () => String(decodeJwt(tokens.accessToken)['sid']);

/** The token of the last mail of a kind to the person. */
async function mailed(template: string, count = 1): Promise<string> {
  const ours = () => neighbours.mails.filter((m) => m.username === name && m.template === template);
  await until(() => ours().length === count);
  const { data, contact } = ours().at(-1)!;
  expect(contact.email).toBe(email);
  const [link, token] = data.link.split('#token=');
  const path = template === 'verify_email' ? 'verify' : 'reset';
  expect(link).toBe(`https://shop.example/base/account/${path}`);
  return token!;
}

async function revoked(): Promise<Record<string, string>[]> {
  const path = '/internal/auth/revocations';
  const { body } = await running.call('GET', path, { as: someone('gateway', 'service') });
  return body['revocations'] as never;
}

describe('an e-mail address', () => {
  test('is verified by the link that is mailed, once', async () => {
    const token = await mailed('verify_email');
    expect((await me()).body['emailVerified']).toBe(false);
    expect((await post('verify-email', { token })).status).toBe(204);
    expect((await me()).body['emailVerified']).toBe(true);
    const again = await post('verify-email', { token });
    expect([again.status, again.body['code']]).toEqual([400, 'invalid_link']);
    expect((await post('password-reset/confirm', { token, password: ANOTHER })).status).toBe(400);
    expect((await post('verify-email/resend', undefined, name)).status).toBe(202);
    expect(await rows(`select from auth.tasks where kind = 'mail_link'`)).toEqual([]);
  });

  test('is mailed another link when it is asked for', async () => {
    const first = await mailed('verify_email');
    expect((await post('verify-email/resend', undefined, name)).status).toBe(202);
    const second = await mailed('verify_email', 2);
    expect(second).not.toBe(first);
    expect((await post('verify-email', { token: first })).status).toBe(204);
  });

  test('waits for the notification service, and is mailed one link', async () => {
    await mailed('verify_email');
    neighbours.mood.notifications = 'after';
    expect((await post('verify-email/resend', undefined, name)).status).toBe(202);
    await until(() => neighbours.mails.filter((m) => m.username === name).length > 2);
    neighbours.mood.notifications = 'well';
    await until(
      async () => (await rows(`select from auth.tasks where kind = 'mail_link'`)).length === 0,
    );
    const links = neighbours.mails.filter((m) => m.username === name).slice(1);
    expect(new Set(links.map((m) => m.dedupe_key)).size).toBe(1);
    expect(new Set(links.map((m) => m.data.link)).size).toBe(1);
  });

  test('follows the profile, and is to be verified anew', async () => {
    const token = await mailed('verify_email');
    email = `new-${name}@example.com`;
    neighbours.contacts.set(name, { email });
    await neighbours.tell(name, 1, 'PROFILE_UPDATED', ['phone', 'email']);
    await until(async () => (await me()).body['email'] === email);
    expect((await post('verify-email', { token })).status).toBe(400);
    const other = await mailed('verify_email', 2);
    expect((await post('verify-email', { token: other })).status).toBe(204);
    expect(await login(PASSWORD, email)).toBe(200);
  });

  test('of somebody else is not taken over from a profile', async () => {
    const theirs = email;
    const other = { username: `${name}-b`, email: `${name}-b@example.com`, phone: '+1 555 0100' };
    expect((await post('register', { ...other, password: PASSWORD })).status).toBe(201);
    neighbours.contacts.set(other.username, { email: theirs.toUpperCase() });
    await neighbours.tell(other.username, 1, 'PROFILE_UPDATED', ['email']);
    await until(
      async () =>
        (await rows(`select from auth.inbox where key = $1`, [other.username])).length === 1,
    );
    await until(
      async () => (await rows(`select from auth.tasks where kind = 'follow_email'`)).length === 0,
    );
    expect((await me()).body['email']).toBe(theirs);
  });
});

describe('a forgotten password', () => {
  test('is set anew by the link that is mailed, and every session ends', async () => {
    expect((await post('password-reset', { email: email.toUpperCase() })).status).toBe(202);
    const token = await mailed('reset_password');
    const short = await post('password-reset/confirm', { token, password: 'short' });
    expect(short.status).toBe(422);
    expect((await post('password-reset/confirm', { token, password: ANOTHER })).status).toBe(204);
    expect([await login(PASSWORD), await login(ANOTHER)]).toEqual([401, 200]);
    expect(await refresh(tokens.refreshToken)).toBe(401);
    expect((await me()).body['emailVerified']).toBe(true);
    expect(await revoked()).toContainEqual(
      expect.objectContaining({ kind: 'session', id: sessionId() }),
    );
    const again = await post('password-reset/confirm', { token, password: PASSWORD });
    expect([again.status, again.body['code']]).toEqual([400, 'invalid_link']);
  });

  test('answers alike for an address that is nobody’s, and mails nothing', async () => {
    const known = await post('password-reset', { email });
    const unknown = await post('password-reset', { email: 'nobody@example.com' });
    expect([unknown.status, unknown.body]).toEqual([known.status, known.body]);
    await mailed('reset_password');
    await until(
      async () => (await rows(`select from auth.tasks where kind = 'mail_link'`)).length === 0,
    );
    expect(neighbours.mails.some((m) => m.contact.email === 'nobody@example.com')).toBe(false);
  });

  test('floods nobody’s mailbox', async () => {
    for (let count = 0; count < 6; count++)
      expect((await post('password-reset', { email })).status).toBe(202);
    await until(
      async () => (await rows(`select from auth.tasks where kind = 'mail_link'`)).length === 0,
    );
    await mailed('reset_password', 3);
  });

  test('has links that end after an hour, and with the next change of the password', async () => {
    await post('password-reset', { email });
    const late = await mailed('reset_password');
    await rows(`update auth.mailed_links set expires_at = now() where purpose = 'reset'`);
    expect((await post('password-reset/confirm', { token: late, password: ANOTHER })).status).toBe(
      400,
    );
    await post('password-reset', { email });
    const token = await mailed('reset_password', 2);
    const change = { currentPassword: PASSWORD, newPassword: ANOTHER };
    expect((await post('password', change, name, sessionId())).status).toBe(204);
    expect((await post('password-reset/confirm', { token, password: PASSWORD })).status).toBe(400);
    const links = await rows(`select l::text as text from auth.mailed_links l`);
    expect(JSON.stringify(links)).not.toContain(token);
  });
});

describe('a password', () => {
  test('is changed by who knows it; other sessions end, this one goes on', async () => {
    const other = (await post('login', { username: name, password: PASSWORD })).body as never;
    const change = { currentPassword: PASSWORD, newPassword: ANOTHER };
    const wrong = await post('password', { ...change, currentPassword: 'no' }, name, sessionId());
    expect([wrong.status, wrong.body['code']]).toEqual([403, 'wrong_password']);
    const weak = await post('password', { ...change, newPassword: 'short' }, name, sessionId());
    expect(weak.status).toBe(422);
    expect((await post('password', change, name, sessionId())).status).toBe(204);
    expect([await login(PASSWORD), await login(ANOTHER)]).toEqual([401, 200]);
    expect(await refresh(other['refreshToken'])).toBe(401);
    expect(await refresh(tokens.refreshToken)).toBe(200);
  });

  test('is not guessed by who found an open session', async () => {
    const change = { currentPassword: 'a guess', newPassword: ANOTHER };
    const answers = await Promise.all(
      Array.from({ length: 25 }, () => post('password', change, name, sessionId())),
    );
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
  });
});

describe('an idempotency key', () => {
  const keyed = (path: string, body: unknown, key: string, as: string | null = null) =>
    running.call('POST', `/api/v1/auth/${path}`, {
      as: as === null ? null : someone(as),
      body,
      headers: { 'idempotency-key': key },
    });

  test('of what was done is told the same, and does nothing again', async () => {
    const [verifying, changing] = [newId(), newId()];
    const token = await mailed('verify_email');
    const change = { currentPassword: PASSWORD, newPassword: ANOTHER };
    for (const replayed of [undefined, 'true', 'true']) {
      const verified = await keyed('verify-email', { token }, verifying);
      const changed = await keyed('password', change, changing, name);
      for (const { status, headers } of [verified, changed])
        expect([status, headers['idempotent-replayed']]).toEqual([204, replayed]);
    }
    const other = await keyed('password', { ...change, newPassword: PASSWORD }, changing, name);
    expect([other.status, other.body['code']]).toEqual([422, 'idempotency_key_reused']);
    expect(await login(ANOTHER)).toBe(200);
  });

  test('used by many at once does it once', async () => {
    const key = newId();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => keyed('password-reset', { email }, key)),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
    await mailed('reset_password');
    const change = { currentPassword: PASSWORD, newPassword: ANOTHER };
    const changing = newId();
    const changes = await Promise.all(
      Array.from({ length: 10 }, () => keyed('password', change, changing, name)),
    );
    expect(changes.map(({ status }) => status)).toEqual(changes.map(() => 204));
    const fresh = changes.filter(({ headers }) => headers['idempotent-replayed'] === undefined);
    expect(fresh).toHaveLength(1);
    const refused = await keyed(
      'password',
      { currentPassword: 'x', newPassword: ANOTHER },
      newId(),
      name,
    );
    expect(refused.status).toBe(403);
  });
});

describe('a user whose profile is erased', () => {
  test('is erased: no sign-in, no data, and the name is nobody’s for ever', async () => {
    await mailed('verify_email');
    await neighbours.tell(name, 1, 'PROFILE_ERASED');
    await until(async () => (await login(PASSWORD)) === 401);
    expect(await refresh(tokens.refreshToken)).toBe(401);
    expect((await me()).status).toBe(404);
    const [user] = await rows('select * from auth.users where username = $1', [name]);
    expect(user).toMatchObject({ state: 'erased', email: null, password_hash: null, roles: [] });
    const all = await rows(`select u::text as text from auth.users u
      union all select l::text from auth.log l union all select t::text from auth.tasks t`);
    expect(JSON.stringify(all)).not.toContain(email);
    const events = await rows<{ type: string }>(
      'select type from auth.log where key = $1 order by version',
      [user!['id']],
    );
    expect(events.map(({ type }) => type)).toEqual(['USER_REGISTERED', 'USER_ERASED']);
    const [entry] = (await revoked()).filter((one) => one['username'] === name);
    const { iat } = decodeJwt(tokens.accessToken);
    expect(Date.parse(entry!['issued_before']!)).toBeGreaterThan(iat! * 1000);
    neighbours.profiles.delete(name);
    const again = { username: name, email, phone: '+1 555 0100', password: PASSWORD };
    const refused = await post('register', again);
    expect([refused.status, refused.body['code']]).toEqual([409, 'username_taken']);
  });
});
