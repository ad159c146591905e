import { createHmac } from 'node:crypto';

import { Agent, request } from 'undici';

import { nowMs } from './clock.ts';

export interface CallbackEvent {
  readonly id: string;
  readonly type: 'charge.captured' | 'charge.declined' | 'charge.refunded';
  readonly created_at: string;
  readonly charge: object;
  readonly refund?: object;
}

export interface CallbackCounts {
  /** Waiting for their time or for a free connection. */
  readonly pending: number;
  readonly delivered: number;
  readonly failed_attempts: number;
  readonly given_up: number;
  readonly dropped: number;
}

export interface Callbacks {
  /**
   * Sends the event once per delay, in ms from now. Returns at once; never throws.
   * @param traceparent of the request that it tells of, so that both are seen as one
   */
  send(
    url: string,
    event: CallbackEvent,
    delaysMs: readonly number[],
    traceparent: string | undefined,
  ): void;
  counts(): CallbackCounts;
  /** Gives up what has not been sent: a provider that dies forgets its callbacks. */
  close(): Promise<void>;
}

const CONCURRENCY = 32;
const MOST_PENDING = 10_000;
const ATTEMPT_TIMEOUT_MS = 5_000;
const RETRY_DELAYS_MS = [500, 1_000, 2_000, 4_000, 8_000];

interface Job {
  readonly url: string;
  readonly body: string;
  readonly traceparent: string | undefined;
  attempts: number;
}

/** `t=<unix seconds>,v1=<hex hmac sha256 of "<t>.<raw body>">` */
function signCallback(secret: string, unixSeconds: number, body: string): string {
  const mac = createHmac('sha256', secret).update(`${unixSeconds}.${body}`).digest('hex');
  return `t=${unixSeconds},v1=${mac}`;
}

export function createCallbacks(secret: string): Callbacks {
  const agent = new Agent({
    connections: CONCURRENCY,
    connect: { timeout: ATTEMPT_TIMEOUT_MS },
    headersTimeout: ATTEMPT_TIMEOUT_MS,
    bodyTimeout: ATTEMPT_TIMEOUT_MS,
  });
  const counts = { delivered: 0, failed_attempts: 0, given_up: 0, dropped: 0 };
  const queue = createQueue(async (job) => {
    job.attempts += 1;
    if (await deliver(agent, secret, job)) {
      counts.delivered += 1;
      return;
    }
    counts.failed_attempts += 1;
    const delayMs = RETRY_DELAYS_MS[job.attempts - 1];
    if (delayMs === undefined) counts.given_up += 1;
    else queue.add(job, delayMs);
  });
  return {
    send(url, event, delaysMs, traceparent) {
      const body = JSON.stringify(event);
      for (const delayMs of delaysMs) {
        const job = { url, body, traceparent, attempts: 0 };
        if (queue.size() < MOST_PENDING) queue.add(job, delayMs);
        else counts.dropped += 1;
      }
    },
    counts: () => ({ pending: queue.size(), ...counts }),
    async close() {
      queue.close();
      await agent.destroy();
    },
  };
}

/** Works off jobs whose time has come, a bounded number at once. */
function createQueue(attempt: (job: Job) => Promise<void>) {
  const ready: Job[] = [];
  const timers = new Set<NodeJS.Timeout>();
  let active = 0;
  let closed = false;

  function work(): void {
    while (!closed && active < CONCURRENCY) {
      const job = ready.shift();
      if (job === undefined) return;
      active += 1;
      void attempt(job).finally(() => {
        active -= 1;
        work();
      });
    }
  }

  function start(job: Job): void {
    ready.push(job);
    work();
  }

  return {
    size: () => ready.length + timers.size + active,
    add: (job: Job, delayMs: number): void => {
      if (closed) return;
      if (delayMs === 0) {
        start(job);
        return;
      }
      const timer = setTimeout(() => {
        timers.delete(timer);
        start(job);
      }, delayMs);
      timers.add(timer);
    },
    close: (): void => {
      closed = true;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      ready.length = 0;
    },
  };
}

/** Every attempt is signed anew: a receiver refuses an old timestamp. Anything but 2xx failed. */
async function deliver(agent: Agent, secret: string, job: Job): Promise<boolean> {
  try {
    const answer = await request(job.url, {
      dispatcher: agent,
      signal: AbortSignal.timeout(2 * ATTEMPT_TIMEOUT_MS),
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'sandbox-signature': signCallback(secret, Math.floor(nowMs() / 1000), job.body),
        ...(job.traceparent !== undefined && { traceparent: job.traceparent }),
      },
      body: job.body,
    });
    await answer.body.dump();
    return answer.statusCode >= 200 && answer.statusCode < 300;
  } catch {
    // The reason is the receiver's business; GET /control shows that it failed.
    return false;
  }
}
