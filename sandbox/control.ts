import { createHash, timingSafeEqual } from 'node:crypto';

import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';

import { createApp, problem } from './app.ts';
import type { Journal } from './journal.ts';
import { NOT_HOSTILE } from './misbehaviour.ts';
import type { Settings } from './misbehaviour.ts';

export interface ControlParts {
  readonly journal: Journal;
  readonly secret: string;
  /** For containers, where the caller is never on loopback. */
  readonly allowRemote: boolean;
  settings(): Settings;
  /** Resolves when the new mode is in force. */
  change(settings: Settings, startOver: boolean): Promise<void>;
  /** What GET /control shows beside the settings. */
  show(): object;
}

const strict = { additionalProperties: false };
const Delay = Type.Integer({ minimum: 0, maximum: 600_000 });
const Probability = Type.Number({ minimum: 0, maximum: 1 });

const ControlBody = Type.Object(
  {
    mode: Type.Optional(
      Type.Union(
        (['up', 'down', 'slow', 'error', 'reset'] as const).map((mode) => Type.Literal(mode)),
      ),
    ),
    latency_ms: Type.Optional(Delay),
    success_rate: Type.Optional(Probability),
    latency_min_ms: Type.Optional(Delay),
    latency_max_ms: Type.Optional(Delay),
    late_callback_ms: Type.Optional(Delay),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 4_294_967_295 })),
    hostile: Type.Optional(
      Type.Object(
        {
          error: Type.Optional(Probability),
          timeout_before_charge: Type.Optional(Probability),
          error_after_charge: Type.Optional(Probability),
          timeout_after_charge: Type.Optional(Probability),
          reset_after_charge: Type.Optional(Probability),
          duplicate_callback: Type.Optional(Probability),
          late_callback: Type.Optional(Probability),
        },
        strict,
      ),
    ),
  },
  strict,
);

/** `1000`, not `1e3`: a query carries text, and text is not coerced. */
const Count = Type.String({ pattern: '^[0-9]{1,15}$' });
const JournalQuery = Type.Object(
  { after: Type.Optional(Count), limit: Type.Optional(Count) },
  strict,
);
const DEFAULT_PAGE = 1_000;
const LARGEST_PAGE = 10_000;

/** The operator's side of the sandbox. Its own listener, so that it outlives every fault. */
export function createControl(parts: ControlParts): FastifyInstance {
  const app = createApp();
  const isSecret = createSecretCheck(parts.secret);

  app.addHook('onRequest', async (request, reply) => {
    if (!parts.allowRemote && !isLoopback(request.socket.remoteAddress ?? '')) {
      return reply.code(403).send(problem('loopback_only', 'Only this machine may ask'));
    }
    if (request.routeOptions.url === '/healthz') return undefined;
    if (isSecret(request.headers['x-sandbox-secret'])) return undefined;
    return reply.code(401).send(problem('wrong_secret', 'Send the x-sandbox-secret header'));
  });

  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/control', () => showAll(parts));

  app.post<{ Body: Static<typeof ControlBody> }>(
    '/control',
    { schema: { body: ControlBody } },
    async (request, reply) => {
      const next = merge(parts.settings(), request.body);
      const fault = findFault(next);
      if (fault !== undefined) {
        return reply.code(422).send(problem('validation_failed', fault));
      }
      await parts.change(next, request.body.seed !== undefined);
      return showAll(parts);
    },
  );

  app.get<{ Querystring: Static<typeof JournalQuery> }>(
    '/journal',
    { schema: { querystring: JournalQuery } },
    (request) => {
      const after = Number(request.query.after ?? 0);
      const limit = Math.min(Number(request.query.limit ?? DEFAULT_PAGE), LARGEST_PAGE);
      const entries = parts.journal.entries.slice(after, after + limit);
      return { entries, next_after: entries.at(-1)?.seq ?? after };
    },
  );
  return app;
}

/** 127.0.0.0/8 and ::1, also as IPv6 sockets show them. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address);
}

/** Compares digests, which have one length, so that the time taken tells nothing. */
export function createSecretCheck(secret: string): (given: unknown) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = digest(secret);
  return (given) => typeof given === 'string' && timingSafeEqual(digest(given), expected);
}

function showAll(parts: ControlParts): object {
  return { ...parts.settings(), ...parts.show() };
}

/** `hostile` replaces the whole set. `up` heals: what was hostile ends, unless given anew. */
function merge(present: Settings, change: Static<typeof ControlBody>): Settings {
  const { hostile, ...rest } = change;
  if (hostile !== undefined)
    return { ...present, ...rest, hostile: { ...NOT_HOSTILE, ...hostile } };
  return { ...present, ...rest, ...(change.mode === 'up' && { hostile: NOT_HOSTILE }) };
}

function findFault(settings: Settings): string | undefined {
  const { hostile } = settings;
  if (settings.latency_min_ms > settings.latency_max_ms) {
    return '/latency_min_ms is above latency_max_ms';
  }
  if (hostile.error + hostile.timeout_before_charge > 1) {
    return '/hostile: error and timeout_before_charge add up to more than 1';
  }
  const { error_after_charge, timeout_after_charge, reset_after_charge } = hostile;
  if (error_after_charge + timeout_after_charge + reset_after_charge > 1) {
    return '/hostile: the *_after_charge faults add up to more than 1';
  }
  return undefined;
}
