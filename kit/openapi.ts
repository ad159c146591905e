/** OpenAPI 3.1 from route tables: the schemas are JSON Schema already. */
import { problem } from './errors.ts';
import { exampleOf } from './example.ts';
import { UPLOAD_TYPE, type Route } from './route.ts';
import { ProblemSchema, type TSchema } from './schema.ts';

export interface OpenApiPart {
  readonly tags: readonly { name: string; description: string }[];
  readonly paths: Record<string, Record<string, unknown>>;
  /** Schemas that have a title, by it. */
  readonly schemas?: Record<string, unknown>;
}

/** What a status means, and the codes that any operation may answer it with. */
const PROBLEMS: Readonly<Record<number, { text: string; codes: readonly string[] }>> = {
  400: {
    text: 'The request is malformed.',
    codes: ['invalid_path', 'malformed_json', 'malformed_request', 'repeated_parameter'],
  },
  401: { text: 'No valid token was sent, or a bad one.', codes: ['unauthenticated'] },
  403: { text: 'The caller may not do this.', codes: ['forbidden', 'open_mode_refused'] },
  404: {
    text: 'There is nothing at this address, or nothing that the caller may see.',
    codes: ['not_found'],
  },
  409: { text: 'It conflicts with the present state.', codes: [] },
  413: { text: 'The body is too large.', codes: ['body_too_large'] },
  415: {
    text: 'The media type or encoding is not accepted.',
    codes: ['unsupported_encoding', 'unsupported_media_type'],
  },
  422: {
    text: 'The content is not acceptable; `errors` lists every fault.',
    codes: ['invalid_body', 'invalid_query'],
  },
  429: { text: 'Too many requests; see Retry-After.', codes: ['rate_limited'] },
  503: { text: 'Something needed is away; see Retry-After.', codes: ['temporarily_unavailable'] },
};

/** What every operation with an Idempotency-Key may answer besides. */
const IDEMPOTENCY_REFUSALS: Readonly<Record<string, string>> = {
  '400 invalid_idempotency_key': 'the Idempotency-Key is not 1 to 255 visible ASCII characters',
  '409 request_in_progress': 'the first request with this Idempotency-Key is still running',
  '422 idempotency_key_reused': 'the Idempotency-Key came with another request before',
};

/** The published part of a service's routes. */
export function describeRoutes(
  name: string,
  description: string,
  routes: readonly Route<never>[],
): OpenApiPart {
  const paths: OpenApiPart['paths'] = {};
  for (const entry of routes) {
    if (entry.internal === true) continue;
    const path = (paths[entry.path] ??= {});
    path[entry.method.toLowerCase()] = describeRoute(name, entry);
  }
  const schemas: Record<string, unknown> = {};
  return {
    tags: [{ name, description }],
    paths: hoist(paths, schemas) as OpenApiPart['paths'],
    schemas,
  };
}

/** Moves every schema with a title to `schemas`, so that clients get one type for one thing. */
function hoist(part: unknown, schemas: Record<string, unknown>): unknown {
  if (typeof part !== 'object' || part === null) return part;
  if (Array.isArray(part)) return part.map((one) => hoist(one, schemas));
  const copy = Object.fromEntries(
    Object.entries(part).map(([key, value]) => [
      key,
      key === 'example' ? value : hoist(value, schemas),
    ]),
  );
  const { title, type } = copy as { title?: unknown; type?: unknown };
  if (typeof title !== 'string' || typeof type !== 'string') return copy;
  schemas[title] = copy;
  return { $ref: `#/components/schemas/${title}` };
}

function describeRoute(name: string, entry: Route<never>): Record<string, unknown> {
  const refusals = Object.entries({
    ...(entry.idempotent === true ? IDEMPOTENCY_REFUSALS : {}),
    ...entry.refusals,
  });
  const roles =
    entry.access === 'public' ? 'Anybody may call it.' : `For: ${entry.access.join(', ')}.`;
  const list = refusals.map(([code, when]) => `- \`${code}\`: ${when}`).join('\n');
  const paragraphs = [entry.description, roles, list === '' ? undefined : `Refusals:\n\n${list}`];
  return {
    tags: [name],
    operationId: operationIdOf(entry),
    summary: entry.summary,
    description: paragraphs.filter((text) => text !== undefined).join('\n\n'),
    security: entry.access === 'public' ? [] : [{ bearer: [] }],
    parameters: parametersOf(entry),
    ...requestBodyOf(entry),
    responses: responsesOf(
      entry,
      refusals.map(([code]) => code),
    ),
    // For machines what the description says: the noes that a well-formed request may get.
    'x-refusals': refusals.map(([code]) => code),
  };
}

function requestBodyOf({ body, bodyOptional, upload }: Route<never>): object {
  const required = bodyOptional !== true;
  if (upload !== undefined) {
    const schema = { type: 'string', format: 'binary', maxLength: upload.maxBytes };
    return { requestBody: { required, content: { [UPLOAD_TYPE]: { schema } } } };
  }
  if (body === undefined) return {};
  const content = { 'application/json': { schema: body, example: exampleOf(body) } };
  return { requestBody: { required, content } };
}

function operationIdOf(entry: Route<never>): string {
  if (entry.operationId !== undefined) return entry.operationId;
  const words = entry.path
    .replace(/^\/api\/v\d+\//, '')
    .split(/[/{}-]+/)
    .filter((word) => word !== '');
  return [entry.method.toLowerCase(), ...words]
    .map((word, index) => (index === 0 ? word : word[0]?.toUpperCase() + word.slice(1)))
    .join('');
}

interface ObjectSchema {
  properties?: Record<string, { description?: string }>;
  required?: string[];
}

function parametersOf(entry: Route<never>): unknown[] {
  const of = (where: 'path' | 'query', schema: ObjectSchema | undefined) =>
    Object.entries(schema?.properties ?? {}).map(([name, property]) => ({
      name,
      in: where,
      required: where === 'path' || schema?.required?.includes(name) === true,
      ...(property.description === undefined ? {} : { description: property.description }),
      schema: property,
    }));
  const key = {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description: 'Repeats of a request with the same key get the first answer again, for 24 h.',
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]{1,255}$' },
  };
  return [
    ...of('path', entry.params),
    ...of('query', entry.query),
    ...(entry.idempotent === true ? [key] : []),
  ];
}

function responsesOf(entry: Route<never>, refusals: readonly string[]): Record<string, unknown> {
  const responses: Record<string, unknown> = {};
  for (const [status, schema] of Object.entries(entry.replies))
    responses[status] = isSchema(schema)
      ? {
          description: (schema as { description?: string }).description ?? 'Done.',
          ...headersOf(entry, Number(status)),
          content: { 'application/json': { schema, example: exampleOf(schema) } },
        }
      : schema;
  // A token is judged wherever one is sent, and a foreign page or proxy refused everywhere.
  const statuses = new Set([400, 401, 403, 404, 422, 429, 503, ...refusals.map(statusOf)]);
  if (entry.method !== 'GET') statuses.add(413).add(415);
  for (const status of [...statuses].sort((a, b) => a - b))
    responses[status] ??= problemResponse(status, refusals);
  return responses;
}

function isSchema(reply: object): reply is TSchema {
  return 'type' in reply || 'anyOf' in reply;
}

function statusOf(refusal: string): number {
  return Number(refusal.slice(0, 3));
}

function headersOf(entry: Route<never>, status: number): object {
  const replayed = {
    description: 'Only there, as `true`, when the answer is the first one again.',
    schema: { type: 'string', enum: ['true'] },
  };
  const location = { description: 'Where the thing is.', schema: { type: 'string' } };
  const headers = {
    ...(entry.method === 'POST' && (status === 201 || (status === 202 && !entry.path.includes('{')))
      ? { Location: location }
      : {}),
    ...(entry.idempotent === true ? { 'Idempotent-Replayed': replayed } : {}),
  };
  return Object.keys(headers).length === 0 ? {} : { headers };
}

/** A problem reply with the codes that it may carry, so that clients can branch on them by type. */
function problemResponse(status: number, refusals: readonly string[]): object {
  const { text = 'Refused.', codes = [] } = PROBLEMS[status] ?? {};
  const own = refusals
    .filter((refusal) => statusOf(refusal) === status)
    .map((refusal) => refusal.slice(4));
  const all = [...new Set([...codes, ...own])].sort();
  const schema = {
    allOf: [
      { $ref: '#/components/schemas/Problem' },
      { type: 'object', properties: { code: { type: 'string', enum: all } } },
    ],
  };
  const code = own[0] ?? all[0] ?? 'refused';
  const example = problem(status, code, text);
  const headers =
    status === 429 || status === 503
      ? { headers: { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } } } }
      : {};
  return {
    description: text,
    ...headers,
    content: { 'application/problem+json': { schema, example } },
  };
}

/** Joins the services' parts into one document. */
export function assembleDocument(parts: readonly OpenApiPart[], version: string) {
  const { $id: _id, ...problemSchema } = ProblemSchema as unknown as Record<string, unknown>;
  return {
    openapi: '3.1.0',
    info: {
      title: 'Waybill',
      version,
      description:
        'An order platform: it takes an order from checkout to doorstep and back. Errors are ' +
        'RFC 9457 problem details with a stable `code`; money is a decimal number in major units.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: parts.flatMap((part) => part.tags),
    paths: Object.assign({}, ...parts.map((part) => part.paths)) as Record<string, unknown>,
    components: {
      schemas: Object.assign(
        { Problem: problemSchema },
        ...parts.map((part) => part.schemas),
      ) as Record<string, unknown>,
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  };
}
