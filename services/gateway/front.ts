/**
 * The hook in front of every route of this process: strips what callers may not say,
 * authenticates, limits, and signs who it was for the service that owns the matched route. It runs
 * on every request: everything that can be done once is done at start.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { authService } from '@waybill/auth/contract.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { PLATFORM_AUDIENCE } from '@waybill/kit/health.ts';
import {
  IDENTITY_HEADER,
  ORIGIN_HEADER,
  type Identity,
  type IdentitySigner,
} from '@waybill/kit/identity.ts';
import { sameText } from '@waybill/kit/secrets.ts';
import type { QuickEntrance } from '@waybill/kit/shortcuts.ts';
import { isCanonical, keepAllowed, tellCaller } from './headers.ts';
import { createOpenGuard, DEMO_ADMIN } from './open-mode.ts';
import { callerOfAddress, createLimits, type CountedLimits, type Limits } from './rate-limit.ts';
import type { Tokens } from './tokens.ts';

export interface FrontOptions {
  readonly mode: 'open' | 'jwt';
  /** ALLOW_OPEN=1 on an address that others reach. */
  readonly wide: boolean;
  readonly limits: Limits;
  readonly metricsToken: string | undefined;
  readonly tokens: Tokens;
  readonly signer: IdentitySigner;
}

/** What kit/http.ts and proxy.ts write into a route's configuration. */
interface RouteConfig {
  readonly url?: string;
  readonly service?: string;
}

/** Asked by whoever runs this process, all from one address; a limit would call it ill. */
const PROBES = new Set(['/livez', '/readyz', '/health']);

/** Installs the hook; returns what can be said of a caller without asking anybody. */
export function installFront(app: FastifyInstance, options: FrontOptions): QuickEntrance {
  const { signer, tokens } = options;
  const open = options.mode === 'open';
  const guard = open ? createOpenGuard(options.wide) : undefined;
  const limits = open ? undefined : createLimits(options.limits);
  const metricsCredentials =
    options.metricsToken === undefined ? undefined : `Bearer ${options.metricsToken}`;

  const admit = createAdmission(signer, limits);

  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = request;
    const config = request.routeOptions.config as RouteConfig;
    reply.header('x-content-type-options', 'nosniff');
    if (!isCanonical(raw.url ?? '')) throw nothingHere();
    if (config.url?.startsWith('/internal/') === true) {
      // Between services: the callee verifies the signature, and there is nothing else here.
      if (typeof raw.headers[IDENTITY_HEADER] !== 'string') throw nothingHere();
      return done();
    }
    guard?.(raw.headers);
    const { authorization } = raw.headers;
    raw.headers = keepAllowed(raw.headers);
    // Also in open mode a token that is sent decides, and a bad one is refused.
    if (authorization === undefined || config.url === undefined) {
      admit(request, reply, config, open ? DEMO_ADMIN : undefined);
      return done();
    }
    if (config.url === '/metrics' && sameText(authorization, metricsCredentials)) {
      raw.headers.authorization = authorization;
      return done();
    }
    const known = tokens.known(authorization);
    if (known !== undefined) {
      admit(request, reply, config, known);
      return done();
    }
    // Fastify awaits what a hook returns, so that only this rare path pays for promises.
    return tokens
      .verify(authorization)
      .catch((error: unknown) => {
        // Clients show a token that has run out when they come for a new one: they are nobody then.
        if (config.service === authService.name && error instanceof Refusal) return undefined;
        // Who guesses is slowed down by address; good tokens from there are counted by subject.
        limits?.count(request, reply, undefined);
        throw error;
      })
      .then((identity) => admit(request, reply, config, identity));
  });
  return {
    recognise({ headers }) {
      try {
        guard?.(headers);
      } catch {
        return undefined;
      }
      const { authorization } = headers;
      if (authorization !== undefined) return tokens.known(authorization);
      return open ? DEMO_ADMIN : undefined;
    },
    admit: (identity) => (limits === undefined ? [] : limits.poll(identity)),
  };
}

/** Counts a request, and tells the service that owns the route who it was, or that it is nobody. */
function createAdmission(signer: IdentitySigner, limits: CountedLimits | undefined) {
  return (
    request: FastifyRequest,
    reply: FastifyReply,
    config: RouteConfig,
    identity: Identity | undefined,
  ): void => {
    if (limits !== undefined && !PROBES.has(config.url ?? ''))
      limits.count(request, reply, identity);
    const { headers } = request.raw;
    headers['x-request-id'] = request.id;
    // Guesses are counted by address there, which behind a proxy is known here alone.
    if (config.service === authService.name)
      headers[ORIGIN_HEADER] = signer.sign(originOf(request), authService.name);
    if (identity === undefined) return;
    const audience = config.url === '/metrics' ? PLATFORM_AUDIENCE : config.service;
    if (audience === undefined) return;
    tellCaller(headers, identity);
    headers[IDENTITY_HEADER] = signer.sign(identity, audience);
  };
}

function originOf(request: FastifyRequest): Identity {
  return { subject: callerOfAddress(request.socket.remoteAddress), roles: [] };
}

function nothingHere(): Refusal {
  return new Refusal(404, 'not_found', 'There is nothing at this address.');
}
