/**
 * Hands requests to services in other processes. The body is taken in whole first (1 MiB at most,
 * 10 MiB of an upload): a slow sender then holds no connection of the service, the length is
 * certain, and the request can go to the next instance. Answers are streamed, but for small ones.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { monotonicMs } from '@waybill/kit/clock.ts';
import { DEADLINE_HEADER, deadlineIn } from '@waybill/kit/deadline.ts';
import type { Topology } from '@waybill/kit/discovery.ts';
import { IDENTITY_HEADER, unauthenticated } from '@waybill/kit/identity.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { MAX_UPLOAD_BYTES, UPLOAD_TYPE } from '@waybill/kit/route.ts';
import { currentTraceparent, histogram, inSpan } from '@waybill/kit/telemetry.ts';
import { openInstances, type Answer, type Exchange, type Instances } from './instances.ts';
import type { Upstream } from './upstreams.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const REPEATABLE = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);
/** Asks to wait until there is something (chapter D). */
const WAITS = /[?&]wait=/;
const TOTAL_MS = 30_000;

/** Fields that speak of one connection, or that are the gateway's to say. */
const NOT_PASSED_BACK = new Set([
  'connection',
  'date',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'ratelimit',
  'ratelimit-policy',
  'server',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const duration = histogram('waybill_http_request_duration_seconds', 'Time to answer', [
  'service',
  'route',
  'method',
  'status',
]);

/** Mounts the prefixes of every service that does not run in this process. */
export async function mountProxies(
  app: FastifyInstance,
  upstreams: readonly Upstream[],
  topology: Topology,
  log: Logger,
): Promise<void> {
  for (const upstream of upstreams) {
    if (topology.isLocal(upstream.name)) continue;
    const bases = topology.instancesOf(upstream.name);
    if (bases.length === 0)
      log.warn(`${upstream.name} runs neither here nor anywhere that DISCOVERY_URL names`);
    const instances = openInstances(upstream.name, bases);
    app.addHook('onClose', () => instances.close());
    await app.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      const keep = (_request: FastifyRequest, body: Buffer, done: Parsed) => done(null, body);
      scope.addContentTypeParser('*', { parseAs: 'buffer' }, keep);
      const upload = { parseAs: 'buffer', bodyLimit: MAX_UPLOAD_BYTES } as const;
      scope.addContentTypeParser(UPLOAD_TYPE, upload, keep);
      for (const path of upstream.paths) {
        mount(scope, upstream.name, path, path, instances);
        mount(scope, upstream.name, path, `${path}/*`, instances);
      }
    });
  }
}

type Parsed = (error: null, body: Buffer) => void;

function mount(
  scope: FastifyInstance,
  service: string,
  prefix: string,
  url: string,
  instances: Instances,
): void {
  const route = `${prefix}/*`;
  scope.route({
    method: METHODS,
    url,
    // The service judges the media type, as it does when it is called directly.
    config: { service, anyType: true } as object,
    onRequest: (request, _reply, done) => {
      // Ten times the memory of other requests is for callers who are known.
      const { headers } = request.raw;
      if (headers['content-type']?.startsWith(UPLOAD_TYPE) && !headers[IDENTITY_HEADER])
        throw unauthenticated();
      done();
    },
    handler: (request, reply) =>
      inSpan(
        `${request.method} ${service}`,
        'CLIENT',
        { 'service.name': 'gateway', 'peer.service': service },
        () => relay(request, reply, instances),
        request.headers['traceparent'] as string | undefined,
      ),
    onResponse: (request, reply, done) => {
      const labels = { service: 'gateway', route, method: request.method };
      const seconds = (monotonicMs() - request.startedMs) / 1000;
      duration.observe({ ...labels, status: String(reply.statusCode) }, seconds);
      done();
    },
  });
}

async function relay(
  request: FastifyRequest,
  reply: FastifyReply,
  instances: Instances,
): Promise<FastifyReply> {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const exchange: Exchange = {
    method: request.method,
    path: request.raw.url ?? '/',
    headers: headersFor(request),
    body: request.body as Buffer | undefined,
    repeatable: REPEATABLE.has(request.method) || request.headers['idempotency-key'] !== undefined,
    waits: WAITS.test(request.raw.url ?? ''),
    deadline: deadlineIn(TOTAL_MS),
    signal: gone.signal,
  };
  let answer: Answer;
  try {
    answer = await instances.send(exchange);
  } catch (error) {
    if (!gone.signal.aborted) throw error;
    // The caller hung up: there is nobody to answer, and nothing was wrong.
    return reply.hijack();
  }
  passBack(answer, reply);
  const empty = Buffer.isBuffer(answer.body) && answer.body.length === 0;
  return empty ? reply.send() : reply.send(answer.body);
}

/** What the front hook left, plus trace, request id and deadline; framing is the client's own. */
function headersFor(request: FastifyRequest): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.raw.headers))
    if (typeof value === 'string') headers[name] = value;
  delete headers['host'];
  delete headers['content-length'];
  delete headers['transfer-encoding'];
  const traceparent = currentTraceparent();
  if (traceparent !== undefined) headers['traceparent'] = traceparent;
  headers['x-request-id'] = request.id;
  headers[DEADLINE_HEADER] = String(TOTAL_MS);
  return headers;
}

function passBack(answer: Answer, reply: FastifyReply): void {
  const ofConnection = new Set(
    String(answer.headers['connection'] ?? '')
      .toLowerCase()
      .split(/ *, */),
  );
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value === undefined || NOT_PASSED_BACK.has(name) || ofConnection.has(name)) continue;
    if (name.startsWith('waybill-')) continue;
    reply.header(name, value);
  }
  reply.status(answer.status);
}
