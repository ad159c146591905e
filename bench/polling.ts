/** Generators of dispatch's load: polls as fast as they go or at a rate, and polls that wait. */
import { Agent, request as send } from 'node:http';
import autocannon from 'autocannon';
import { executorId } from './load-dispatch.ts';
import { percentile } from './statistics.ts';

export interface Polls {
  /** A second. */
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  /** How many of them got an order. */
  readonly acquired: number;
}

export interface PollOptions {
  /** Before and after the executor's id. */
  readonly around?: readonly [before: string, after: string];
  readonly connections: number;
  readonly seconds: number;
  /** A second in all; as fast as it goes when left out. */
  readonly rate?: number;
  /** Whose polls: executors from the first to the last, at random or in turn. */
  readonly from: number;
  readonly to: number;
}

/** Each connection prepares all of them before it sends the first. */
const PATHS = 500;
const AROUND = ['/api/v1/dispatch/executors/', '/acquire'] as const;

/** Polls for executors; anything but 200 and 204 fails. */
export function poll(url: string, options: PollOptions): Promise<Polls> {
  const { around = AROUND, from, to, connections, seconds, rate } = options;
  const requests = Array.from({ length: PATHS }, () => {
    const executor = from + Math.floor(Math.random() * (to - from + 1));
    return { method: 'POST', path: `${around[0]}${executorId(executor)}${around[1]}` } as const;
  });
  const latencies: number[] = [];
  const odd = new Map<number, number>();
  let acquired = 0;
  // Of the first answer: before it, requests are prepared.
  let begun: number | undefined;
  let last = 0;
  return new Promise((done, fail) => {
    const tracker = autocannon(
      {
        url,
        connections,
        duration: seconds,
        requests,
        ...(rate === undefined ? {} : { overallRate: rate }),
      },
      (error, { errors }) => {
        const trouble = [...odd].map(([status, count]) => `${count} answers with ${status}`);
        if (error !== null || errors > 0 || trouble.length > 0)
          return fail(new Error(`${url}: ${errors} errors, ${trouble.join(', ')}`));
        const ms = last - (begun ?? last);
        done({
          rate: (latencies.length / ms) * 1000,
          p50: percentile(latencies, 0.5),
          p99: percentile(latencies, 0.99),
          acquired,
        });
      },
    );
    tracker.on('response', (_client: unknown, status: number, _bytes: number, ms: number) => {
      last = performance.now();
      begun ??= last;
      if (status === 200) acquired++;
      if (status === 200 || status === 204) latencies.push(ms);
      else odd.set(status, (odd.get(status) ?? 0) + 1);
    });
  });
}

export interface Asked {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Ask = (method: string, path: string, body?: object) => Promise<Asked>;

/** Asks dispatch over kept connections. */
export function openAsk(url: string): Ask {
  const agent = new Agent({ keepAlive: true, maxSockets: 1024 });
  return (method, path, body) =>
    new Promise((done, fail) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers =
        text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const outgoing = send(
        `${url}/api/v1/dispatch${path}`,
        { agent, method, headers },
        (reply) => {
          const chunks: Buffer[] = [];
          reply.on('data', (chunk: Buffer) => chunks.push(chunk));
          reply.once('error', fail);
          reply.once('end', () => {
            const answer = Buffer.concat(chunks).toString() || '{}';
            done({ status: reply.statusCode ?? 0, body: JSON.parse(answer) as Asked['body'] });
          });
        },
      );
      outgoing.once('error', fail);
      outgoing.end(text);
    });
}

/** Executors who wait; tells of each order the moment that its executor had the answer. */
export function keepWaiting(ask: Ask, executors: readonly string[]) {
  const got = new Map<string, number>();
  let stopped = false;
  const wait = async (executor: string) => {
    while (!stopped) {
      const path = `/executors/${executor}/acquire?wait=2s&next=true`;
      const { status, body } = await ask('POST', path);
      if (status === 200) got.set(String(body['order_id']), performance.now());
      else if (status !== 204) throw new Error(`a poll that waits was answered ${status}`);
    }
  };
  const all = Promise.all(executors.map(wait));
  all.catch(() => {});
  return {
    got,
    async stop() {
      stopped = true;
      await all;
    },
  };
}
