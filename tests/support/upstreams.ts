/** Upstreams that do what no service of ours would. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { freePort, mirror, start, startGateway, type MirrorOptions } from './entrance.ts';

export const ordersPath = '/api/v1/orders';
const servers: Server[] = [];

/** A service `orders` in a process of its own. */
export const orders = (instance: string, more: Partial<MirrorOptions> = {}) =>
  start([mirror({ name: 'orders', path: ordersPath, instance, ...more })]);

/** A gateway with `orders` at these addresses. */
export const gatewayTo = (...bases: string[]) =>
  startGateway({ DISCOVERY_URL: `static:orders=${bases.join('|')}` });

/** An address where nobody listens. */
export const dead = async () => `http://127.0.0.1:${await freePort()}`;

export function closeServers(): void {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
}

/** A server with this answer. */
export async function strange(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const port = await freePort();
  const server = createServer(answer).listen(port, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${port}`;
}

/** Accepts requests and breaks the connection before it answers; counts them. */
export async function breaking() {
  let seen = 0;
  const port = await freePort();
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      seen++;
      socket.destroy();
    });
  }).listen(port, '127.0.0.1');
  servers.push(server as unknown as Server);
  Object.assign(server, { closeAllConnections: () => {} });
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${port}`, seen: () => seen };
}
