/** Generators of load: as fast as it goes over so many connections, or at a steady rate. */
import { Agent, request as send } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import autocannon from 'autocannon';
import { percentile } from './statistics.ts';

/** What a load met. A single failure makes the bench fail instead. */
export interface Load {
  readonly answered: number;
  /** A second. */
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

export interface HammerOptions {
  readonly connections: number;
  readonly seconds: number;
  readonly method?: 'GET' | 'POST';
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An Idempotency-Key of its own for every request. */
  readonly keyed?: boolean;
  /** Header fields, or a body, of their own for every request. */
  readonly headersOf?: () => Readonly<Record<string, string>>;
  readonly bodyOf?: () => string;
  readonly expect: number;
}

/** Sends the request over each connection again as soon as it is answered (autocannon). */
export function hammer(url: string, options: HammerOptions): Promise<Load> {
  const { body, keyed = false } = options;
  const latencies: number[] = [];
  const odd = new Map<number, number>();
  const begun = performance.now();
  let last = begun;
  return new Promise((done, fail) => {
    const tracker = autocannon(
      {
        url,
        method: options.method ?? 'POST',
        connections: options.connections,
        duration: options.seconds,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(keyed ? { 'idempotency-key': '[<id>]' } : {}),
          ...options.headers,
        },
        ...(body === undefined ? {} : { body }),
        idReplacement: keyed,
        ...(varies(options) ? { requests: [{ setupRequest: varied(options) }] } : {}),
      },
      (error, result) => {
        const trouble = error?.message ?? describeTrouble(result, odd);
        if (trouble !== undefined) return fail(new Error(`${url}: ${trouble}`));
        if (latencies.length === 0) return fail(new Error(`${url}: nothing was answered`));
        done(summarise(latencies, last - begun));
      },
    );
    tracker.on('response', (_client: unknown, status: number, _bytes: number, ms: number) => {
      last = performance.now();
      if (status === options.expect) latencies.push(ms);
      else odd.set(status, (odd.get(status) ?? 0) + 1);
    });
  });
}

function varies({ headersOf, bodyOf }: HammerOptions): boolean {
  return headersOf !== undefined || bodyOf !== undefined;
}

function varied({ headersOf, bodyOf }: HammerOptions) {
  return (request: { headers?: object; body?: string }) => ({
    ...request,
    headers: { ...request.headers, ...headersOf?.() },
    ...(bodyOf === undefined ? {} : { body: bodyOf() }),
  });
}

function describeTrouble(
  result: { errors: number; timeouts: number },
  odd: ReadonlyMap<number, number>,
): string | undefined {
  const parts = [...odd].map(([status, count]) => `${count} answers with ${status}`);
  if (result.errors > 0)
    parts.push(`${result.errors} errors, ${result.timeouts} of them time-outs`);
  return parts.length === 0 ? undefined : parts.join(', ');
}

function summarise(latencies: readonly number[], ms: number): Load {
  if (latencies.length === 0) throw new Error('nothing was answered');
  return {
    answered: latencies.length,
    rate: (latencies.length / ms) * 1000,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  };
}

/** Runs the work again as soon as it is done, so many at once. */
export async function repeat(
  concurrency: number,
  seconds: number,
  work: (lane: number) => Promise<unknown>,
): Promise<Load> {
  const latencies: number[] = [];
  const begun = performance.now();
  const end = begun + seconds * 1000;
  const lane = async (index: number) => {
    for (let from = performance.now(); from < end; from = performance.now()) {
      await work(index);
      latencies.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, index) => lane(index)));
  return summarise(latencies, performance.now() - begun);
}

/**
 * Begins the work at even intervals whether or not the earlier ones have ended, so that a stall is
 * felt by all that fall into it.
 */
export async function steadily(
  rate: number,
  seconds: number,
  work: () => Promise<unknown>,
): Promise<number[]> {
  const latencies: number[] = [];
  const running: Promise<void>[] = [];
  const begun = performance.now();
  for (let index = 0; index < rate * seconds; index++) {
    const wait = begun + (index * 1000) / rate - performance.now();
    if (wait > 0) await pause(wait);
    const from = performance.now();
    running.push(work().then(() => void latencies.push(performance.now() - from)));
  }
  await Promise.all(running);
  return latencies;
}

export type Post = (body: string, headers?: Readonly<Record<string, string>>) => Promise<void>;

/** Posts JSON over kept connections; another status than those expected rejects. */
export function openPost(url: string, expected: readonly number[]): Post {
  const agent = new Agent({ keepAlive: true, maxSockets: 512 });
  return (body, headers = {}) =>
    new Promise((done, fail) => {
      const outgoing = send(
        url,
        {
          agent,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
            ...headers,
          },
        },
        (reply) => {
          const { statusCode = 0 } = reply;
          reply.resume();
          reply.once('error', fail);
          reply.once('end', () =>
            expected.includes(statusCode) ? done() : fail(new Error(`${url}: ${statusCode}`)),
          );
        },
      );
      outgoing.once('error', fail);
      outgoing.end(body);
    });
}
