import { createHmac, createPublicKey } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLogger } from '@waybill/kit/logger.ts';
import type { RunningProcess } from '@waybill/kit/run.ts';
import {
  ask,
  mirror,
  startGateway,
  stopAll,
  temporaryFolder,
} from '../../tests/support/entrance.ts';
import {
  callEcho,
  openTokenTools,
  seconds,
  type Sign,
  type TokenTools,
} from '../../tests/support/tokens.ts';
import { mintToken, readDevelopmentKey } from './dev-key.ts';
import { openKeys, type Keys, type TrustedKey } from './keys.ts';
import { openTokens } from './tokens.ts';

const services = [mirror({ name: 'echo', path: '/api/v1/echo' })];

let dataDir: string;
let process: RunningProcess;
let kid: string;
let sign: Sign;
let signText: TokenTools['signText'];

beforeAll(async () => {
  dataDir = temporaryFolder();
  ({ kid, sign, signText } = await openTokenTools(dataDir));
  process = await startGateway({ AUTH_MODE: 'jwt', DATA_DIR: dataDir }, services);
});
afterAll(stopAll);

const call = (token: string) => callEcho(process.url, token);

/** A token put together by hand; `signature` makes the last part from the first two. */
function assemble(header: string, payload: string, signature: (input: string) => string): string {
  const input = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.');
  return `${input}.${signature(input)}`;
}

const payloadText = () =>
  JSON.stringify({
    iss: 'waybill',
    aud: 'waybill',
    sub: 'ada',
    roles: ['admin'],
    exp: seconds() + 60,
  });

test('a good token is who it says, and its roles decide', async () => {
  const good = await call(await sign({ roles: ['customer', 'emperor', 7], executor_id: 'e-1' }));
  expect(good.status).toBe(200);
  expect(good.json.identity).toMatchObject({
    subject: 'ada',
    roles: ['customer'],
    executorId: 'e-1',
  });
  expect(good.json.headers).not.toHaveProperty('authorization');
  expect((await call(await sign({ roles: ['executor'] }))).status).toBe(403);
  expect((await call(await sign({ roles: [] }))).status).toBe(403);
  expect(
    (await call(await mintToken({ dataDir, subject: 'b', roles: ['admin'], ttlSeconds: 9 })))
      .status,
  ).toBe(200);
});

test('a minute of leeway for clocks that differ, and no more', async () => {
  expect((await call(await sign({ exp: seconds() - 40 }))).status).toBe(200);
  expect((await call(await sign({ nbf: seconds() + 40 }))).status).toBe(200);
});

describe('a verified token is remembered', () => {
  const bearer = async (claims = {}) => `Bearer ${await sign(claims)}`;
  const open = (): Keys => {
    const options = { issuer: 'waybill', audience: 'waybill', log: openLogger('silent') };
    return openKeys({ ...options, dataDir, publisher: undefined });
  };

  test('until it was taken back, or its key is no longer trusted', async () => {
    let revoked = false;
    let trusted = true;
    const keys = open();
    const doubted = { find: keys.find, trusts: (key: TrustedKey) => trusted && keys.trusts(key) };
    const tokens = openTokens(doubted, () => revoked, 1_000_000);
    const token = await bearer();
    expect(tokens.known(token)).toBeUndefined();
    await tokens.verify(token);
    expect(tokens.known(token)?.subject).toBe('ada');
    trusted = false;
    expect(tokens.known(token)).toBeUndefined();
    trusted = true;
    expect(tokens.known(token)).toBeUndefined();
    await tokens.verify(token);
    revoked = true;
    expect(tokens.known(token)).toBeUndefined();
  });

  test('as long as there is room: the oldest go first, an eighth at a time', async () => {
    const all = await Promise.all([1, 2, 3, 4].map((jti) => bearer({ jti })));
    const room = (all[0] as string).length + 350;
    const tokens = openTokens(open(), () => false, 3 * room + 20);
    const known = () => all.map((token) => tokens.known(token) !== undefined);
    for (const token of all) await tokens.verify(token);
    expect(known()).toEqual([false, false, true, true]);
    await tokens.verify(all[3] as string);
    expect(known()).toEqual([false, false, true, true]);
    const long = await bearer({ padding: 'x'.repeat(room / 4) });
    await tokens.verify(long);
    expect(known()).toEqual([false, false, false, true]);
    expect(tokens.known(long)).toBeDefined();
  });
});

describe('every bad token gets the same answer', () => {
  const bad: Record<string, () => string | Promise<string>> = {
    'no token': () => '',
    malformed: () => 'abc',
    'two parts': () => 'abc.def',
    'five parts': () => 'a.b.c.d.e',
    expired: () => sign({ exp: seconds() - 61 }),
    'not yet valid': () => sign({ nbf: seconds() + 120 }),
    'without an end': () => sign({ exp: undefined }),
    'an end that is no number': () => sign({ exp: '9999999999' }),
    'of another issuer': () => sign({ iss: 'evil' }),
    'for another audience': () => sign({ aud: 'other' }),
    'without a subject': () => sign({ sub: undefined }),
    'a subject that is no text': () => sign({ sub: 7 }),
    'a subject of two lines': () => sign({ sub: 'ada\nadmin' }),
    'roles that are no list': () => sign({ roles: 'admin' }),
    'an id token': () => sign({}, { typ: 'JWT' }),
    'a refresh token': () => sign({}, { typ: 'rt+jwt' }),
    'no type': () => sign({}, { typ: undefined }),
    'an unknown key': () => sign({}, { kid: 'other' }),
    'no key': () => sign({}, { kid: undefined }),
    'a path as key': () => sign({}, { kid: '../../dev/null' }),
    'SQL as key': () => sign({}, { kid: "x' union select 'k" }),
    'a prototype as key': () => sign({}, { kid: '__proto__' }),
    'a key set of its own': () => sign({}, { jku: 'http://127.0.0.1:1/keys' }),
    'a certificate elsewhere': () => sign({}, { x5u: 'http://127.0.0.1:1/cert' }),
    'a critical extension': () => sign({}, { crit: ['b64'], b64: true }),
    'too long': () => sign({ padding: 'x'.repeat(8000) }),
  };
  const crafted: Record<string, () => string | Promise<string>> = {
    'alg none': () =>
      assemble(JSON.stringify({ alg: 'none', typ: 'at+jwt', kid }), payloadText(), () => ''),
    'alg None with a signature': () =>
      assemble(JSON.stringify({ alg: 'None', typ: 'at+jwt', kid }), payloadText(), () => 'AAAA'),
    'an empty signature': () =>
      assemble(JSON.stringify({ alg: 'EdDSA', typ: 'at+jwt', kid }), payloadText(), () => ''),
    'a signature of zeros': () =>
      assemble(JSON.stringify({ alg: 'EdDSA', typ: 'at+jwt', kid }), payloadText(), () =>
        Buffer.alloc(64).toString('base64url'),
      ),
    'a changed payload': async () => {
      const [header, , signature] = (await sign()).split('.');
      return `${header}.${Buffer.from(payloadText()).toString('base64url')}.${signature}`;
    },
    'HS256 with the public key as its secret': () => {
      const { x } = readDevelopmentKey(dataDir) as JWK;
      const jwk = { kty: 'OKP', crv: 'Ed25519', x: x as string };
      const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({
        type: 'spki',
        format: 'pem',
      });
      const header = JSON.stringify({ alg: 'HS256', typ: 'at+jwt', kid });
      return assemble(header, payloadText(), (input) =>
        createHmac('sha256', pem).update(input).digest('base64url'),
      );
    },
    'a key that it brings along': async () => {
      const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true });
      return sign({}, { jwk: await exportJWK(publicKey) }, privateKey);
    },
    "somebody else's key under our name": async () =>
      sign({}, {}, (await generateKeyPair('EdDSA')).privateKey),
    'another algorithm under our key': async () =>
      sign({}, { alg: 'ES256' }, (await generateKeyPair('ES256')).privateKey),
    'a claim given twice': () => signText(payloadText().replace('{', '{"sub":"root",')),
    'a header given twice': async () => {
      const header = `{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"${kid}"}`;
      const [, payload, signature] = (await sign()).split('.');
      return `${Buffer.from(header).toString('base64url')}.${payload}.${signature}`;
    },
    'a payload that is no object': () => signText('["waybill"]'),
  };

  test.each(Object.entries({ ...bad, ...crafted }))('%s', async (name, make) => {
    const { status, headers, json } = await call(await make());
    expect([status, headers.get('www-authenticate')], name).toEqual([401, 'Bearer']);
    expect(json).toMatchObject({
      type: 'urn:waybill:problem:unauthenticated',
      title: 'Unauthenticated',
      status: 401,
      code: 'unauthenticated',
      detail: 'A valid access token is needed.',
    });
    expect(Object.keys(json).toSorted().join()).toBe('code,detail,request_id,status,title,type');
  });

  test('other schemes than Bearer', async () => {
    for (const authorization of ['Basic YTpi', 'bearer', `Token ${await sign()}`])
      expect((await ask(`${process.url}/api/v1/echo`, { headers: { authorization } })).status).toBe(
        401,
      );
  });

  test('a megabyte never reaches the verifier', async () => {
    const { status } = await fetch(`${process.url}/api/v1/echo`, {
      headers: { authorization: `Bearer ${'a'.repeat(1_000_000)}` },
    });
    expect(status).toBe(431);
  });
});
