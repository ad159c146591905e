/** The auth service through its routes, on PostgreSQL; its neighbours are a test's. */
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { queryRows } from '../../tests/support/database.ts';
import { openNeighbours } from '../../tests/support/neighbours.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { auth } from './index.ts';

let running: Running;
const neighbours = openNeighbours();
const program = someone('gateway', 'service');
const PASSWORD = 'correct horse battery staple';

beforeAll(async () => {
  running = await startServices([auth, ...neighbours.services]);
});

// Every test begins with its guesses uncounted.
beforeEach(() => rows('delete from auth.guesses'));

function rows<Row = Record<string, unknown>>(text: string, values: unknown[] = []) {
  return queryRows<Row>(running.databaseUrl, text, values);
}

let people = 0;

/** Somebody new, registered. */
async function newUser(changes: object = {}) {
  const name = `user-${++people}`;
  const body = {
    username: name,
    email: `${name}@example.com`,
    phone: '+1 555 0100',
    password: PASSWORD,
    login: true,
    ...changes,
  };
  const answer = await running.call('POST', '/api/v1/auth/register', { as: null, body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return { name, email: body.email, tokens: answer.body as unknown as Tokens };
}

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly userInfo: { readonly id: string };
}

function post(path: string, body: unknown, as: Parameters<typeof someone>[0] | null = null) {
  const identity = as === null ? null : someone(as);
  return running.call('POST', `/api/v1/auth/${path}`, { as: identity, body });
}

const login = (username: string, password = PASSWORD) => post('login', { username, password });
const refresh = (refreshToken: string) => post('refresh', { refreshToken });

async function revocations(after = 0) {
  const path = `/internal/auth/revocations?after=${after}`;
  const { body } = await running.call('GET', path, { as: program });
  return body as unknown as { revocations: Record<string, string>[]; next: string };
}

const sessionOf = (tokens: Tokens) => String(decodeJwt(tokens.accessToken)['sid']);

describe('a login', () => {
  test('by name in any case, or by e-mail address, begins a session', async () => {
    const { name, email } = await newUser();
    for (const word of [name, name.toUpperCase(), email, email.toUpperCase()]) {
      const { status, body, headers } = await login(word);
      expect(status, word).toBe(200);
      expect(headers['cache-control']).toBe('no-store');
      expect(body).toMatchObject({
        tokenType: 'Bearer',
        expiresIn: 3600,
        userInfo: { username: name, roles: ['customer'] },
      });
    }
  });

  test('gives a token that the published keys verify, and that says what it is', async () => {
    const { name, tokens } = await newUser();
    const { body } = await running.call('GET', '/.well-known/jwks.json', { as: null });
    const { kid, alg, typ } = decodeProtectedHeader(tokens.accessToken);
    expect({ alg, typ }).toEqual({ alg: 'EdDSA', typ: 'at+jwt' });
    const jwk = (body['keys'] as unknown as { kid: string; d?: string }[]).find(
      (key) => key.kid === kid,
    )!;
    expect(Object.keys(jwk).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
    const { payload } = await jwtVerify(tokens.accessToken, await importJWK(jwk, 'EdDSA'), {
      issuer: 'waybill',
      audience: 'waybill',
      typ: 'at+jwt',
    });
    expect(payload).toMatchObject({ sub: name, roles: ['customer'], exp: payload.iat! + 3600 });
    const internal = await running.call('GET', '/internal/auth/keys', { as: program });
    expect(internal.body).toEqual(body);
  });

  test('A12 fails alike for a wrong password, an unknown name and a disabled user', async () => {
    const { name } = await newUser();
    const { name: gone } = await newUser();
    await rows(`update auth.users set state = 'disabled' where username = $1`, [gone]);
    const answers = [
      await login(name, 'wrong'),
      await login('nobody'),
      await login(gone),
      await login('nobody@example.com'),
    ];
    for (const { status, body, headers } of answers) {
      const { request_id: _, ...told } = body as Record<string, unknown>;
      expect([status, told]).toEqual([401, { ...told, code: 'invalid_credentials' }]);
      expect(told).toEqual({ ...answers[0]!.body, request_id: undefined });
      expect(headers['www-authenticate']).toBe('Bearer');
      expect(Object.keys(headers)).toEqual(Object.keys(answers[0]!.headers));
    }
  });

  test('A12 takes as long for a name that is nobody’s', async () => {
    const { name } = await newUser();
    const fastest: Record<string, number> = { [name]: Infinity, 'nobody-at-all': Infinity };
    for (let count = 0; count < 25; count++) {
      await rows('delete from auth.guesses');
      for (const word of Object.keys(fastest)) {
        const begun = performance.now();
        expect((await login(word, 'wrong password')).status).toBe(401);
        fastest[word] = Math.min(fastest[word]!, performance.now() - begun);
      }
    }
    const [known = 0, unknown = 0] = Object.values(fastest);
    // A hash takes 10 ms of a core, and all the rest a few: without one it would be a fraction.
    expect(unknown).toBeGreaterThan(known / 2);
    expect(known).toBeGreaterThan(unknown / 2);
  });

  test('A13 takes passwords as they are: every byte counts, and NUL is refused', async () => {
    const long = '🔑'.repeat(64);
    const { name } = await newUser({ password: long });
    expect((await login(name, long)).status).toBe(200);
    expect((await login(name, long.slice(0, -2))).status).toBe(401);
    const { name: accented } = await newUser({ password: 'p\u00e9ssw\u00f6rd'.normalize('NFC') });
    expect((await login(accented, 'p\u00e9ssw\u00f6rd'.normalize('NFD'))).status).toBe(401);
    expect((await login(name, 'a\u0000b')).status).toBe(422);
    expect((await login(name, 'x'.repeat(1025))).status).toBe(422);
  });
});

describe('A12 guesses', () => {
  test('at a name are held up for seconds, whether it is somebody’s or not', async () => {
    const { name } = await newUser();
    await rows('delete from auth.known_origins');
    for (const word of [name, 'no-such-name']) {
      const answers = await Promise.all(
        Array.from({ length: 40 }, () => login(word, 'wrong password')),
      );
      const counts = (code: number) => answers.filter(({ status }) => status === code).length;
      expect([counts(401), counts(429)], word).toEqual([20, 20]);
      const held = answers.find(({ status }) => status === 429)!;
      expect(held.body['code']).toBe('rate_limited');
      expect(Number(held.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(held.headers['retry-after'])).toBeLessThanOrEqual(15);
    }
    // The right password waits as well, for that long.
    expect((await login(name)).status).toBe(429);
    await rows(`update auth.guesses set arrival = arrival - interval '15 seconds'`);
    expect((await login(name)).status).toBe(200);
  });

  test('made elsewhere do not keep a user out of where they have logged in before', async () => {
    const { name } = await newUser();
    const answers = await Promise.all(
      Array.from({ length: 25 }, () =>
        running.call('POST', '/api/v1/auth/login', {
          as: null,
          body: { username: name, password: 'wrong password' },
          headers: { 'waybill-origin': running.sign(someone('address:203.0.113.9'), 'auth') },
        }),
      ),
    );
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
    expect((await login(name)).status).toBe(200);
  });

  test('from one address at many names are held up', async () => {
    expect((await login('name-1', 'wrong')).status).toBe(401);
    // As after a hundred: the address's next guess is due in three seconds.
    await rows(`update auth.guesses set arrival = now() + interval '597 seconds'
      where arrival < now() + interval '10 seconds'`);
    const held = await login('name-2', 'wrong');
    expect([held.status, held.body['code']]).toEqual([429, 'rate_limited']);
    expect(Number(held.headers['retry-after'])).toBeLessThanOrEqual(3);
    // Nothing was counted against the name.
    expect(await rows('select from auth.guesses')).toHaveLength(2);
  });

  test('that were right are not counted, however many come at once', async () => {
    const { name } = await newUser();
    const answers = await Promise.all(Array.from({ length: 60 }, () => login(name)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  });

  test('that were right are not counted', async () => {
    const { name } = await newUser();
    for (let count = 0; count < 30; count++) expect((await login(name)).status).toBe(200);
  });
});

describe('A04 a refresh token', () => {
  test('is good once, and carries the session on', async () => {
    const { tokens, name } = await newUser();
    const { status, body } = await refresh(tokens.refreshToken);
    expect(status).toBe(200);
    expect(body['refreshToken']).not.toBe(tokens.refreshToken);
    expect(sessionOf(body as never)).toBe(sessionOf(tokens));
    expect(body['userInfo']).toMatchObject({ username: name });
    expect((await refresh(String(body['refreshToken']))).status).toBe(200);
  });

  test('shown by many at once has one winner, whose session goes on', async () => {
    const { tokens } = await newUser();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => refresh(tokens.refreshToken)),
    );
    const [won, ...more] = answers.filter(({ status }) => status === 200);
    expect(more).toEqual([]);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(9);
    expect((await refresh(String(won!.body['refreshToken']))).status).toBe(200);
  });

  test('shown again later ends the session, and all its tokens', async () => {
    const { tokens } = await newUser();
    const { next } = await revocations();
    const { body } = await refresh(tokens.refreshToken);
    const again = await refresh(tokens.refreshToken);
    expect([again.status, again.body['code']]).toEqual([401, 'invalid_refresh_token']);
    expect(again.headers['www-authenticate']).toBe('Bearer');
    expect((await refresh(String(body['refreshToken']))).status).toBe(401);
    expect((await revocations(Number(next))).revocations).toMatchObject([
      { kind: 'session', id: sessionOf(tokens) },
    ]);
  });

  test('that is too old, or none, is refused alike; an access token is none', async () => {
    const { tokens } = await newUser();
    await rows(`update auth.refresh_tokens set expires_at = now() where used_at is null`);
    for (const token of [tokens.refreshToken, 'nothing']) {
      const { status, body } = await refresh(token);
      expect([status, body['code']]).toEqual([401, 'invalid_refresh_token']);
    }
    expect((await refresh(tokens.accessToken)).status).toBe(422);
  });

  test('stands in the database as a hash alone', async () => {
    const { tokens } = await newUser();
    const dump = await rows(
      `select r::text as text from auth.refresh_tokens r
       union all select u::text from auth.users u union all select s::text from auth.sessions s
       union all select k::text from auth.idempotency_keys k`,
    );
    const text = JSON.stringify(dump);
    expect(text).not.toContain(tokens.refreshToken);
    expect(text).not.toContain(PASSWORD);
  });
});

describe('a logout', () => {
  test('by refresh token ends that session alone', async () => {
    const { name, tokens } = await newUser();
    const { body: other } = await login(name);
    const { next } = await revocations();
    expect((await post('logout', { refreshToken: tokens.refreshToken })).status).toBe(204);
    expect((await refresh(tokens.refreshToken)).status).toBe(401);
    expect((await refresh(String(other['refreshToken']))).status).toBe(200);
    expect((await revocations(Number(next))).revocations).toMatchObject([
      { kind: 'session', id: sessionOf(tokens) },
    ]);
    expect((await post('logout', { refreshToken: 'nothing' })).status).toBe(204);
    expect((await post('logout', undefined)).status).toBe(204);
  });

  test('by access token ends its session', async () => {
    const { name, tokens } = await newUser();
    const as = { ...someone(name), sessionId: sessionOf(tokens) };
    expect((await running.call('POST', '/api/v1/auth/logout', { as })).status).toBe(204);
    expect((await refresh(tokens.refreshToken)).status).toBe(401);
  });
});

describe('the first to ask who they are', () => {
  test('are told', async () => {
    const { name, email } = await newUser();
    const me = await running.call('GET', '/api/v1/auth/me', { as: someone(name) });
    expect(me.body).toMatchObject({
      username: name,
      email,
      emailVerified: false,
      roles: ['customer'],
    });
    const { status } = await running.call('GET', '/api/v1/auth/me', { as: someone('stranger') });
    expect(status).toBe(404);
    expect((await running.call('GET', '/api/v1/auth/me', { as: null })).status).toBe(401);
  });
});

test('keys are changed when their time is over, and old ones stay for their tokens', async () => {
  const { tokens } = await newUser();
  const { kid } = decodeProtectedHeader(tokens.accessToken);
  await rows(`update auth.signing_keys set signs_from = signs_from - interval '31 days'`);
  const sweep = auth.sweeps.find(({ name }) => name === 'change signing keys')!;
  expect(sweep).toBeDefined();
  await running.stop();
  running = await startServices([auth, ...neighbours.services], {
    DATABASE_URL: running.databaseUrl,
  });
  const kids = async () => {
    const { body } = await running.call('GET', '/.well-known/jwks.json', { as: null });
    return (body['keys'] as unknown as { kid: string }[]).map((key) => key.kid);
  };
  await until(async () => (await kids()).length === 2);
  const { name } = await newUser();
  const signedBy = async () =>
    decodeProtectedHeader(String((await login(name)).body['accessToken'])).kid;
  expect(await signedBy()).toBe(kid);
  await rows('update auth.signing_keys set signs_from = now() where generation = 2');
  await until(async () => (await signedBy()) !== kid, 15_000, 500);
  expect(await kids()).toContain(kid);
});
