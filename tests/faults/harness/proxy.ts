/** A TCP proxy in front of a service, which can be away in every way that a network has. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';

/**
 * `down` refuses connections, `slow` keeps every answer back for so long that nobody waits for it,
 * `reset` ends the connection where the answer would come: the request has taken effect.
 */
export type ProxyMode = 'up' | 'down' | 'slow' | 'reset';

export interface Proxy {
  readonly url: string;
  set(mode: ProxyMode): Promise<void>;
  stop(): Promise<void>;
}

const SLOW_MS = 30_000;

export async function startProxy(port: number, targetPort: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let mode: ProxyMode = 'up';
  const server = createServer((client) => {
    const upstream = createConnection(targetPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (bytes) => void upstream.write(bytes));
    upstream.on('data', (bytes) => {
      if (mode === 'reset') client.resetAndDestroy();
      else if (mode === 'slow') setTimeout(() => client.write(bytes), SLOW_MS).unref();
      else client.write(bytes);
    });
  });
  await listen(server, port);
  return {
    url: `http://127.0.0.1:${port}`,
    async set(next) {
      const was = mode;
      mode = next;
      // Connections that were kept alive would go on as if nothing were.
      for (const socket of sockets) socket.destroy();
      if (next === 'down' && was !== 'down') await close(server);
      if (next !== 'down' && was === 'down') await listen(server, port);
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await close(server);
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(port, '127.0.0.1', () => done());
  });
}

function close(server: Server): Promise<void> {
  return new Promise((done) => server.close(() => done()));
}
