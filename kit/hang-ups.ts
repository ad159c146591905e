/** Whether a caller is still there to hear the answer. */
import type { Socket } from 'node:net';

const controllers = new WeakMap<Socket, AbortController>();

/**
 * Aborts when the connection closes. Of the connection, not of the request, whose `close` comes
 * when its body was read.
 */
export function hungUpSignal(socket: Socket): AbortSignal {
  const known = controllers.get(socket);
  if (known !== undefined) return known.signal;
  const controller = new AbortController();
  controllers.set(socket, controller);
  if (socket.destroyed) controller.abort();
  else socket.once('close', () => controller.abort());
  return controller.signal;
}
