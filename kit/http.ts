/**
 * The HTTP server: Fastify with the defaults that a careful service needs, and the mounting of
 * route tables. Bodies and parameters are validated strictly; every error is RFC 9457.
 */
import Fastify, {
  LogController,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { ErrorObject } from 'ajv';
import { monotonicMs } from './clock.ts';
import { isCrowded, limitConnections } from './connections.ts';
import { DEADLINE_HEADER, deadlineIn } from './deadline.ts';
import { Outage, Refusal, invalidBody, sentenceOf, toProblem } from './errors.ts';
import { hungUpSignal } from './hang-ups.ts';
import { idempotencyKeyOf, type IdempotencyKey } from './idempotency.ts';
import {
  IDENTITY_HEADER,
  ORIGIN_HEADER,
  unauthenticated,
  type Identity,
  type IdentitySigner,
} from './identity.ts';
import { parseStrictJson } from './json.ts';
import type { Logger } from './logger.ts';
import { MAX_HEAD_BYTES, originForm, refuseUnparsable, requestIdOf } from './raw-requests.ts';
import { MAX_UPLOAD_BYTES, UPLOAD_TYPE, type Call, type Reply, type Route } from './route.ts';
import { counter, histogram, inSpan, traceIdOf } from './telemetry.ts';
import {
  compileBody,
  compileParameters,
  createValidators,
  faultsOf,
  refuseAmbiguousQuery,
  repeatableIn,
  type Query,
} from './validation.ts';
export type { FastifyInstance, FastifyReply, FastifyRequest };

declare module 'fastify' {
  interface FastifyRequest {
    rawBody?: Buffer;
    startedMs: number;
  }
}

const BODY_LIMIT = 1024 * 1024;
const REQUEST_MS = 30_000;

/** A server without routes. `log` is the process's logger. */
export function createServer(log: Logger, maxConnections?: number): FastifyInstance {
  const validators = createValidators();
  const app = Fastify({
    loggerInstance: log as never,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: 65_000,
    // Node looks every 30 s by default, which would make the time-outs above three times as long.
    http: {
      headersTimeout: 10_000,
      maxHeaderSize: MAX_HEAD_BYTES,
      connectionsCheckingInterval: 2000,
    },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    genReqId: requestIdOf,
    rewriteUrl: originForm,
    routerOptions: { maxParamLength: 500 },
    clientErrorHandler: refuseUnparsable,
    frameworkErrors: (error, request, reply) => {
      void sendProblem(error, request, reply);
    },
  }) as unknown as FastifyInstance;
  // A logger for each request costs 4 % of an acceptance; lines name the request instead.
  app.setChildLoggerFactory((logger) => logger);
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? compileBody : compileParameters)(validators, schema as object),
  );
  limitConnections(app.server, maxConnections);
  // Expectations other than 100-continue may be passed over (RFC 9110, 10.1.1). Node answers 417.
  app.server.on('checkExpectation', (request, response) =>
    app.server.emit('request', request, response),
  );
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, readJsonBody);
  // Only routes that take uploads come here, each with its own limit: others refuse the type.
  app.addContentTypeParser(UPLOAD_TYPE, { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    request.rawBody = body;
    done(null);
  });
  app.addHook('onRequest', refuseBadEnvelope);
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) =>
    sendProblem(new Refusal(404, 'not_found', 'There is nothing at this address.'), request, reply),
  );
  return app;
}

const JSON_TYPE = /^application\/json(?: *; *charset="?utf-8"?)?$/i;

/** Refuses what proxies and frameworks are known to read differently from each other. */
function refuseBadEnvelope(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  request.startedMs = monotonicMs();
  reply.header('x-request-id', request.id);
  if (isCrowded(request.server.server)) reply.raw.shouldKeepAlive = false;
  const { headers, method } = request.raw;
  if (method === 'GET' || method === 'HEAD') return done();
  if (headers['content-encoding'] !== undefined)
    throw new Refusal(415, 'unsupported_encoding', 'Bodies are accepted uncompressed only.');
  const type = headers['content-type'];
  const empty = headers['content-length'] === '0' || !('content-length' in headers);
  const { anyType, upload } = request.routeOptions.config as RouteConfig;
  const fits = (named: string) =>
    upload === true ? named.toLowerCase() === UPLOAD_TYPE : JSON_TYPE.test(named);
  if (type === undefined ? !empty || 'transfer-encoding' in headers : !fits(type))
    if (anyType !== true) throw wrongMediaType(request);
  done();
}

/** What the mounting of routes and proxies tells the hooks. */
interface RouteConfig {
  readonly anyType?: boolean;
  readonly upload?: boolean;
}

function wrongMediaType(request: FastifyRequest): Refusal {
  const { upload } = request.routeOptions.config as RouteConfig;
  const type = upload === true ? UPLOAD_TYPE : 'application/json';
  return new Refusal(415, 'unsupported_media_type', `The body must be ${type}.`);
}

function readJsonBody(
  request: FastifyRequest,
  body: Buffer,
  done: (error: Error | null, value?: unknown) => void,
): void {
  try {
    if ((request.routeOptions.config as { rawBody?: boolean }).rawBody === true)
      request.rawBody = body;
    done(null, body.length === 0 ? undefined : parseStrictJson(body));
  } catch (error) {
    done(error as Error);
  }
}

const errorsTotal = counter('waybill_errors_total', 'Errors answered, by kind', ['kind']);

/** Answers any error as a problem, and logs it as its kind asks. */
function sendProblem(
  error: Error | FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const known = refusalOf(error, request);
  const body = toProblem(known, request.id);
  // The span has ended, or none was begun: the line names the trace by itself.
  const about = { reqId: request.id, trace_id: traceIdOf(request.raw.headers['traceparent']) };
  if (known instanceof Refusal) {
    request.log.info({ ...about, code: known.code }, 'refused');
    reply.headers(known.headers);
  } else if (known instanceof Outage) {
    errorsTotal.inc({ kind: 'outage' });
    const { target, message: reason } = known;
    request.log.warn({ ...about, target, reason }, 'an outage was answered');
    reply.header('retry-after', String(known.retryAfterSeconds));
  } else {
    errorsTotal.inc({ kind: 'bug' });
    request.log.error({ ...about, err: error }, 'a bug was answered');
  }
  return reply.status(body.status).type('application/problem+json').send(JSON.stringify(body));
}

type Validated = Omit<FastifyError, 'validationContext'> & { validationContext?: string };

/** Fastify's own errors as refusals; anything else unchanged. */
function refusalOf(error: Error | FastifyError, request: FastifyRequest): unknown {
  if (error instanceof Refusal || error instanceof Outage) return error;
  const { validation, validationContext, code, statusCode } = error as Validated;
  if (validation !== undefined) {
    const part = validationContext ?? 'body';
    const faults = faultsOf(validation as ErrorObject[], part);
    if (part === 'body') return invalidBody(faults);
    const [status, refused] = part === 'params' ? [400, 'invalid_path'] : [422, 'invalid_query'];
    return new Refusal(status, refused, sentenceOf(faults), { faults });
  }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge(request);
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH')
    return wrongMediaType(request);
  if (code === 'FST_ERR_MAX_PARAM_LENGTH' || statusCode === 414)
    return new Refusal(400, 'invalid_path', 'A part of the path is too long.');
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Refusal(statusCode, 'malformed_request', error.message.slice(0, 200));
  return error;
}

function tooLarge({ routeOptions, headers }: FastifyRequest): Refusal {
  const { anyType } = routeOptions.config as RouteConfig;
  const own = routeOptions.bodyLimit ?? BODY_LIMIT;
  const limit =
    anyType === true && headers['content-type'] === UPLOAD_TYPE ? MAX_UPLOAD_BYTES : own;
  return new Refusal(413, 'body_too_large', `A body has at most ${limit} bytes.`);
}

const duration = histogram('waybill_http_request_duration_seconds', 'Time to answer', [
  'service',
  'route',
  'method',
  'status',
]);

/** Counts an answer that was not given by a mounted route. */
export function observeAnswer(service: string, route: string, status: number, ms: number): void {
  duration.observe({ service, route, method: 'POST', status: String(status) }, ms / 1000);
}

export interface MountOptions<Context> {
  readonly service: string;
  readonly routes: readonly Route<Context>[];
  readonly context: Context;
  readonly signer: IdentitySigner;
  readonly idempotencySecret: Buffer;
}

/** Mounts a service's routes; identity is verified here, by the service itself. */
export function mountRoutes<Context>(app: FastifyInstance, options: MountOptions<Context>): void {
  for (const entry of options.routes) mountRoute(app, entry, options);
}

function mountRoute<Context>(
  app: FastifyInstance,
  entry: Route<Context>,
  options: MountOptions<Context>,
): void {
  const { service, signer, context } = options;
  const { method, path } = entry;
  const name = `${method} ${path}`;
  const attributes = { 'http.route': path, 'service.name': service };
  const handle = entry.handle.bind(entry);
  const many = repeatableIn(entry.query);
  app.route({
    method,
    url: path.replaceAll(/\{(\w+)\}/g, ':$1'),
    config: { rawBody: entry.rawBody === true, upload: entry.upload !== undefined, service },
    ...(entry.upload === undefined ? {} : { bodyLimit: entry.upload.maxBytes }),
    schema: {
      ...(entry.params === undefined ? {} : { params: entry.params }),
      ...(entry.query === undefined ? {} : { querystring: entry.query }),
      ...(entry.body === undefined ? {} : { body: bodySchemaOf(entry.body, entry.bodyOptional) }),
      response: responsesOf(entry),
    },
    onRequest: (request, _reply, done) => {
      if (!mayCall(entry, identify(request, signer, service)))
        throw new Refusal(403, 'forbidden', 'Your role does not allow this.');
      refuseAmbiguousQuery(request.query as Query, many);
      done();
    },
    onResponse: (request, reply, done) => {
      const seconds = (monotonicMs() - request.startedMs) / 1000;
      duration.observe({ service, route: path, method, status: String(reply.statusCode) }, seconds);
      done();
    },
    handler: async (request, reply) => {
      const call = callOf(request, entry, options);
      const parent = request.headers['traceparent'];
      const work = () => handle(call, context);
      const from = typeof parent === 'string' ? parent : undefined;
      return send(reply, await inSpan(name, 'SERVER', attributes, work, from));
    },
  });
}

type AnyCall = Call<never, never, never>;

function callOf<Context>(
  request: FastifyRequest,
  entry: Route<Context>,
  options: MountOptions<Context>,
): AnyCall {
  const { service, signer } = options;
  const identity = identify(request, signer, service);
  return {
    params: request.params,
    query: request.query,
    body: request.body,
    identity,
    idempotency: entry.idempotent === true ? keyOf(request, entry, options, identity) : undefined,
    headers: request.headers,
    rawBody: request.rawBody,
    deadline: deadlineIn(deadlineOf(request)),
    requestId: request.id,
    get origin() {
      return originOf(request, signer, service);
    },
    get hungUp() {
      return hungUpSignal(request.raw.socket);
    },
    log: request.log,
  } as unknown as AnyCall;
}

/** The Idempotency-Key: bound to caller and path, repeated with the same query and body. */
function keyOf<Context>(
  request: FastifyRequest,
  { method, path, query, anyQuery }: Route<Context>,
  { service, idempotencySecret }: MountOptions<Context>,
  { subject }: Identity,
): IdempotencyKey | undefined {
  const target = path.includes('{') ? JSON.stringify(request.params).normalize('NFC') : '';
  const body = request.body ?? request.rawBody ?? null;
  return idempotencyKeyOf(
    request.headers['idempotency-key'],
    `${subject} ${service} ${method} ${path} ${target}`,
    query === undefined || anyQuery === true ? [body] : [request.query ?? {}, body],
    idempotencySecret,
  );
}

/** A body that is text already is sent as it is; so are bytes, under the type that they name. */
function send(reply: FastifyReply, { status, headers, body }: Reply): FastifyReply {
  reply.status(status);
  if (headers !== undefined) reply.headers(headers);
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return reply.send(body);
  return reply
    .type(headers?.['content-type'] ?? 'application/json; charset=utf-8')
    .serializer((text: string) => text)
    .send(body);
}

function bodySchemaOf(schema: object, optional = false): object {
  // Not `anyOf` with null, which would name both as faults of a body that fits neither.
  return optional ? { ...schema, nullable: true } : schema;
}

function responsesOf(entry: Route<never>): Record<number, unknown> {
  const responses: Record<number, unknown> = {};
  for (const [status, schema] of Object.entries(entry.replies))
    if ('type' in schema || 'anyOf' in schema || '$ref' in schema)
      responses[Number(status)] = schema;
  return responses;
}

const NOBODY: Identity = { subject: 'anonymous', roles: [] };

function identify(request: FastifyRequest, signer: IdentitySigner, service: string): Identity {
  const token = request.raw.headers[IDENTITY_HEADER];
  return typeof token === 'string' ? signer.verify(token, service) : NOBODY;
}

function originOf(request: FastifyRequest, signer: IdentitySigner, service: string): string {
  const told = request.raw.headers[ORIGIN_HEADER];
  if (typeof told === 'string') return signer.verify(told, service).subject;
  return `address:${request.socket.remoteAddress ?? 'unknown'}`;
}

function mayCall(entry: Pick<Route, 'access'>, identity: Identity): boolean {
  if (entry.access === 'public') return true;
  if (identity === NOBODY) throw unauthenticated();
  return identity.roles.some((role) => (entry.access as readonly string[]).includes(role));
}

function deadlineOf(request: FastifyRequest): number {
  const given = Number(request.headers[DEADLINE_HEADER]);
  return Number.isFinite(given) && given > 0 ? Math.min(given, REQUEST_MS) : REQUEST_MS;
}
