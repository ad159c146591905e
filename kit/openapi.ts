/** OpenAPI 3.1 from route tables: the schemas are JSON Schema already. */
import type { Route } from './route.ts';
import { ProblemSchema } from './schema.ts';

export interface OpenApiPart {
  readonly tags: readonly { name: string; description: string }[];
  readonly paths: Record<string, Record<string, unknown>>;
}

const PROBLEMS: Readonly<Record<number, string>> = {
  400: 'The request is malformed.',
  401: 'No valid token was sent.',
  403: 'The caller may not do this.',
  404: 'There is nothing at this address, or nothing that the caller may see.',
  409: 'It conflicts with the present state.',
  413: 'The body is too large.',
  415: 'The media type or encoding is not accepted.',
  422: 'The content is not acceptable; `errors` lists every fault.',
  429: 'Too many requests; see Retry-After.',
  503: 'Something needed is away; see Retry-After.',
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
  return { tags: [{ name, description }], paths };
}

function describeRoute(name: string, entry: Route<never>): Record<string, unknown> {
  const refusals = Object.entries(entry.refusals ?? {});
  return {
    tags: [name],
    operationId: operationIdOf(entry),
    summary: entry.summary,
    description: [
      entry.description,
      entry.access === 'public' ? 'Anybody may call it.' : `For: ${entry.access.join(', ')}.`,
      ...refusals.map(([code, when]) => `- \`${code}\`: ${when}`),
    ]
      .filter((line) => line !== undefined)
      .join('\n\n'),
    security: entry.access === 'public' ? [] : [{ bearer: [] }],
    parameters: parametersOf(entry),
    ...(entry.body === undefined
      ? {}
      : {
          requestBody: {
            required: entry.bodyOptional !== true,
            content: { 'application/json': { schema: entry.body } },
          },
        }),
    responses: responsesOf(entry, refusals.map(([code]) => code)),
  };
}

function operationIdOf(entry: Route<never>): string {
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
    description: 'Repeats with the same key and body get the first answer again, for 24 h.',
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]{1,255}$' },
  };
  return [
    ...of('path', entry.params as ObjectSchema | undefined),
    ...of('query', entry.query as ObjectSchema | undefined),
    ...(entry.idempotent === true ? [key] : []),
  ];
}

function responsesOf(entry: Route<never>, codes: readonly string[]): Record<string, unknown> {
  const responses: Record<string, unknown> = {};
  for (const [status, schema] of Object.entries(entry.replies))
    responses[status] =
      'type' in schema || 'anyOf' in schema
        ? {
            description: (schema as { description?: string }).description ?? 'Done.',
            content: { 'application/json': { schema } },
          }
        : schema;
  const statuses = new Set([400, 404, 422, 429, 503, ...codes.map((code) => Number(code.slice(0, 3)))]);
  if (entry.access !== 'public') statuses.add(401).add(403);
  if (entry.method !== 'GET') statuses.add(413).add(415);
  if (entry.idempotent === true) statuses.add(409);
  for (const status of [...statuses].sort())
    responses[status] ??= {
      description: PROBLEMS[status] ?? 'Refused.',
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    };
  return responses;
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
      schemas: { Problem: problemSchema },
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  };
}
