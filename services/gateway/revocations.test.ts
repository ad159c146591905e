/** A05: tokens of the auth service, believed by its keys and refused once they are taken back. */
import { exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Revocation } from '@waybill/auth/contract.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { route } from '@waybill/kit/route.ts';
import type { RunningProcess } from '@waybill/kit/run.ts';
import { Type } from '@waybill/kit/schema.ts';
import { defineService } from '@waybill/kit/service.ts';
import {
  mirror,
  start,
  startGateway,
  stop,
  stopAll,
  temporaryFolder,
} from '../../tests/support/entrance.ts';
import { callEcho, openTokenTools, seconds, type TokenTools } from '../../tests/support/tokens.ts';
import { REFUSED_WITHIN_MS } from './revocations.ts';

const echo = mirror({ name: 'echo', path: '/api/v1/echo' });

/** What the auth service is at the moment. */
const auth = {
  keys: [] as JWK[],
  revocations: [] as Revocation[],
  silent: new Set<string>(),
  asked: { keys: 0, revocations: 0 },
};

function answer<Body>(name: 'keys' | 'revocations', body: Body) {
  auth.asked[name]++;
  if (auth.silent.has(name)) throw new Outage('database', 'the double says so');
  return { status: 200, body };
}

const double = defineService({
  name: 'auth',
  description: 'The auth service as the gateway sees it.',
  paths: [],
  settings: {},
  create: (base) => base,
  routes: [
    route({
      method: 'GET',
      path: '/internal/auth/keys',
      access: ['service'],
      internal: true,
      summary: 'Keys.',
      replies: { 200: { description: 'Keys.' } },
      handle: async () => answer('keys', { keys: auth.keys }),
    }),
    route({
      method: 'GET',
      path: '/internal/auth/revocations',
      access: ['service'],
      internal: true,
      summary: 'Revocations.',
      query: Type.Object({ after: Type.Optional(Type.Integer()) }),
      replies: { 200: { description: 'Revocations.' } },
      // Two a page, so that there is more than one.
      handle: async ({ query: { after = 0 } }) => {
        const revocations = auth.revocations.slice(after, after + 2);
        return answer('revocations', { revocations, next: String(after + revocations.length) });
      },
    }),
  ],
  consumers: [],
  tasks: [],
  sweeps: [],
});

let dataDir: string;
let tools: TokenTools;
let pairs: { privateKey: CryptoKey; jwk: JWK }[];

beforeAll(async () => {
  pairs = await Promise.all(
    ['first', 'second'].map(async (kid) => {
      const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true });
      return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'EdDSA' } };
    }),
  );
});
beforeEach(async () => {
  dataDir = temporaryFolder();
  tools = await openTokenTools(dataDir);
  auth.keys = [pairs[0]!.jwk];
  auth.revocations = [];
  auth.silent.clear();
  auth.asked = { keys: 0, revocations: 0 };
});
afterEach(stopAll);

/** A token as auth issues it. */
function issue(claims: object = {}, pair = pairs[0]!): Promise<string> {
  const usual = { iat: seconds(), sid: 'session-1' };
  return tools.sign({ ...usual, ...claims }, { kid: pair.jwk.kid }, pair.privateKey);
}

const guarded = () => ({ AUTH_MODE: 'jwt', DATA_DIR: dataDir });
const together = () => startGateway(guarded(), [echo, double]);
const statusOf = async (token: string, { url }: RunningProcess) =>
  (await callEcho(url, token)).status;
const revoke = (...more: Partial<Revocation>[]) =>
  auth.revocations.push(
    ...more.map((one): Revocation => ({ kind: 'session', issued_before: soon(), ...one })),
  );
const soon = () => new Date(Date.now() + 1000).toISOString();

/** Asserts that a token that worked stops working within the bound, cached as it is. */
async function expectRefused(token: string, gateway: RunningProcess): Promise<void> {
  const begun = performance.now();
  await expect
    .poll(() => statusOf(token, gateway), { timeout: REFUSED_WITHIN_MS, interval: 50 })
    .toBe(401);
  expect(performance.now() - begun).toBeLessThan(REFUSED_WITHIN_MS);
}

describe('keys of the auth service', () => {
  test.each(['here', 'elsewhere'])('are trusted when it runs %s', async (where) => {
    const gateway =
      where === 'here'
        ? await together()
        : await startGateway(
            { ...guarded(), DISCOVERY_URL: `static:auth=${(await start([double])).url}` },
            [echo],
          );
    const { status, json } = await callEcho(gateway.url, await issue({ sub: 'ada' }));
    expect(status).toBe(200);
    expect(json.identity).toMatchObject({ subject: 'ada', sessionId: 'session-1' });
    expect(await statusOf(await issue({}, pairs[1]), gateway)).toBe(401);
    expect(await statusOf(await issue({ iss: 'evil' }), gateway)).toBe(401);
    expect(await statusOf(await issue({ sid: 7 }), gateway)).toBe(401);
    expect(await statusOf(await tools.sign(), gateway)).toBe(200);
  });

  test('are trusted in open mode too, where a token that is sent decides', async () => {
    const gateway = await startGateway({ DATA_DIR: dataDir }, [echo, double]);
    const { json } = await callEcho(gateway.url, await issue({ sub: 'ada' }));
    expect(json.identity.subject).toBe('ada');
  });

  test('that are new are found; keys that are nobody’s are not asked for each time', async () => {
    const gateway = await together();
    expect(await statusOf(await issue(), gateway)).toBe(200);
    auth.keys = [pairs[1]!.jwk];
    await expect
      .poll(async () => statusOf(await issue({}, pairs[1]), gateway), { timeout: 5000 })
      .toBe(200);
    const { keys } = auth.asked;
    const begun = performance.now();
    for (let count = 0; count < 50; count++)
      expect(await statusOf(await tools.sign({}, { kid: `no ${count}` }), gateway)).toBe(401);
    const most = 1 + (performance.now() - begun) / 1000;
    expect(auth.asked.keys - keys).toBeLessThanOrEqual(most);
  });

  test('go on while it is away; tokens of other keys are an outage, not bad', async () => {
    const gateway = await together();
    expect(await statusOf(await issue(), gateway)).toBe(200);
    auth.silent.add('keys').add('revocations');
    expect(await statusOf(await issue({ jti: 'another' }), gateway)).toBe(200);
    await expect
      .poll(async () => statusOf(await issue({}, pairs[1]), gateway), { timeout: 5000 })
      .toBe(503);
    expect(await statusOf(await issue({ jti: 'a third' }), gateway)).toBe(200);
  });

  test('are none without it: the development key works, and nothing else', async () => {
    const gateway = await startGateway(guarded(), [echo]);
    expect(await statusOf(await tools.sign(), gateway)).toBe(200);
    expect(await statusOf(await issue(), gateway)).toBe(401);
    auth.silent.add('keys').add('revocations');
    const away = await together();
    expect(await statusOf(await tools.sign(), away)).toBe(200);
    expect(await statusOf(await issue(), away)).toBe(503);
  });
});

describe('A05 what was taken back', () => {
  test('one session is refused within the bound, and no other', async () => {
    const gateway = await together();
    const [lost, kept] = [await issue(), await issue({ sid: 'session-2' })];
    for (const token of [lost, kept]) expect(await statusOf(token, gateway)).toBe(200);
    revoke({ id: 'session-1' });
    await expectRefused(lost, gateway);
    expect(await statusOf(await issue({ jti: 'never seen' }), gateway)).toBe(401);
    expect(await statusOf(kept, gateway)).toBe(200);
  });

  test('all of a user that was issued before, and nothing that was issued after', async () => {
    const gateway = await together();
    const old = await issue({ sub: 'ada', iat: seconds() - 60 });
    const other = await issue({ sub: 'bob', iat: seconds() - 60 });
    for (const token of [old, other]) expect(await statusOf(token, gateway)).toBe(200);
    const issued_before = new Date((seconds() - 30) * 1000).toISOString();
    // More than one page, and an older one of the same user behind the newer.
    revoke({ id: 'x' }, { id: 'y' }, { kind: 'user', username: 'ada', issued_before });
    revoke({ kind: 'user', username: 'ada', issued_before: '2020-01-01T00:00:00.000Z' });
    await expectRefused(old, gateway);
    expect(await statusOf(other, gateway)).toBe(200);
    expect(await statusOf(await issue({ sub: 'ada', iat: seconds() - 20 }), gateway)).toBe(200);
    const undated = await issue({ sub: 'ada', iat: undefined });
    expect(await statusOf(undated, gateway)).toBe(401);
  });

  test('stays so while auth is away, and a gateway that never asked believes nobody', async () => {
    const service = await start([double]);
    const environment = { ...guarded(), DISCOVERY_URL: `static:auth=${service.url}` };
    const gateway = await startGateway(environment, [echo]);
    const [lost, kept] = [await issue(), await issue({ sid: 'session-2' })];
    for (const token of [lost, kept]) expect(await statusOf(token, gateway)).toBe(200);
    revoke({ id: 'session-1' });
    await expectRefused(lost, gateway);
    await stop(service);
    expect(await statusOf(lost, gateway)).toBe(401);
    expect(await statusOf(kept, gateway)).toBe(200);
    const late = await startGateway(environment, [echo]);
    expect(await statusOf(kept, late)).toBe(503);
  });

  test('is known before the first token is believed', async () => {
    revoke({ id: 'a' }, { id: 'b' }, { id: 'session-1' });
    auth.silent.add('revocations');
    const gateway = await together();
    expect(await statusOf(await issue(), gateway)).toBe(503);
    auth.silent.clear();
    await expect
      .poll(async () => statusOf(await issue({ sid: 'c' }), gateway), { timeout: 8000 })
      .toBe(200);
    expect(await statusOf(await issue(), gateway)).toBe(401);
  });

  test('nobody asks before there is a token of auth', async () => {
    const gateway = await together();
    expect(await statusOf(await tools.sign(), gateway)).toBe(200);
    expect(auth.asked).toEqual({ keys: 0, revocations: 0 });
  });
});
