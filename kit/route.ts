/**
 * Routes as data: path, schemas, who may, and a function from call to reply. kit/http.ts mounts
 * them, kit/openapi.ts documents them, and tests walk them.
 */
import type { FastifyBaseLogger } from 'fastify';
import type { Deadline } from './deadline.ts';
import type { IdempotencyKey } from './idempotency.ts';
import type { Identity, Role } from './identity.ts';
import type { Static, TSchema } from './schema.ts';

/** `public`: anybody, also without a token. Otherwise the caller needs one of the roles. */
export type Access = 'public' | readonly Role[];

type Of<Schema> = Schema extends TSchema ? Static<Schema> : undefined;

/** One request as a handler sees it: parsed, validated, authenticated. */
export interface Call<Params = undefined, Query = undefined, Body = undefined> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly identity: Identity;
  /** The Idempotency-Key with its scope and fingerprint, when one was sent. */
  readonly idempotency: IdempotencyKey | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body's bytes as they came; only where the route asks for them, or is an upload. */
  readonly rawBody: Buffer | undefined;
  readonly deadline: Deadline;
  readonly requestId: string;
  /** From where it came: as the entrance says, or else the connection's own address. */
  readonly origin: string;
  /** Aborts when the caller has hung up before the answer; for handlers that wait. */
  readonly hungUp: AbortSignal;
  readonly log: FastifyBaseLogger;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A body of bytes that mean nothing to the kit, in `rawBody`: application/octet-stream alone. */
export interface Upload {
  /** At most MAX_UPLOAD_BYTES. */
  readonly maxBytes: number;
}

/** Under which media type uploads come, whatever they hold. */
export const UPLOAD_TYPE = 'application/octet-stream';

/** What any entrance takes in for one upload. */
export const MAX_UPLOAD_BYTES = 10 * 1024 * 1024;

export interface Route<Context = never> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With `{name}` parameters, as in OpenAPI. */
  readonly path: string;
  readonly access: Access;
  readonly summary: string;
  readonly description?: string;
  /** Its name in the document, where the one made of its path is another's. */
  readonly operationId?: string;
  readonly params?: TSchema;
  readonly query?: TSchema;
  readonly body?: TSchema;
  /** Takes no body, an optional or a required one. Default: required when there is a schema. */
  readonly bodyOptional?: boolean;
  /** Success replies by status; problem replies are added by the kit. */
  readonly replies: Readonly<Record<number, TSchema | { description: string }>>;
  /** Refusals it may answer, as `status code: when`, beyond the ones that every route has. */
  readonly refusals?: Readonly<Record<string, string>>;
  /** Whether Idempotency-Key is honoured; a repeat has the same path, query and body. */
  readonly idempotent?: boolean;
  /** The query says how to answer, not what to do: a repeat may come with another one. */
  readonly anyQuery?: boolean;
  /** Keep the raw bytes (signed callbacks); any JSON content type rule still holds. */
  readonly rawBody?: boolean;
  /** Takes an upload instead of JSON. */
  readonly upload?: Upload;
  /** Left out of the published document (service to service). */
  readonly internal?: boolean;
  handle(call: Call<never, never, never>, context: Context): Promise<Reply>;
}

/** Declares a route with the types of its schemas. */
export function route<
  Context,
  Params extends TSchema | undefined = undefined,
  Query extends TSchema | undefined = undefined,
  Body extends TSchema | undefined = undefined,
>(
  definition: Omit<Route<Context>, 'params' | 'query' | 'body' | 'handle'> & {
    readonly params?: Params;
    readonly query?: Query;
    readonly body?: Body;
    handle(call: Call<Of<Params>, Of<Query>, Of<Body>>, context: Context): Promise<Reply>;
  },
): Route<Context> {
  return definition as unknown as Route<Context>;
}
