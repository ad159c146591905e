/**
 * What keeps AUTH_MODE=open on this machine. Whoever gets through is an admin, so three things
 * that a caller on this machine never sends are refused: a header that a proxy adds, an Origin
 * other than our own (another site's page in a browser here), and a foreign Host (a name that
 * somebody else's DNS points at this machine, known as rebinding).
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { isLoopback } from '@waybill/kit/config.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { forwardingHeader } from './headers.ts';

/** Whom an anonymous caller acts as. */
export const DEMO_ADMIN: Identity = { subject: 'demo-admin', roles: ['admin', 'operator'] };

/**
 * Makes the check of one process.
 * @param wide ALLOW_OPEN=1 on an address that others reach: Host may then also be an IP address or
 *   a name without a dot (`gateway`, a container's own). Neither can be had from public DNS, so
 *   that rebinding stays impossible. Forwarding headers and foreign origins stay refused.
 */
export function createOpenGuard(wide: boolean): (headers: IncomingHttpHeaders) => void {
  // Nearly every request of a process names the same host.
  let lastGood: string | undefined;
  return (headers) => {
    const { host, origin } = headers;
    if (host === undefined || host !== lastGood) {
      if (!isOwnHost(host, wide)) throw refused('Its Host is not this machine.');
      lastGood = host;
    }
    if (origin !== undefined && !isOwnOrigin(origin, host))
      throw refused('It was sent by a page of another origin.');
    const forwarding = forwardingHeader(headers);
    if (forwarding !== undefined) throw refused(`It came through a proxy ("${forwarding}").`);
  };
}

function isOwnHost(host: string | undefined, wide: boolean): boolean {
  const [, name] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(host ?? '') ?? [];
  if (name === undefined) return false;
  const plain = name.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  return isLoopback(plain) || (wide && (isIP(plain) !== 0 || !plain.includes('.')));
}

function isOwnOrigin(origin: string, host: string | undefined): boolean {
  const own = `//${host ?? ''}`.toLowerCase();
  const given = origin.toLowerCase();
  return given === `http:${own}` || given === `https:${own}`;
}

function refused(reason: string): Refusal {
  return new Refusal(
    403,
    'open_mode_refused',
    `AUTH_MODE=open serves this machine alone, and this request is not from it: ${reason} ` +
      'Use AUTH_MODE=jwt where others may call.',
  );
}
