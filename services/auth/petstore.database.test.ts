/** The petstore's users: the same people, under the petstore's names. */
import { decodeJwt } from 'jose';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { openNeighbours } from '../../tests/support/neighbours.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { auth } from './index.ts';

let running: Running;
const neighbours = openNeighbours();
const PASSWORD = 'correct horse battery staple';
const admin = someone('root', 'admin');
const users = '/api/v3/user';

beforeAll(async () => {
  running = await startServices([auth, ...neighbours.services]);
});

let people = 0;
let name = '';

beforeEach(() => {
  name = `theUser${++people}`;
});

afterEach(() => {
  neighbours.mood.customers = 'well';
});

const create = (changes: object = {}, headers = {}) =>
  running.call('POST', users, {
    as: null,
    body: { username: name, password: PASSWORD, ...changes },
    headers,
  });
const read = (as = admin, username = name) => running.call('GET', `${users}/${username}`, { as });
const update = (body: object, as = admin) => running.call('PUT', `${users}/${name}`, { as, body });
const login = (password = PASSWORD, username = name) => {
  const query = new URLSearchParams({ username, password }).toString();
  return running.call('GET', `${users}/login?${query}`, { as: null });
};

describe('a user', () => {
  const full = {
    id: 10,
    firstName: 'John',
    lastName: 'James',
    phone: '12345',
    userStatus: 1,
  };

  test('is made with what the petstore knows, and read without the password', async () => {
    const email = `${name}@example.com`;
    const made = await create({ ...full, email, colour: 'ignored' });
    const shown = { ...full, username: name, email };
    expect([made.status, made.body]).toEqual([200, shown]);
    expect((await read()).body).toEqual(shown);
    expect(neighbours.accounts.has(name)).toBe(true);
    const { body } = await running.call('POST', '/api/v1/auth/login', {
      as: null,
      body: { username: email, password: PASSWORD },
    });
    expect(body['userInfo']).toMatchObject({ username: name, roles: ['customer'] });
  });

  test('needs neither address nor number, and is given an id', async () => {
    const { status, body } = await create();
    expect(status).toBe(200);
    expect(body).toEqual({ id: expect.any(Number), username: name, userStatus: 0 });
    // Not one that somebody else has given to theirs.
    expect(body['id']).toBeGreaterThanOrEqual(1_000_000_000);
    name += '-b';
    const { body: other } = await create({ id: 0 });
    expect(other['id']).toBeGreaterThan(Number(body['id']));
  });

  test.each([
    [{ password: '12345' }, 422],
    [{ password: undefined }, 422],
    [{ username: undefined }, 422],
    [{ username: 'a b' }, 422],
    [{ username: 'login' }, 422],
    [{ email: 'nothing' }, 422],
    [{ userStatus: 2 ** 31 }, 422],
  ])('that says %j is refused', async (changes, status) => {
    expect((await create(changes)).status).toBe(status);
    expect((await read()).status).toBe(404);
  });

  test('has a name of their own', async () => {
    expect((await create()).status).toBe(200);
    const again = await create();
    expect([again.status, again.body['code']]).toEqual([409, 'username_taken']);
  });

  test('is made once by one key', async () => {
    const headers = { 'idempotency-key': newId() };
    const first = await create({}, headers);
    const again = await create({}, headers);
    expect(again.body).toEqual(first.body);
    expect(again.headers['idempotent-replayed']).toBe('true');
  });

  test('is there for themselves and for admins alone', async () => {
    await create();
    for (const as of [someone('eve'), someone('olga', 'operator'), someone('x', 'service')]) {
      expect((await read(as)).status).toBe(404);
      expect((await update({ firstName: 'Eve' }, as)).status).toBe(404);
      expect((await running.call('DELETE', `${users}/${name}`, { as })).status).toBe(404);
    }
    expect((await read(someone(name))).status).toBe(200);
    expect((await running.call('GET', `${users}/${name}`, { as: null })).status).toBe(401);
    expect((await read(admin, 'nobody')).status).toBe(404);
    expect((await read(admin, 'a%20b')).status).toBe(400);
    expect((await read(admin, 'x'.repeat(129))).status).toBe(400);
  });
});

describe('a list of users', () => {
  const list = (body: unknown, headers = {}) =>
    running.call('POST', `${users}/createWithList`, { as: null, body, headers });
  const one = (suffix: string) => ({ username: `${name}-${suffix}`, password: PASSWORD });

  test('is made whole, and answered by its last', async () => {
    const { status, body } = await list([one('a'), one('b'), one('c')]);
    expect([status, body['username']]).toEqual([200, `${name}-c`]);
    for (const suffix of ['a', 'b', 'c'])
      expect((await read(admin, `${name}-${suffix}`)).status).toBe(200);
  });

  test('of none, of too many, or with a bad password makes nobody', async () => {
    expect((await list([])).status).toBe(422);
    expect((await list(Array.from({ length: 51 }, (_, at) => one(`${at}`)))).status).toBe(422);
    const { status, body } = await list([one('a'), { ...one('b'), password: '12345' }]);
    expect([status, body['errors']]).toMatchObject([422, [{ pointer: '/1/password' }]]);
    expect((await read(admin, `${name}-a`)).status).toBe(404);
  });

  test('that was refused in the middle goes on from there by its key', async () => {
    const headers = { 'idempotency-key': newId() };
    neighbours.profiles.set(`${name}-b`, 'by hand');
    expect((await list([one('a'), one('b')], headers)).status).toBe(409);
    expect((await read(admin, `${name}-a`)).status).toBe(200);
    neighbours.profiles.delete(`${name}-b`);
    expect((await list([one('a'), one('b')], headers)).status).toBe(200);
    const again = await list([one('a'), one('b')], headers);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([200, 'true']);
  });
});

describe('a login', () => {
  test('answers with a token, until when it is good, and how often it may be used', async () => {
    await create();
    const { status, headers, body } = await login();
    expect(status).toBe(200);
    const { sub, exp, sid } = decodeJwt(body as unknown as string);
    expect(sub).toBe(name);
    const until = Date.parse(String(headers['x-expires-after'])) / 1000;
    expect(Math.abs(until - exp!)).toBeLessThan(5);
    expect(Number(headers['x-rate-limit'])).toBeGreaterThan(0);
    const as = { ...someone(name), sessionId: String(sid) };
    expect((await running.call('GET', `${users}/logout`, { as })).status).toBe(200);
    const [session] = await queryRows<{ revoked_at: unknown }>(
      running.databaseUrl,
      'select revoked_at from auth.sessions where id = $1',
      [sid],
    );
    expect(session!.revoked_at).not.toBeNull();
    expect((await running.call('GET', `${users}/logout`, { as: null })).status).toBe(200);
  });

  test('with a wrong name or password is 400', async () => {
    await create();
    const answers = [await login('wrong'), await login(PASSWORD, 'nobody'), await login('', '')];
    for (const { status, body } of answers)
      expect([status, body['code']]).toEqual([400, 'invalid_credentials']);
    const none = await running.call('GET', `${users}/login`, { as: null });
    expect([none.status, none.body['code']]).toEqual([400, 'invalid_credentials']);
  });
});

describe('a change', () => {
  test('of what is given leaves the rest', async () => {
    await create({ firstName: 'John', phone: '12345', userStatus: 7 });
    const email = `new-${name}@example.com`;
    const { status, body } = await update({ email, lastName: 'James', id: 77 });
    const shown = { id: 77, username: name, firstName: 'John', lastName: 'James', email };
    expect([status, body]).toEqual([200, { ...shown, phone: '12345', userStatus: 7 }]);
    expect((await read()).body).toEqual(body);
  });

  test('of the password ends other sessions, and needs a good one', async () => {
    await create();
    const { body } = await running.call('POST', '/api/v1/auth/login', {
      as: null,
      body: { username: name, password: PASSWORD },
    });
    expect((await update({ password: '12345' })).status).toBe(422);
    expect((await update({ password: 'another long enough' })).status).toBe(200);
    expect((await login()).status).toBe(400);
    expect((await login('another long enough')).status).toBe(200);
    const refreshed = await running.call('POST', '/api/v1/auth/refresh', {
      as: null,
      body: { refreshToken: body['refreshToken'] },
    });
    expect(refreshed.status).toBe(401);
  });

  test('of the name, or to the address of somebody else, is refused', async () => {
    await create({ email: `${name}@example.com` });
    const renamed = await update({ username: 'other' });
    expect([renamed.status, renamed.body['errors']]).toMatchObject([
      422,
      [{ pointer: '/username' }],
    ]);
    const theirs = name;
    name += '-b';
    await create();
    const { status, body } = await update({ email: `${theirs}@EXAMPLE.com`, firstName: 'X' });
    expect([status, body['code']]).toEqual([409, 'email_taken']);
    expect((await read()).body['firstName']).toBeUndefined();
  });
});

describe('a deletion', () => {
  test('erases the user for ever', async () => {
    await create({ email: `${name}@example.com` });
    const as = someone(name);
    expect((await running.call('DELETE', `${users}/${name}`, { as })).status).toBe(200);
    expect((await read()).status).toBe(404);
    expect((await login()).status).toBe(400);
    expect(neighbours.contacts.has(name)).toBe(false);
    expect((await create()).status).toBe(409);
    expect((await running.call('DELETE', `${users}/${name}`, { as: admin })).status).toBe(404);
  });

  test('waits for the profile to be erased', async () => {
    await create();
    neighbours.mood.customers = 'away';
    expect((await running.call('DELETE', `${users}/${name}`, { as: admin })).status).toBe(503);
    neighbours.mood.customers = 'well';
    expect((await read()).status).toBe(200);
    expect((await running.call('DELETE', `${users}/${name}`, { as: admin })).status).toBe(200);
  });
});
