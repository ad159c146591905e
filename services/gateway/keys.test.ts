import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  exportJWK,
  generateKeyPair,
  importJWK,
  type CryptoKey,
  type JWK,
  type JWTPayload,
} from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  freePort,
  mirror,
  startGateway,
  stopAll,
  temporaryFolder,
} from '../../tests/support/entrance.ts';
import { callEcho, openTokenTools, type TokenTools } from '../../tests/support/tokens.ts';
import { createDevelopmentKey, mintToken, readDevelopmentKey } from './dev-key.ts';

const services = [mirror({ name: 'echo', path: '/api/v1/echo' })];

let dataDir: string;
let tools: TokenTools;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'waybill-keys-'));
  tools = await openTokenTools(dataDir);
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));
afterEach(stopAll);

const sign: TokenTools['sign'] = (...parts) => tools.sign(...parts);
const call = (token: string, url: string) => callEcho(url, token);

describe('the development key', () => {
  test('works once it is made, and no longer when it is removed', async () => {
    const folder = temporaryFolder();
    const { url } = await startGateway({ AUTH_MODE: 'jwt', DATA_DIR: folder }, services);
    const request = {
      dataDir: folder,
      subject: 'ada',
      roles: ['customer'],
      ttlSeconds: 60,
    } as const;
    expect((await call(await sign(), url)).status).toBe(401);
    const token = await mintToken(request);
    await expect.poll(async () => (await call(token, url)).status, { timeout: 5000 }).toBe(200);
    const removed = readDevelopmentKey(folder) as JWK;
    const removedKey = (await importJWK(removed, 'EdDSA')) as CryptoKey;
    let count = 0;
    const another = () => sign({ jti: String(count++) }, { kid: removed.kid }, removedKey);
    expect((await call(await another(), url)).status).toBe(200);
    rmSync(join(folder, 'keys'), { recursive: true });
    const status = async () => (await call(await another(), url)).status;
    await expect.poll(status, { timeout: 5000 }).toBe(401);
    await mintToken(request);
    expect(readDevelopmentKey(folder)?.kid).not.toBe(removed.kid);
  });

  test('is one, however many make it at once, and for its owner alone', async () => {
    const folder = temporaryFolder();
    const keys = await Promise.all([1, 2, 3, 4].map(() => createDevelopmentKey(folder)));
    expect(new Set(keys.map((one) => one.kid)).size).toBe(1);
    expect(statSync(join(folder, 'keys', 'dev-signing.jwk')).mode & 0o777).toBe(0o600);
  });
});

describe('a published key set', () => {
  /** An issuer whose keys can be exchanged, and which can be away. */
  async function issuer(keys: () => JWK[], state = { away: false, asked: 0 }) {
    const port = await freePort();
    const server = createServer((_request, response) => {
      state.asked++;
      response.statusCode = state.away ? 500 : 200;
      response.end(JSON.stringify({ keys: keys() }));
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${port}/keys`, server, state };
  }

  test('is trusted for its own issuer, each key for its one algorithm', async () => {
    const rsa = await generateKeyPair('RS256', { extractable: true });
    const ec = await generateKeyPair('ES256', { extractable: true });
    const published = [
      { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
      { ...(await exportJWK(ec.publicKey)), kid: 'ec', alg: 'ES256', use: 'sig' },
      { ...(await exportJWK(ec.publicKey)), kid: 'encrypts', use: 'enc' },
      { kty: 'oct', k: 'c2VjcmV0', kid: 'shared', alg: 'HS256' },
    ];
    const { url, server } = await issuer(() => published);
    const environment = {
      AUTH_JWKS_URL: url,
      AUTH_ISSUER: 'https://id.example',
      AUTH_AUDIENCE: 'shop',
    };
    const gateway = await startGateway(
      { AUTH_MODE: 'jwt', DATA_DIR: dataDir, ...environment },
      services,
    );
    const theirs = { iss: 'https://id.example', aud: ['shop', 'other'] };
    const status = async (claims: JWTPayload, header: Record<string, string>, signer: CryptoKey) =>
      (await call(await sign(claims, header, signer), gateway.url)).status;
    expect(await status(theirs, { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)).toBe(200);
    expect(await status(theirs, { alg: 'ES256', kid: 'ec' }, ec.privateKey)).toBe(200);
    expect(await status(theirs, { alg: 'ES256', kid: 'encrypts' }, ec.privateKey)).toBe(401);
    expect(await status({}, { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)).toBe(401);
    const hmac = { name: 'HMAC', hash: 'SHA-256' };
    const shared = await crypto.subtle.importKey('raw', Buffer.from('secret'), hmac, false, [
      'sign',
    ]);
    expect(await status(theirs, { alg: 'HS256', kid: 'shared' }, shared)).toBe(401);
    expect(await status(theirs, { alg: 'HS256', kid: 'rsa' }, shared)).toBe(401);
    expect(await status(theirs, {}, tools.key)).toBe(401);
    expect(await status({}, {}, tools.key)).toBe(200);
    server.close();
  });

  test('that is away is an outage, not a bad token, and is not asked for every token', async () => {
    const { url, server, state } = await issuer(() => [], { away: true, asked: 0 });
    const gateway = await startGateway({ AUTH_MODE: 'jwt', AUTH_JWKS_URL: url }, services);
    for (let count = 0; count < 5; count++) {
      const answer = await call(await sign({}, { kid: `unknown ${count}` }), gateway.url);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
      expect(answer.json.code).toBe('temporarily_unavailable');
    }
    expect(state.asked).toBe(1);
    server.close();
  });
});
