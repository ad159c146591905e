/**
 * A program of its own that generates dispatch's load, so that neither its work nor the bench's is
 * felt by the other: polls as fast as they go, or polls, assignments and cancellations each begun
 * at even intervals whether or not the earlier ones have ended. Times count from when a request
 * was due, so that what a stall delays is counted, also a stall of the generator itself.
 */
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { executorId, orderId } from './load-dispatch.ts';
import { openWire, requestText, type Wire } from './wire.ts';

interface Target {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** Whose polls: executors from the first to the last, at random. */
  readonly from: number;
  readonly to: number;
}

export interface Polling extends Target {
  /** Before and after the executor's id. */
  readonly around: readonly [before: string, after: string];
}

/** Of each so many a second. */
export interface Mix extends Target {
  readonly polls: number;
  readonly assigns: number;
  readonly cancels: number;
  /** The first of the orders that nobody has assigned. */
  readonly firstOrder: number;
}

/** Times in milliseconds. */
export interface Served {
  readonly answered: number;
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
  /** How often which status; 0 stands for no answer. */
  readonly statuses: Readonly<Record<number, number>>;
}

export interface Polled extends Served {
  /** A second. */
  readonly rate: number;
}

export interface Mixed {
  readonly polls: Polled;
  readonly assigns: Served;
  readonly cancels: Served;
  /** How much later than it was due a request was sent, p99. */
  readonly late: number;
  /** Processor time of this program. */
  readonly processorSeconds: number;
  readonly assigned: number;
}

const API = '/api/v1/dispatch';
export const AROUND = [`${API}/executors/`, '/acquire'] as const;
/** An assignment is cancelled so long after it was made. */
const REGRET_MS = 1000;
/** How long after the end an answer may come. */
const LAST_MS = 10_000;

function createTimes() {
  const times = createHistogram();
  const statuses: Record<number, number> = {};
  return {
    note(ms: number, status: number) {
      times.record(Math.max(1, Math.round(ms * 1000)));
      statuses[status] = (statuses[status] ?? 0) + 1;
    },
    served: (): Served => ({
      answered: times.count,
      p50: times.percentile(50) / 1000,
      p99: times.percentile(99) / 1000,
      most: times.max / 1000,
      statuses,
    }),
  };
}

/** Each connection polls again as soon as it is answered. */
export async function pollAway(options: Polling): Promise<Polled> {
  const { url, connections, seconds } = options;
  const wire = await openWire(url, connections);
  const write = pollsFor(options, options.around);
  const times = createTimes();
  const begunMs = performance.now();
  const endMs = begunMs + seconds * 1000;
  let lastMs = begunMs;
  const lane = () =>
    new Promise<void>((done) => {
      const next = () => {
        const sentMs = performance.now();
        if (sentMs >= endMs) return done();
        wire.send(write(), (status) => {
          lastMs = performance.now();
          times.note(lastMs - sentMs, status);
          next();
        });
      };
      next();
    });
  await Promise.all(Array.from({ length: connections }, lane));
  wire.close();
  const served = times.served();
  return { ...served, rate: (served.answered / (lastMs - begunMs)) * 1000 };
}

function pollsFor({ url, from, to }: Target, [before, after]: Polling['around']): () => string {
  const { host } = new URL(url);
  const tail = `${after} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
  return () => {
    const executor = from + Math.floor(Math.random() * (to - from + 1));
    return `POST ${before}${executorId(executor)}${tail}`;
  };
}

/** Polls, assigns and cancels at their rates; orders are assigned one after the other. */
export async function mix(options: Mix): Promise<Mixed> {
  const { url, connections, seconds, from, to } = options;
  const { host } = new URL(url);
  const wire = await openWire(url, connections);
  const desk = await openWire(url, connections);
  const late = createTimes();
  const running = { count: 0 };
  let order = options.firstOrder;
  const regretted: string[] = [];
  const begin = (to: Wire, times: ReturnType<typeof createTimes>) => {
    return (dueMs: number, request: string, answered?: (status: number) => void) => {
      late.note(performance.now() - dueMs, 0);
      running.count++;
      to.send(request, (status) => {
        running.count--;
        times.note(performance.now() - dueMs, status);
        answered?.(status);
      });
    };
  };
  const [polls, assigns, cancels] = [createTimes(), createTimes(), createTimes()];
  const [poll, assign, cancel] = [begin(wire, polls), begin(desk, assigns), begin(desk, cancels)];
  const write = pollsFor(options, AROUND);
  const before = process.cpuUsage();
  const begunMs = performance.now();
  await Promise.all([
    evenly(options.polls, seconds, 0, (dueMs) => poll(dueMs, write())),
    evenly(options.assigns, seconds, 0, (dueMs) => {
      const order_id = orderId(order++);
      const executor_id = executorId(from + Math.floor(Math.random() * (to - from + 1)));
      const request = requestText(host, 'POST', `${API}/assignments`, { order_id, executor_id });
      assign(dueMs, request, () => regretted.push(order_id));
    }),
    evenly(options.cancels, seconds - REGRET_MS / 1000, REGRET_MS, (dueMs) => {
      const order_id = regretted.shift();
      if (order_id !== undefined)
        cancel(dueMs, requestText(host, 'DELETE', `${API}/assignments/${order_id}`));
    }),
  ]);
  const tookMs = performance.now() - begunMs;
  const { user, system } = process.cpuUsage(before);
  for (let waited = 0; running.count > 0 && waited < LAST_MS; waited += 10) await pause(10);
  for (let left = running.count; left > 0; left--) polls.note(LAST_MS, 0);
  wire.close();
  desk.close();
  const served = polls.served();
  return {
    polls: { ...served, rate: (served.answered / tookMs) * 1000 },
    assigns: assigns.served(),
    cancels: cancels.served(),
    late: late.served().p99,
    processorSeconds: (user + system) / 1e6,
    assigned: order - options.firstOrder,
  };
}

/** Calls so often a second, each time with when that was due. */
function evenly(
  rate: number,
  seconds: number,
  afterMs: number,
  work: (dueMs: number) => void,
): Promise<void> {
  const begunMs = performance.now() + afterMs;
  const total = Math.floor(rate * seconds);
  let index = 0;
  return new Promise((done) => {
    const tick = () => {
      const nowMs = performance.now();
      for (let dueMs; index < total; index++) {
        dueMs = begunMs + (index * 1000) / rate;
        if (dueMs > nowMs) break;
        work(dueMs);
      }
      if (index === total) done();
      else setTimeout(tick, 1);
    };
    tick();
  });
}

if (import.meta.main) {
  // Ends with the bench, whatever ended that.
  process.once('disconnect', () => process.exit(1));
  process.once('message', (options: Polling | Mix) => {
    const work: Promise<Polled | Mixed> = 'around' in options ? pollAway(options) : mix(options);
    work.then(
      (result) => process.send?.(result, () => process.exit(0)),
      (error: Error) => {
        process.stderr.write(`${error.message}\n`);
        process.exit(1);
      },
    );
  });
}
