/** How a server ends without failing a request: not one that was sent, not one on its way. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as afterPolling } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { monotonicMs, sleep } from './clock.ts';

const HANG_UP_MS = 500;
const LOOK_MS = 25;
const NUDGE_MS = 50;
const DRAIN_MS = 10_000;

/**
 * Lets requests in flight end, closes idle connections, refuses nothing that was accepted. For a
 * moment connections are still taken while every answer asks its client to hang up: a connection
 * that is kept beyond that is hardly in use, so no request crosses its end.
 */
export async function drain(server: FastifyInstance): Promise<void> {
  const listener = server.server;
  spareNewcomers(listener);
  for (
    let waited = 0;
    waited < HANG_UP_MS && (await countConnections(listener)) > 0;
    waited += LOOK_MS
  )
    await sleep(LOOK_MS);
  await untilNobodyWaits(listener);
  const ended = new Promise((done) => listener.close(done));
  const closed = Promise.all([ended, server.close()]);
  const nudge = setInterval(() => listener.closeIdleConnections(), NUDGE_MS);
  const force = sleep(DRAIN_MS).then(() => listener.closeAllConnections());
  await Promise.race([closed, force]);
  clearInterval(nudge);
}

function countConnections(listener: Server): Promise<number> {
  return new Promise((done) => listener.getConnections((_error, count) => done(count ?? 0)));
}

const NEWCOMER_MS = 1000;

/**
 * Node counts a connection as idle until its first request has come, and closes it with the
 * others: from now on none is closed while there is one whose request may be on its way.
 */
function spareNewcomers(listener: Server): void {
  const newcomers = new Map<Socket, number>();
  listener.on('connection', (socket: Socket) => {
    newcomers.set(socket, monotonicMs());
    socket.once('close', () => newcomers.delete(socket));
  });
  listener.on('request', ({ socket }) => newcomers.delete(socket));
  const closeIdle = listener.closeIdleConnections.bind(listener);
  listener.closeIdleConnections = () => {
    const old = monotonicMs() - NEWCOMER_MS;
    if ([...newcomers.values()].every((came) => came < old)) closeIdle();
  };
}

const QUIET_MS = 0.2;
const MOST_TURNS = 2000;

/**
 * Connections that wait to be accepted are reset when the listener closes, and the event loop
 * accepts one a turn: resolves right after a short turn in which none came.
 */
async function untilNobodyWaits(listener: Server): Promise<void> {
  let arrived = 0;
  const count = () => void arrived++;
  listener.on('connection', count);
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const [before, began] = [arrived, monotonicMs()];
    await afterPolling();
    if (arrived === before && monotonicMs() - began < QUIET_MS) break;
  }
  listener.off('connection', count);
}
