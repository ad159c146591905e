/** Polls through the gateway of the same process: the shortcut knows callers and limits. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gateway } from '@waybill/gateway/index.ts';
import { createStandInOrders } from '../../tests/support/dispatch.ts';
import { startServices, type Running } from '../../tests/support/service.ts';
import { openTokenTools, type TokenTools } from '../../tests/support/tokens.ts';
import { dispatch } from './index.ts';

let dataDir: string;
let tools: TokenTools;
let jwt: Running;
let open: Running;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'waybill-keys-'));
  tools = await openTokenTools(dataDir);
  const services = () => [gateway, dispatch, createStandInOrders().service];
  jwt = await startServices(services(), {
    AUTH_MODE: 'jwt',
    DATA_DIR: dataDir,
    RATE_LIMIT: '1000',
    RATE_LIMIT_POLLS: '5',
  });
  open = await startServices(services(), { AUTH_MODE: 'open' });
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

function poll({ process }: Running, executor: string, headers: Record<string, string> = {}) {
  const url = `${process.url}/api/v1/dispatch/executors/${executor}/acquire`;
  return fetch(url, { method: 'POST', headers });
}

const bearer = async (claims: object) => ({
  authorization: `Bearer ${await tools.sign({ ...claims })}`,
});

describe('with tokens, a poll', () => {
  test('counts against the limit of polls, and is then refused', async () => {
    const headers = await bearer({ sub: 'ada', roles: ['executor'], executor_id: 'e-1' });
    for (const left of [4, 3, 2, 1, 0]) {
      const reply = await poll(jwt, 'e-1', headers);
      expect(reply.status).toBe(204);
      expect(reply.headers.get('ratelimit-policy')).toBe('"polls";q=5;w=60');
      expect(reply.headers.get('ratelimit')).toMatch(new RegExp(`^"polls";r=${left};`));
      expect(reply.headers.get('x-request-id')).toBeTruthy();
    }
    const refused = await poll(jwt, 'e-1', headers);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('is for the executor of the token alone', async () => {
    const bob = await bearer({ sub: 'bob', roles: ['executor'], executor_id: 'e-2' });
    expect((await poll(jwt, 'e-2', bob)).status).toBe(204);
    expect((await poll(jwt, 'e-1', bob)).status).toBe(404);
    const customer = await bearer({ sub: 'cy', roles: ['customer'], executor_id: 'e-3' });
    for (let turn = 0; turn < 2; turn++)
      expect((await poll(jwt, 'e-3', customer)).status).toBe(403);
  });

  test('without a token, or with a bad one, is nobody’s, whatever it says it is', async () => {
    const internal = {
      'waybill-identity': jwt.sign({ subject: 'x', roles: ['admin'] }, 'dispatch'),
    };
    for (const headers of [{}, { authorization: 'Bearer a.b.c' }, internal, { 'x-roles': 'admin' }])
      expect((await poll(jwt, 'e-1', headers as Record<string, string>)).status).toBe(401);
  });
});

describe('in open mode, a poll', () => {
  test('is the demo admin’s from this machine', async () => {
    const reply = await poll(open, 'anybody');
    expect([reply.status, reply.headers.get('ratelimit')]).toEqual([204, null]);
  });

  test.each([
    { 'x-forwarded-for': '1.2.3.4' },
    { forwarded: 'for=1.2.3.4' },
    { origin: 'http://elsewhere.example' },
  ])('is refused with %j', async (headers) => {
    expect((await poll(open, 'anybody', headers as Record<string, string>)).status).toBe(403);
  });
});
