/**
 * How many connections a server takes. Idle ones count: executors who poll once a minute would each
 * keep one between their polls, until nobody else got in.
 */
import type { Server } from 'node:net';

/** Each costs some 10 kB. */
const MAX_CONNECTIONS = 10_000;

const open = new WeakMap<Server, { count: number; readonly many: number }>();

/** Takes so many connections and no more; from half of them on the server counts as crowded. */
export function limitConnections(server: Server, most = MAX_CONNECTIONS): void {
  const connections = { count: 0, many: most / 2 };
  open.set(server, connections);
  server.maxConnections = most;
  server.on('connection', (socket) => {
    connections.count++;
    socket.once('close', () => connections.count--);
  });
}

/** Whether answers should ask their callers to hang up, so that others get in. */
export function isCrowded(server: Server): boolean {
  const connections = open.get(server);
  return connections !== undefined && connections.count > connections.many;
}
