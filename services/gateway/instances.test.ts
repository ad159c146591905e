import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { freePort } from '../../tests/support/entrance.ts';
import { openInstances, type Exchange } from './instances.ts';

const exchange = (ms: number): Exchange => ({
  method: 'GET',
  path: '/',
  headers: {},
  body: undefined,
  repeatable: true,
  waits: false,
  deadline: deadlineIn(ms),
  signal: new AbortController().signal,
});

test('a service that does not answer in time is an outage, and is passed over', async () => {
  let asked = 0;
  const port = await freePort();
  const server = createServer(() => void asked++).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const instances = openInstances('orders', [`http://127.0.0.1:${port}`]);
  try {
    await expect(instances.send(exchange(100))).rejects.toThrow(/UND_ERR_HEADERS_TIMEOUT/);
    await expect(instances.send(exchange(100))).rejects.toThrow('no instance takes requests');
    expect(asked).toBe(1);
  } finally {
    await instances.close();
    server.close().closeAllConnections();
  }
});

test('more requests than it has room for are turned away at once', async () => {
  const port = await freePort();
  const server = createServer(() => {}).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const instances = openInstances('orders', [`http://127.0.0.1:${port}`]);
  const waiting = Array.from({ length: 512 }, () =>
    instances.send(exchange(30_000)).catch(() => {}),
  );
  await expect(instances.send(exchange(30_000))).rejects.toBeInstanceOf(Outage);
  // Who asked to wait for something takes no room from them, nor they from it.
  const patient = instances.send({ ...exchange(30_000), waits: true }).catch(() => {});
  await once(server, 'connection');
  waiting.push(patient);
  await instances.close();
  await Promise.all(waiting);
  server.close().closeAllConnections();
});
