/** The API document of the whole platform, from the parts of the services wherever they run. */
import { monotonicMs } from '@waybill/kit/clock.ts';
import type { Client } from '@waybill/kit/client.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import type { Topology } from '@waybill/kit/discovery.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { assembleDocument, type OpenApiPart } from '@waybill/kit/openapi.ts';
import manifest from './package.json' with { type: 'json' };
import type { Upstream } from './upstreams.ts';

export interface DocumentOptions {
  readonly upstreams: readonly Upstream[];
  readonly topology: Topology;
  /** The parts of this process; filled after the entrance is set up. */
  readonly documents: ReadonlyMap<string, OpenApiPart>;
  readonly client: Client;
  readonly log: Logger;
}

/** Gives the document as JSON text. */
export type ReadDocument = () => Promise<string>;

const KEPT_MS = 10_000;
const PATIENCE_MS = 2000;

/**
 * Reads the document, at most once in ten seconds. A service that is away is shown as it was last
 * seen; one that was never seen is left out until it answers.
 */
export function openDocument(options: DocumentOptions): ReadDocument {
  const seen = new Map<string, OpenApiPart>();
  let kept: Promise<string> | undefined;
  let keptUntil = 0;
  return () => {
    if (kept === undefined || monotonicMs() > keptUntil) {
      keptUntil = monotonicMs() + KEPT_MS;
      kept = assemble(options, seen);
    }
    return kept;
  };
}

async function assemble(options: DocumentOptions, seen: Map<string, OpenApiPart>): Promise<string> {
  const { upstreams, topology, documents, client, log } = options;
  const remote = upstreams.filter(
    ({ name }) => !topology.isLocal(name) && topology.instancesOf(name).length > 0,
  );
  await Promise.all(
    remote.map(async ({ name }) => {
      const path = `/internal/${name}/openapi`;
      try {
        const call = { method: 'GET', path, idempotent: true } as const;
        seen.set(name, await client.call<OpenApiPart>(name, call, deadlineIn(PATIENCE_MS)));
      } catch (error) {
        const reason = (error as Error).message;
        log.warn({ reason }, `the API document of ${name} is out of reach`);
      }
    }),
  );
  const local = [...documents].filter(([name]) => name !== 'gateway').map(([, part]) => part);
  const parts = [...local, ...remote.flatMap(({ name }) => seen.get(name) ?? []), platformPart];
  return JSON.stringify(assembleDocument(parts, manifest.version));
}

const status = (words: string[]) => ({
  type: 'object',
  required: ['status'],
  properties: { status: { type: 'string', enum: words } },
});

const checks = { type: 'object', additionalProperties: { type: 'string' } };

/** What every process answers about itself, and this document. */
const platformPart: OpenApiPart = {
  tags: [{ name: 'platform', description: 'How the process is, for people and for machines.' }],
  paths: {
    '/health': probe('getHealth', 'How the process and what it stands on are.', {
      ...status(['healthy', 'unhealthy']),
      properties: {
        status: { type: 'string', enum: ['healthy', 'unhealthy'] },
        uptime_seconds: { type: 'integer' },
        services: { type: 'array', items: { type: 'string' } },
        checks,
      },
    }),
    '/livez': probe('getLivez', 'Whether the process answers at all.', status(['ok'])),
    '/readyz': probe('getReadyz', 'Whether the process takes requests.', {
      ...status(['ok', 'unavailable']),
      properties: { status: { type: 'string', enum: ['ok', 'unavailable'] }, checks },
    }),
    '/metrics': {
      get: {
        tags: ['platform'],
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus.',
        description: 'For: operator, admin, or METRICS_TOKEN as a bearer token.',
        security: [{ bearer: [] }],
        responses: {
          200: {
            description: 'Metrics in the text format.',
            content: { 'text/plain': { schema: { type: 'string' } } },
          },
          401: problemReply('No valid token was sent.'),
          403: problemReply('The caller may not do this.'),
        },
      },
    },
  },
};

function probe(operationId: string, summary: string, schema: object): Record<string, unknown> {
  const content = { 'application/json': { schema } };
  return {
    get: {
      tags: ['platform'],
      operationId,
      summary,
      description: 'Anybody may call it.',
      security: [],
      responses: {
        200: { description: 'It is well.', content },
        401: problemReply('A bad token was sent.'),
        403: problemReply('The caller may not do this.'),
        ...(operationId === 'getLivez' ? {} : { 503: { description: 'It is not.', content } }),
      },
    },
  };
}

function problemReply(description: string): object {
  const schema = { $ref: '#/components/schemas/Problem' };
  return { description, content: { 'application/problem+json': { schema } } };
}
