import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { openClient } from './client.ts';
import { deadlineIn } from './deadline.ts';
import { Outage } from './errors.ts';
import { openIdentitySigner } from './identity.ts';

const signer = openIdentitySigner(Buffer.alloc(32));

test('a loop whose target is not up yet does not open the breaker for others', async () => {
  const server = Fastify();
  server.get('/internal/log/echo', (_request, reply) => reply.code(503).send());
  server.get('/internal/echo', () => ({ said: 'yes' }));
  await server.ready();
  const topology = { isLocal: () => true, instancesOf: () => [] };
  const client = openClient({ self: 'orders', server: () => server, topology, signer });
  const call = (path: string, line?: 'log') =>
    client.call(
      'echo',
      { method: 'GET', path, idempotent: false, ...(line && { line }) },
      deadlineIn(1000),
    );
  for (let n = 0; n < 5; n++)
    await expect(call('/internal/log/echo', 'log')).rejects.toThrow('answered 503');
  await expect(call('/internal/log/echo', 'log')).rejects.toThrow('breaker is open');
  expect(await call('/internal/echo')).toEqual({ said: 'yes' });
  await Promise.all([client.close(), server.close()]);
});

test('a neighbour of a process that is ending is away; it is not at fault', async () => {
  const server = Fastify();
  server.get('/internal/echo', () => ({ said: 'yes' }));
  await server.ready();
  const client = openClient({
    self: 'orders',
    server: () => server,
    topology: { isLocal: () => true, instancesOf: () => [] },
    signer,
  });
  const call = () =>
    client.call(
      'echo',
      { method: 'GET', path: '/internal/echo', idempotent: false },
      deadlineIn(1000),
    );
  expect(await call()).toEqual({ said: 'yes' });
  await server.close();
  await expect(call()).rejects.toBeInstanceOf(Outage);
  await client.close();
});
