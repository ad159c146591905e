import { createServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';

import { choosePort } from './chance.ts';

/** A listener that can be away and come back on the same port, or reset whoever connects. */
export interface Listener {
  readonly port: number;
  readonly listening: boolean;
  /** Listens again; does nothing when it already does. */
  open(): Promise<void>;
  /** Refuses connections from now on and drops those that exist. */
  shut(): Promise<void>;
  /** While on, every connection is accepted and reset; those that exist are reset at once. */
  resetAll(on: boolean): void;
  /** Takes nothing new, lets what is under way be answered, and drops the rest. */
  close(graceMs: number): Promise<void>;
}

/** Answered as 503: whoever asked for the port back may ask again. */
class PortTaken extends Error {
  override readonly name = 'PortTaken';
  readonly statusCode = 503;
}

const PORT_TRIES = 50;
const REOPEN_TRIES = 50;
const RETRY_MS = 100;
const KEEP_ALIVE_MS = 65_000;

/** Serves the app. Port 0 means any free one. */
export async function startListener(
  app: FastifyInstance,
  host: string,
  wantedPort: number,
  onReset: () => void = () => {},
): Promise<Listener> {
  await app.ready();
  const sockets = new Set<Socket>();
  let resetting = false;
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) =>
    app.routing(request, response),
  );
  server.on('connection', (socket: Socket) => {
    if (resetting) {
      onReset();
      socket.resetAndDestroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listenAnywhere(server, host, wantedPort);

  return {
    port,
    get listening() {
      return server.listening;
    },
    open: () => listenAgain(server, host, port),
    async shut() {
      if (!server.listening) return;
      const shut = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await shut;
    },
    resetAll(on) {
      resetting = on;
      if (on) for (const socket of sockets) socket.resetAndDestroy();
    },
    async close(graceMs) {
      if (!server.listening) return;
      const shut = new Promise((resolve) => server.close(resolve));
      const idle = setInterval(() => server.closeIdleConnections(), 20);
      const grace = setTimeout(() => server.closeAllConnections(), graceMs);
      await shut;
      clearInterval(idle);
      clearTimeout(grace);
    },
  };
}

/** Listens on the wanted port, or on any free one for 0. */
export async function listenAnywhere(
  server: Server,
  host: string,
  wanted: number,
): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    const port = wanted === 0 ? choosePort() : wanted;
    try {
      await listen(server, host, port);
      return port;
    } catch (error) {
      if (wanted !== 0 || !isTaken(error) || tries >= PORT_TRIES) throw error;
    }
  }
}

/** Somebody may have borrowed the port while it was free; usually they give it back soon. */
export async function listenAgain(server: Server, host: string, port: number): Promise<void> {
  for (let tries = 1; !server.listening; tries += 1) {
    try {
      await listen(server, host, port);
    } catch (error) {
      if (!isTaken(error)) throw error;
      if (tries >= REOPEN_TRIES) throw new PortTaken(`Port ${port} was taken while it was down`);
      await sleep(RETRY_MS);
    }
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 1024 }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
}
