import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';

export interface Problem {
  readonly code: string;
  readonly message: string;
}

const BODY_LIMIT_BYTES = 16_384;
const LONGEST_PATH_PART = 1_024;

/** A server without routes that takes its schemas at their word and answers `{code, message}`. */
export function createApp(): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { maxParamLength: LONGEST_PATH_PART },
    ajv: {
      customOptions: { removeAdditional: false, coerceTypes: false, allErrors: true },
    },
  });

  app.setErrorHandler<Error & Partial<Faulty>>((error, _request, reply) => {
    if (error.validation !== undefined) {
      const faults = error.validation.map((fault) => ({
        pointer: pointerOf(fault),
        detail: fault.message ?? fault.keyword,
      }));
      const message = faults.map((fault) => `${fault.pointer || '/'} ${fault.detail}`).join('; ');
      return reply.code(422).send({ code: 'validation_failed', message, faults });
    }
    const status = error.statusCode ?? 500;
    if (status < 500) return reply.code(status).send(problem('bad_request', error.message));
    if (status === 503) return reply.code(503).send(problem('unavailable', error.message));
    return reply.code(status).send(problem('internal_error', 'Something went wrong on our side'));
  });

  // Not `not_found`, which says that a key was never used.
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send(problem('no_such_route', `${request.method} ${request.url}`)),
  );
  return app;
}

export function problem(code: string, message: string): Problem {
  return { code, message };
}

interface SchemaFault {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string;
  readonly params: Record<string, unknown>;
}

interface Faulty {
  readonly statusCode: number;
  readonly validation: readonly SchemaFault[];
}

/** A missing or unknown member is named itself, not by the object around it. */
function pointerOf(fault: SchemaFault): string {
  const member = fault.params['missingProperty'] ?? fault.params['additionalProperty'];
  return typeof member === 'string' ? `${fault.instancePath}/${member}` : fault.instancePath;
}
