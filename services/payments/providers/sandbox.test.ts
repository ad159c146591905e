import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PaymentProvider } from '../provider.ts';
import { openSandboxProvider } from './sandbox.ts';

let server: Server;
let provider: PaymentProvider;
let answer = { status: 200, body: {} };

beforeAll(async () => {
  server = createServer((request, reply) => {
    request.resume();
    reply.writeHead(answer.status, { 'content-type': 'application/json' });
    reply.end(JSON.stringify(answer.body));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  provider = openSandboxProvider({
    url: `http://127.0.0.1:${port}`,
    callbackSecret: 'a secret of the test',
    timeoutMs: 2000,
    concurrency: 1,
  });
});

afterAll(async () => {
  await provider.close();
  server.close();
});

const charge = () =>
  provider.charge({
    key: 'o-1:charge',
    orderId: 'o-1',
    customerId: 'ada',
    amountMinor: 1299,
    currency: 'USD',
    token: 'tok_ok',
  });

test('what the gateway finds malformed is declined: it would be refused every time', async () => {
  answer = { status: 422, body: { code: 'validation_failed', message: '/token is too long' } };
  expect(await charge()).toEqual({
    kind: 'declined',
    code: 'validation_failed',
    message: '/token is too long',
  });
});

test('any other refusal is a bug of ours, and is not taken for a decline', async () => {
  answer = { status: 422, body: { code: 'key_reused', message: 'another amount' } };
  await expect(charge()).rejects.toThrow(/422 key_reused/);
});
