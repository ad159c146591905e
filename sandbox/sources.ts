import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';

import { createApp, problem } from './app.ts';
import { createSecretCheck, isLoopback } from './control.ts';
import { startListener } from './listener.ts';

export interface SourcesOptions {
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** Opens the control; the sources answer anybody. */
  readonly secret: string;
  /** Lets other machines use the control. */
  readonly allowRemote?: boolean;
}

export interface SandboxSources {
  readonly port: number;
  readonly url: string;
  close(): Promise<void>;
}

const NAMES = [
  'general_order_info',
  'executor_profile',
  'zone_info',
  'assign_order_configs',
  'toll_roads_info',
] as const;
type Name = (typeof NAMES)[number];

const MODES = ['up', 'down', 'error', 'hang'] as const;

interface Source {
  readonly path: string;
  /** Of what it is asked about; undefined: there is no such thing. */
  readonly answer: (id: string) => object | undefined;
}

/** By default every assignment costs 4.40 × min(42.2, 1.8) + 300 = 307.92. */
const SOURCES: Readonly<Record<Name, Source>> = {
  general_order_info: {
    path: '/orders/:id',
    answer: (id) => ({
      order_id: id,
      status: 'CONFIRMED',
      zone_id: 'zone-1',
      base_amount: 4.4,
      currency: 'USD',
    }),
  },
  executor_profile: {
    path: '/executors/:id',
    answer: (id) => ({ executor_id: id, name: `Executor ${id}`, tags: ['bike'], rating: 4.5 }),
  },
  zone_info: {
    path: '/zones/:id',
    answer: (id) => ({ zone_id: id, display_name: `Zone ${id}`, coin_coeff: 42.2 }),
  },
  assign_order_configs: { path: '/configs', answer: () => ({ max_coin_coeff: 1.8 }) },
  toll_roads_info: { path: '/toll-roads/:id', answer: () => ({ bonus_amount: 300 }) },
};

const ControlBody = Type.Object(
  {
    source: Type.Union(NAMES.map((name) => Type.Literal(name))),
    mode: Type.Optional(Type.Union(MODES.map((mode) => Type.Literal(mode)))),
    latency_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: 600_000 })),
    /** Laid over the usual answer; null: the usual answer again. */
    answer: Type.Optional(Type.Union([Type.Object({}), Type.Null()])),
  },
  { additionalProperties: false },
);

interface Behaviour {
  mode: (typeof MODES)[number];
  latency_ms: number;
  answer: object | null;
  calls: number;
}

const GRACE_MS = 2_000;

/**
 * Starts the five data sources of an assignment. They know every order, executor and zone but those
 * whose id begins with `unknown`, count their calls, and fail one by one when they are told to.
 */
export async function startSources(options: SourcesOptions): Promise<SandboxSources> {
  const app = createApp();
  const behaviours = new Map<Name, Behaviour>(
    NAMES.map((name) => [name, { mode: 'up', latency_ms: 0, answer: null, calls: 0 }]),
  );
  for (const name of NAMES) mountSource(app, name, behaviours.get(name) as Behaviour);
  mountControl(app, options, behaviours);
  const listener = await startListener(app, options.host, options.port);
  return {
    port: listener.port,
    url: `http://127.0.0.1:${listener.port}`,
    async close() {
      await listener.close(GRACE_MS);
      await app.close();
    },
  };
}

function mountSource(app: FastifyInstance, name: Name, behaviour: Behaviour): void {
  const { path, answer } = SOURCES[name];
  app.get<{ Params: { id?: string } }>(path, async (request, reply) => {
    behaviour.calls++;
    if (behaviour.latency_ms > 0) await sleep(behaviour.latency_ms);
    if (behaviour.mode !== 'up') return misbehave(behaviour.mode, request, reply);
    const { id = '' } = request.params;
    const known = id.startsWith('unknown') ? undefined : answer(id);
    if (known === undefined) return reply.code(404).send(problem('unknown', `No such ${name}`));
    return { ...known, ...behaviour.answer };
  });
}

function misbehave(
  mode: 'down' | 'error' | 'hang',
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (mode === 'error') return reply.code(500).send(problem('error', 'Told to fail'));
  reply.hijack();
  if (mode === 'down') request.raw.socket.destroy();
  return reply;
}

function mountControl(
  app: FastifyInstance,
  options: SourcesOptions,
  behaviours: ReadonlyMap<Name, Behaviour>,
): void {
  const isSecret = createSecretCheck(options.secret);
  const show = () => ({ sources: Object.fromEntries(behaviours) });
  const isAllowed = ({ socket }: FastifyRequest) =>
    options.allowRemote === true || isLoopback(socket.remoteAddress ?? '');

  app.get('/healthz', () => ({ status: 'ok' }));
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url !== '/control') return undefined;
    if (!isAllowed(request))
      return reply.code(403).send(problem('loopback_only', 'Only this machine may ask'));
    if (isSecret(request.headers['x-sandbox-secret'])) return undefined;
    return reply.code(401).send(problem('wrong_secret', 'Send the x-sandbox-secret header'));
  });
  app.get('/control', show);
  app.post<{ Body: Static<typeof ControlBody> }>(
    '/control',
    { schema: { body: ControlBody } },
    ({ body: { source, ...change } }) => {
      Object.assign(behaviours.get(source) as Behaviour, change);
      return show();
    },
  );
}
