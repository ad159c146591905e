/** Connections: when many are open, answers ask their callers to hang up, and others get in. */
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { silent } from '../tests/support/kit.ts';
import { createServer } from './http.ts';
import { openIdentitySigner } from './identity.ts';
import { installShortcuts, type Shortcut } from './shortcuts.ts';

const MOST = 20;

const shortcut: Shortcut<never> = {
  path: '/quick/{name}/way',
  access: ['admin'],
  answer: async () => ({ status: 204, fields: [] }),
};
const entrance = {
  recognise: () => ({ subject: 'somebody', roles: ['admin' as const] }),
  admit: () => [],
};

test.each([
  ['by a route', 'GET /usual', '200'],
  ['by a shortcut', 'POST /quick/one/way', '204'],
])('a crowd does not keep others out, answered %s', async (_how, request, status) => {
  const app = createServer(silent, MOST);
  app.get('/usual', () => ({ well: true }));
  await app.ready();
  installShortcuts(app, {
    shortcuts: [{ service: 'test', shortcut, context: undefined }],
    entrance,
    signer: openIdentitySigner(Buffer.alloc(32)),
    isOpen: () => true,
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const kept: Socket[] = [];
  // Each asks once, and would then keep its connection.
  for (let caller = 0; caller < 3 * MOST; caller++) {
    const socket = connect(port, '127.0.0.1');
    socket.write(`${request} HTTP/1.1\r\nhost: a\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toContain(`HTTP/1.1 ${status}`);
    const leaves = /connection: close/i.test(answer.toString());
    expect(leaves).toBe(kept.length === MOST / 2);
    if (leaves) await once(socket.resume(), 'close');
    else kept.push(socket);
  }
  for (const socket of kept) socket.destroy();
  await app.close();
});
