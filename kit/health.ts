/** /livez, /readyz, /health and /metrics of one process. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Bus } from './bus/port.ts';
import { monotonicMs, sleep } from './clock.ts';
import type { Platform } from './config.ts';
import type { Database } from './db.ts';
import { measureLog } from './eventlog.ts';
import { Refusal } from './errors.ts';
import { IDENTITY_HEADER, unauthenticated, type IdentitySigner } from './identity.ts';
import { sameText } from './secrets.ts';
import type { Service } from './service.ts';
import { measureTasks } from './tasks.ts';
import { gauge, registry } from './telemetry.ts';

/** The audience that the gateway signs for when a person asks for the process itself. */
export const PLATFORM_AUDIENCE = 'platform';

interface Checked {
  readonly service: Service;
  readonly db: Database | undefined;
  readonly bus: Bus | undefined;
}

export interface ProcessState {
  ready: boolean;
  stopping: boolean;
}

const PROBE_MS = 2000;
/** Anybody may ask, so that asking must not cost a statement each time. */
const KEPT_MS = 1000;

/** Mounts the routes and the hook that tells clients to reconnect while the process stops. */
export function mountHealth(
  app: FastifyInstance,
  services: readonly Checked[],
  platform: Platform,
  signer: IdentitySigner,
): ProcessState {
  const state: ProcessState = { ready: false, stopping: false };
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (state.stopping) reply.header('connection', 'close');
    done();
  });
  const check = keepBriefly(() => probe(services));
  app.get('/livez', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const checks = await check();
    const ok = state.ready && Object.values(checks).every((word) => word === 'ok');
    return reply.status(ok ? 200 : 503).send({ status: ok ? 'ok' : 'unavailable', checks });
  });
  app.get('/health', async (_request, reply) => {
    const checks = await check();
    const ok = Object.values(checks).every((word) => word === 'ok');
    return reply.status(ok ? 200 : 503).send({
      status: ok ? 'healthy' : 'unhealthy',
      uptime_seconds: Math.round(process.uptime()),
      services: services.map(({ service }) => service.name),
      checks,
    });
  });
  app.get('/metrics', async (request, reply) => {
    if (platform.authMode !== 'open') refuseStranger(request, platform.metricsToken, signer);
    await Promise.allSettled(services.map(measure));
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  return state;
}

function refuseStranger(
  request: FastifyRequest,
  token: string | undefined,
  signer: IdentitySigner,
) {
  const expected = token === undefined ? undefined : `Bearer ${token}`;
  if (sameText(request.headers.authorization ?? '', expected)) return;
  const signed = request.raw.headers[IDENTITY_HEADER];
  if (typeof signed !== 'string') throw unauthenticated();
  const { roles } = signer.verify(signed, PLATFORM_AUDIENCE);
  if (!roles.includes('operator') && !roles.includes('admin'))
    throw new Refusal(403, 'forbidden', 'Metrics are for operators.');
}

/** Whoever asks while an answer is on its way, or within a second of it, gets the same one. */
function keepBriefly<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let kept: Promise<Result> | undefined;
  let until = 0;
  return () => {
    if (kept !== undefined && monotonicMs() < until) return kept;
    until = Number.POSITIVE_INFINITY;
    kept = work().finally(() => (until = monotonicMs() + KEPT_MS));
    return kept;
  };
}

async function probe(services: readonly Checked[]): Promise<Record<string, string>> {
  const checks: Record<string, string> = {};
  const ask = async (name: string, work: () => Promise<unknown>) => {
    const late = new AbortController();
    try {
      await Promise.race([
        work(),
        sleep(PROBE_MS, late.signal).then(() => {
          throw new Error('no answer');
        }),
      ]);
      checks[name] = 'ok';
    } catch {
      checks[name] = 'unavailable';
    } finally {
      late.abort();
    }
  };
  await Promise.all(
    services.flatMap(({ service, db, bus }) => [
      ...(db === undefined ? [] : [ask(`${service.name}.database`, () => db.query('select 1'))]),
      ...(bus === undefined ? [] : [ask(`${service.name}.bus`, () => bus.ping())]),
    ]),
  );
  return checks;
}

const deadLetters = gauge('waybill_dead_letters', 'Parked events', ['service']);

async function measure({ service, db }: Checked): Promise<void> {
  if (db === undefined) return;
  db.load();
  await measureLog(db);
  await measureTasks(
    db,
    service.tasks.map((task) => task.kind),
  );
  const [row] = await db.query<{ total: bigint }>('select count(*) as total from dead_letters');
  deadLetters.set({ service: service.name }, Number(row?.total ?? 0n));
}
