/**
 * The instances of one service in other processes: turns, a short memory of who is down, and
 * attempts on the next one where repeating is safe.
 */
import { Pool, type Dispatcher } from 'undici';
import { monotonicMs } from '@waybill/kit/clock.ts';
import { remainingMs, type Deadline } from '@waybill/kit/deadline.ts';
import { Outage } from '@waybill/kit/errors.ts';

export interface Exchange {
  readonly method: Dispatcher.HttpMethod;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer | undefined;
  /** Whether a second arrival changes nothing. */
  readonly repeatable: boolean;
  /** Asked to wait for something: it holds its connection for long, and costs nothing meanwhile. */
  readonly waits: boolean;
  readonly deadline: Deadline;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  /** All of it when it is small, so that a break half-way is still an outage; else a stream. */
  readonly body: Buffer | Dispatcher.ResponseData['body'];
}

export interface Instances {
  send(exchange: Exchange): Promise<Answer>;
  close(): Promise<void>;
}

/** Connections for one kind of request, so that those who wait do not keep the others waiting. */
interface Lane {
  readonly pool: Pool;
  readonly most: number;
  inFlight: number;
}

interface Instance {
  readonly base: string;
  readonly usual: Lane;
  readonly waiting: Lane;
  downUntil: number;
}

const CONNECT_MS = 2000;
const IDLE_BODY_MS = 60_000;
const SKIPPED_MS = 1000;
const MAX_ATTEMPTS = 3;
const MAX_IN_FLIGHT = 512;
const MAX_WAITING = 8192;
const SMALL_BYTES = 262_144;

/** Errors of connecting: not a byte of the request has left. */
const NEVER_SENT = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Opens a pool of kept-alive connections to each instance. */
export function openInstances(service: string, bases: readonly string[]): Instances {
  const instances = bases.map((base): Instance => {
    const { origin, pathname } = new URL(base);
    return {
      base: pathname.replace(/\/$/, ''),
      usual: openLane(origin, 128, MAX_IN_FLIGHT),
      waiting: openLane(origin, MAX_WAITING, MAX_WAITING),
      downUntil: 0,
    };
  });
  let turn = 0;
  const next = (waits: boolean): Instance => {
    const now = monotonicMs();
    for (let tries = 0; tries < instances.length; tries++) {
      const instance = instances[turn++ % instances.length];
      if (instance === undefined || instance.downUntil > now) continue;
      const { inFlight, most } = laneOf(instance, waits);
      if (inFlight < most) return instance;
    }
    throw new Outage(`${service} service`, 'no instance takes requests');
  };
  return {
    async send(exchange) {
      for (let attempt = 1; ; attempt++) {
        const instance = next(exchange.waits);
        try {
          return await sendTo(instance, exchange);
        } catch (error) {
          const { code = '' } = error as NodeJS.ErrnoException;
          const sent = !NEVER_SENT.has(code);
          if (!sent || code === 'UND_ERR_HEADERS_TIMEOUT')
            instance.downUntil = monotonicMs() + SKIPPED_MS;
          const again = !sent || (exchange.repeatable && code !== 'UND_ERR_HEADERS_TIMEOUT');
          const late = exchange.signal.aborted || remainingMs(exchange.deadline) < 1;
          if (!again || late || attempt === MAX_ATTEMPTS)
            throw new Outage(`${service} service`, `${code} ${(error as Error).message}`, {
              cause: error,
            });
        }
      }
    },
    async close() {
      const lanes = instances.flatMap(({ usual, waiting }) => [usual, waiting]);
      await Promise.all(lanes.map(({ pool }) => pool.destroy()));
    },
  };
}

function openLane(origin: string, connections: number, most: number): Lane {
  const connect = { timeout: CONNECT_MS };
  const pool = new Pool(origin, { connections, connect, bodyTimeout: IDLE_BODY_MS });
  return { pool, most, inFlight: 0 };
}

function laneOf({ usual, waiting }: Instance, waits: boolean): Lane {
  return waits ? waiting : usual;
}

async function sendTo(instance: Instance, exchange: Exchange): Promise<Answer> {
  const lane = laneOf(instance, exchange.waits);
  lane.inFlight++;
  try {
    const { statusCode, headers, body } = await lane.pool.request({
      method: exchange.method,
      path: instance.base + exchange.path,
      headers: exchange.headers,
      body: exchange.body ?? null,
      headersTimeout: Math.max(1, Math.ceil(remainingMs(exchange.deadline))),
      signal: exchange.signal,
    });
    const length = Number(headers['content-length'] ?? Number.NaN);
    const small = length <= SMALL_BYTES && exchange.method !== 'HEAD';
    const whole = small ? Buffer.from(await body.arrayBuffer()) : undefined;
    return { status: statusCode, headers, body: whole ?? body };
  } finally {
    lane.inFlight--;
  }
}
