/**
 * Which header fields a request keeps behind the entrance. An allow-list, because block-lists fail:
 * `x_username` and `x.username` pass those that know only `x-username`.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Identity } from '@waybill/kit/identity.ts';

const ALLOWED = new Set([
  'accept',
  'accept-language',
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'last-event-id',
  'prefer',
  'range',
  // Signed callbacks: the signature is what the payment provider is known by.
  'sandbox-signature',
  'stripe-signature',
  'traceparent',
  'tracestate',
  'transfer-encoding',
  'user-agent',
  'x-request-id',
]);

const FORWARDING = new Set([
  'cf-connecting-ip',
  'client-ip',
  'fastly-client-ip',
  'forwarded',
  'forwarded-for',
  'true-client-ip',
  'via',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-host',
  'x-original-forwarded-for',
  'x-original-host',
  'x-original-url',
  'x-real-ip',
  'x-rewrite-url',
]);

/** The fields on the allow-list alone: no credentials, no identity, no hop-by-hop field. */
export function keepAllowed(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept: IncomingHttpHeaders = {};
  for (const name in headers) if (ALLOWED.has(name)) kept[name] = headers[name];
  return kept;
}

const told = new WeakMap<Identity, Readonly<Record<string, string>>>();

/**
 * Tells services and their logs who calls. They believe the signed identity alone; these fields are
 * for people, and are spelled in ASCII: what else a name holds is percent-encoded.
 */
export function tellCaller(headers: IncomingHttpHeaders, identity: Identity): void {
  let fields = told.get(identity);
  if (fields === undefined) {
    const { subject, roles } = identity;
    const name = /^[\x21-\x24\x26-\x7e]+$/.test(subject) ? subject : encodeURIComponent(subject);
    fields = { 'x-username': name, 'x-roles': roles.join(',') };
    told.set(identity, fields);
  }
  Object.assign(headers, fields);
}

/** The name of a field that only a proxy adds, if there is one. */
export function forwardingHeader(headers: IncomingHttpHeaders): string | undefined {
  for (const name in headers) {
    if (ALLOWED.has(name)) continue;
    const plain = /[._]/.test(name) ? name.replaceAll(/[._]/g, '-') : name;
    if (FORWARDING.has(plain) || plain.startsWith('x-forwarded')) return name;
  }
  return undefined;
}

/**
 * Whether a request target is spelled the one way in which every reader understands it alike:
 * no empty or dot segment, no slash at the end, nothing escaped that need not be, no fragment.
 */
export function isCanonical(target: string): boolean {
  const question = target.indexOf('?');
  const path = question === -1 ? target : target.slice(0, question);
  if (path === '/') return true;
  if (path.charCodeAt(0) !== 47 || path.endsWith('/')) return false;
  if (path.includes('//') || /[^\x21-\x7e]|[#\\;]/.test(path)) return false;
  if (path.includes('/.') && /\/\.\.?(?:\/|$)/.test(path)) return false;
  return !path.includes('%') || !hasNeedlessEscape(path);
}

/** Letters, digits, `-._~`, slashes and control characters have no business being escaped. */
function hasNeedlessEscape(path: string): boolean {
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', at + 1)) {
    const hex = path.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return true;
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    if (character < ' ' || character === '\x7f' || /[\w.~/\\-]/.test(character)) return true;
  }
  return false;
}
