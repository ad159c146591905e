/** Requests before they are any route's: their target, their id, and what is no request at all. */
import type { Socket } from 'node:net';
import { problem } from './errors.ts';
import { newId } from './ids.ts';

/**
 * A target in absolute form counts as its path, and its authority as the Host, whatever the header
 * says (RFC 9112, 3.2.2).
 */
export function originForm(raw: RawTarget): string {
  const target = raw.url ?? '/';
  if (target.startsWith('/')) return target;
  const [, authority, rest = ''] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target) ?? [];
  if (authority === undefined) return target;
  raw.headers.host = authority;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

interface RawTarget {
  url?: string | undefined;
  headers: { host?: string | undefined };
}

/** The id that the caller gave the request, if it is usable; else a new one. */
export function requestIdOf(raw: {
  headers: Record<string, string | string[] | undefined>;
}): string {
  const given = raw.headers['x-request-id'];
  return typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : newId();
}

/** What a request's line and fields may be together. */
export const MAX_HEAD_BYTES = 16 * 1024;

type Answer = readonly [status: number, code: string, detail: string];
const NOT_HTTP: Answer = [400, 'malformed_request', 'The request is not HTTP.'];
const UNPARSABLE: Readonly<Record<string, Answer>> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'headers_too_large',
    `The request line and the headers are together larger than ${MAX_HEAD_BYTES} bytes.`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout', 'The request took too long to arrive.'],
};

/** A request that Node's parser refused never reaches a route; it gets a problem all the same. */
export function refuseUnparsable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, detail] = UNPARSABLE[error.code ?? ''] ?? NOT_HTTP;
  const body = JSON.stringify(problem(status, code, detail));
  socket.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
