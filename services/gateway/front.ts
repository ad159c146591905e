/**
 * The hook in front of every route of this process: strips what callers may not say,
 * authenticates, limits, and signs who it was for the service that owns the matched route. It runs
 * on every request: everything that can be done once is done at start.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { monotonicMs } from '@waybill/kit/clock.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { PLATFORM_AUDIENCE } from '@waybill/kit/health.ts';
import { IDENTITY_HEADER, type Identity, type IdentitySigner } from '@waybill/kit/identity.ts';
import { isCanonical, keepAllowed } from './headers.ts';
import { createOpenGuard, DEMO_ADMIN } from './open-mode.ts';
import { applyDecision, callerOfAddress, createLimiter } from './rate-limit.ts';
import type { Tokens } from './tokens.ts';

export interface FrontOptions {
  readonly mode: 'open' | 'jwt';
  /** ALLOW_OPEN=1 on an address that others reach. */
  readonly wide: boolean;
  /** Requests a minute and caller; 0 = no limit. */
  readonly rateLimit: number;
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

/** Installs the hook. */
export function installFront(app: FastifyInstance, options: FrontOptions): void {
  const { signer, tokens } = options;
  const open = options.mode === 'open';
  const guard = open ? createOpenGuard(options.wide) : undefined;
  const limits = open || options.rateLimit === 0 ? undefined : createLimits(options.rateLimit);
  const metricsCredentials =
    options.metricsToken === undefined ? undefined : `Bearer ${options.metricsToken}`;

  const admit = (
    request: FastifyRequest,
    reply: FastifyReply,
    config: RouteConfig,
    identity: Identity | undefined,
  ): void => {
    if (limits !== undefined && !PROBES.has(config.url ?? ''))
      limits.count(request, reply, identity);
    if (identity === undefined) return;
    const audience = config.url === '/metrics' ? PLATFORM_AUDIENCE : config.service;
    if (audience !== undefined)
      request.raw.headers[IDENTITY_HEADER] = signer.sign(identity, audience);
  };

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
        // Who guesses is slowed down by address; good tokens from there are counted by subject.
        limits?.count(request, reply, undefined);
        throw error;
      })
      .then((identity) => admit(request, reply, config, identity));
  });
}

function nothingHere(): Refusal {
  return new Refusal(404, 'not_found', 'There is nothing at this address.');
}

function sameText(given: string, expected: string | undefined): boolean {
  if (expected === undefined) return false;
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function createLimits(limit: number) {
  const quota = { limit, windowMs: 60_000 };
  const limiter = createLimiter(quota);
  return {
    count(request: FastifyRequest, reply: FastifyReply, identity: Identity | undefined): void {
      const caller =
        identity === undefined
          ? callerOfAddress(request.socket.remoteAddress)
          : `subject:${identity.subject}`;
      applyDecision(reply, quota, limiter.take(caller, monotonicMs()));
    },
  };
}
