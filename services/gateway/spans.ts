/**
 * The gateway's own span of each request: the first of the platform in a trace, around everything
 * that happens here, whether the service is in this process or behind the proxy. Without a
 * collector there is no hook, and it costs nothing.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isTracing, openSpan, type OpenSpan } from '@waybill/kit/telemetry.ts';

/** Asked every few seconds by machines; a trace of each would bury the others. */
const UNTRACED = new Set(['/livez', '/readyz', '/health', '/metrics']);

/** Installs the hooks; call it before any other hook is installed. */
export function installSpans(app: FastifyInstance): void {
  if (!isTracing()) return;
  const open = new WeakMap<FastifyRequest, OpenSpan>();
  app.addHook('onRequest', (request, reply, done) => {
    const { url = '' } = request.routeOptions;
    if (UNTRACED.has(url) || url.startsWith('/internal/')) return done();
    const { headers } = request.raw;
    const given = headers['traceparent'];
    const parent = typeof given === 'string' ? given : undefined;
    const span = openSpan(nameOf(request.method, url), 'SERVER', attributesOf(request), parent);
    open.set(request, span);
    headers['traceparent'] = span.traceparent;
    // Also emitted when the caller has hung up and nothing was answered.
    reply.raw.once('close', () => {
      const { statusCode } = reply.raw;
      span.end({ 'http.response.status_code': statusCode }, statusCode >= 500);
    });
    span.run(done);
  });
  // What follows a body runs where the body's bytes came from, and has to be brought back.
  app.addHook('preValidation', (request, _reply, done) => {
    const span = open.get(request);
    if (span === undefined) done();
    else span.run(done);
  });
}

function attributesOf({ method, routeOptions, id }: FastifyRequest) {
  return {
    'service.name': 'gateway',
    'http.request.method': method,
    'http.route': routePath(routeOptions.url ?? ''),
    'waybill.request_id': id,
  };
}

function nameOf(method: string, url: string): string {
  return url === '' ? method : `${method} ${routePath(url)}`;
}

function routePath(url: string): string {
  return url.replaceAll(/:(\w+)/g, '{$1}');
}
