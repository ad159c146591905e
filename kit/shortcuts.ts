/**
 * Shortcuts past the framework, for a route that nearly always has the same small answer and is
 * asked more often than all others together. A shortcut answers the plain form of a request (no
 * query, no body, no key) by a caller who is known already; whatever is out of the ordinary, a
 * failure too, goes the usual way through the route of the same path.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { monotonicMs } from './clock.ts';
import { isCrowded } from './connections.ts';
import { observeAnswer } from './http.ts';
import { IDENTITY_HEADER, type Identity, type IdentitySigner, type Role } from './identity.ts';
import { requestIdOf } from './raw-requests.ts';
import { isTracing } from './telemetry.ts';

/** Header fields as Node takes them: name, value, name, value. */
export type RawFields = readonly string[];

export interface QuickReply {
  readonly status: number;
  readonly fields: RawFields;
}

export interface Shortcut<Context> {
  /** Of a POST route, with one {parameter} in the middle. */
  readonly path: string;
  readonly access: readonly Role[];
  /** Undefined: the usual way. The parameter consists of letters, digits and `_.:-`. */
  answer(
    parameter: string,
    identity: Identity,
    context: Context,
  ): Promise<QuickReply | undefined> | undefined;
}

/** What an entrance says of a request without having to ask anybody. */
export interface QuickEntrance {
  /** Undefined: the usual way. */
  recognise(request: IncomingMessage): Identity | undefined;
  /** Counts the request of this caller; the fields that tell so, or undefined: the usual way. */
  admit(identity: Identity): RawFields | undefined;
}

export interface BoundShortcut {
  readonly service: string;
  readonly shortcut: Shortcut<never>;
  readonly context: unknown;
}

export interface ShortcutOptions {
  readonly shortcuts: readonly BoundShortcut[];
  /** Absent: callers come with an identity that another process has signed. */
  readonly entrance: QuickEntrance | undefined;
  readonly signer: IdentitySigner;
  /** False while the process is ending: answers then ask their callers to hang up. */
  readonly isOpen: () => boolean;
}

type Take = (request: IncomingMessage, response: ServerResponse) => boolean;
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Puts the shortcuts in front of a server that is ready. Traces need the usual way. */
export function installShortcuts(app: FastifyInstance, options: ShortcutOptions): void {
  const { server } = app;
  const [usual] = server.listeners('request') as Handler[];
  if (usual === undefined || options.shortcuts.length === 0 || isTracing()) return;
  const crowded = () => isCrowded(server);
  const takes = options.shortcuts.map((bound) => createTake(bound, options, usual, crowded));
  server.removeListener('request', usual);
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    for (const take of takes) if (take(request, response)) return;
    usual(request, response);
  });
}

const PLAIN = /^[\w-][\w.:-]{0,127}$/;
const NOSNIFF = ['x-content-type-options', 'nosniff'] as const;

function createTake(
  { service, shortcut, context }: BoundShortcut,
  { entrance, signer, isOpen }: ShortcutOptions,
  usual: Handler,
  crowded: () => boolean,
): Take {
  const { path, access } = shortcut;
  const [before = '', after = ''] = path.split(/\{\w+\}/);
  const { recognise, admit } = entrance ?? signedEntrance(signer, service);
  return (request, response) => {
    const { url = '' } = request;
    if (!url.startsWith(before) || !url.endsWith(after) || !isBare(request) || !isOpen())
      return false;
    const parameter = url.slice(before.length, url.length - after.length);
    if (!PLAIN.test(parameter)) return false;
    const identity = recognise(request);
    if (!identity?.roles.some((role) => access.includes(role))) return false;
    const beganMs = monotonicMs();
    const answer = shortcut.answer(parameter, identity, context as never);
    if (answer === undefined) return false;
    answer.then(
      (reply) => {
        const fields = reply === undefined ? undefined : admit(identity);
        if (reply === undefined || fields === undefined) return usual(request, response);
        if (crowded()) response.shouldKeepAlive = false;
        response.writeHead(reply.status, [
          'x-request-id',
          requestIdOf(request),
          ...NOSNIFF,
          ...fields,
          ...reply.fields,
        ]);
        response.end();
        observeAnswer(service, path, reply.status, monotonicMs() - beganMs);
      },
      // The same failure is met again there, and told as it should be.
      () => usual(request, response),
    );
    return true;
  };
}

function isBare({ method, headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return (
    method === 'POST' &&
    (length === undefined || length === '0') &&
    headers['transfer-encoding'] === undefined &&
    headers['content-type'] === undefined &&
    headers['content-encoding'] === undefined &&
    headers['idempotency-key'] === undefined
  );
}

const NO_FIELDS: RawFields = [];

function signedEntrance(signer: IdentitySigner, service: string): QuickEntrance {
  return {
    recognise({ headers }) {
      const token = headers[IDENTITY_HEADER];
      if (typeof token !== 'string') return undefined;
      try {
        return signer.verify(token, service);
      } catch {
        return undefined;
      }
    },
    admit: () => NO_FIELDS,
  };
}
