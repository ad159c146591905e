/** The address that a process listens on, and why it cannot. */
import { createServer } from 'node:net';

/** Rejects with a sentence when nobody could listen there: to be told before the rest starts. */
export async function checkAddress(host: string, port: number): Promise<void> {
  const probe = createServer();
  try {
    await new Promise<void>((done, fail) => {
      probe.once('error', fail);
      probe.listen({ host, port, exclusive: true }, done);
    });
  } catch (error) {
    throw describeListenFailure(error as NodeJS.ErrnoException, host, port);
  }
  await new Promise((done) => probe.close(done));
}

/** A sentence for the person who set HOST and PORT. */
export function describeListenFailure(
  error: NodeJS.ErrnoException,
  host: string,
  port: number,
): Error {
  const reasons: Record<string, string> = {
    EADDRINUSE: `Port ${port} on ${host} is in use; set PORT to a free one.`,
    EACCES: `Port ${port} on ${host} may not be used by this user; set PORT to one above 1023.`,
    EADDRNOTAVAIL: `HOST=${host} is not an address of this machine.`,
    ENOTFOUND: `HOST=${host} is not a name that this machine knows.`,
  };
  const text = reasons[error.code ?? ''];
  return text === undefined ? error : new Error(text, { cause: error });
}
