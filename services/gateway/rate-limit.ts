/**
 * Requests per caller, by the generic cell rate algorithm: one number a caller (the theoretical
 * arrival time, TAT), no window whose edge could be used to send two quotas at once. A caller who
 * was silent for a minute may spend the whole quota in a burst; after that it comes back evenly.
 * In memory: every process that is an entrance counts for itself.
 */
import { isIPv6 } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { monotonicMs } from '@waybill/kit/clock.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import type { Identity } from '@waybill/kit/identity.ts';

export interface Quota {
  readonly limit: number;
  readonly windowMs: number;
}

export interface Decision {
  readonly allowed: boolean;
  /** The caller's arrival time from now on; unchanged when refused. */
  readonly tat: number;
  readonly remaining: number;
  /** Until the next request would be allowed; 0 when this one is. */
  readonly retryAfterMs: number;
  /** Until the whole quota is there again. */
  readonly resetMs: number;
}

/** Sums of fractions of milliseconds miss the bound by less than this. */
const ROUNDING_MS = 0.001;

/** Decides about one request. Pure: `tat` is what the last decision said, 0 for a new caller. */
export function decide(tat: number, now: number, quota: Quota): Decision {
  const interval = quota.windowMs / quota.limit;
  const start = Math.max(tat, now);
  const spent = start + interval - now;
  if (spent > quota.windowMs + ROUNDING_MS)
    return {
      allowed: false,
      tat,
      remaining: 0,
      retryAfterMs: spent - quota.windowMs,
      resetMs: start - now,
    };
  return {
    allowed: true,
    tat: start + interval,
    remaining: Math.floor((quota.windowMs - spent + ROUNDING_MS) / interval),
    retryAfterMs: 0,
    resetMs: spent,
  };
}

export interface Limiter {
  /** Counts one request of the caller, if it is allowed. */
  take(caller: string, now: number): Decision;
}

/** A limiter that remembers at most so many callers; the longest known are forgotten first. */
export function createLimiter(quota: Quota, maxCallers = 100_000): Limiter {
  const arrivals = new Map<string, number>();
  return {
    take(caller, now) {
      const decision = decide(arrivals.get(caller) ?? 0, now, quota);
      if (decision.allowed) {
        if (arrivals.size >= maxCallers && !arrivals.has(caller))
          makeRoom(arrivals, now, maxCallers);
        arrivals.set(caller, decision.tat);
      }
      return decision;
    },
  };
}

/** Forgets those whose quota is whole, then the longest known, a tenth at once: rarely needed. */
function makeRoom(arrivals: Map<string, number>, now: number, maxCallers: number): void {
  for (const [caller, tat] of arrivals) if (tat <= now) arrivals.delete(caller);
  const enough = Math.floor(maxCallers * 0.9);
  for (const caller of arrivals.keys()) {
    if (arrivals.size <= enough) break;
    arrivals.delete(caller);
  }
}

/**
 * The caller without a token: the address of the connection, never a header. Of IPv6 the first 64
 * bits, because everybody who has one such address has all 2^64.
 */
export function callerOfAddress(address: string | undefined): string {
  if (address === undefined) return 'address:unknown';
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return `address:${plain}`;
  const [head = '', tail] = plain.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(missing).fill('0'), ...after].slice(0, 4);
  return `address:${groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':')}`;
}

/** Requests a minute and caller; 0 = no limit. */
export interface Limits {
  readonly requests: number;
  /** Of their own, because those who poll would otherwise use up what they need to answer. */
  readonly polls: number;
}

export interface CountedLimits {
  /** Counts a poll; the fields to answer with, or undefined where it is to be refused. */
  poll(identity: Identity): readonly string[] | undefined;
  /** Counts a request of this caller, or of an address when it is nobody's; may refuse it. */
  count(request: FastifyRequest, reply: FastifyReply, identity: Identity | undefined): void;
}

const WINDOW_MS = 60_000;

/** The limits of one entrance. */
export function createLimits({ requests, polls }: Limits): CountedLimits {
  const general = createCounter('default', requests);
  const ofPolls = createCounter('polls', polls);
  return {
    poll({ subject }) {
      const counted = ofPolls?.(`subject:${subject}`);
      if (counted === undefined) return [];
      const { fields, allowed } = counted;
      return allowed ? Object.entries(fields).flat() : undefined;
    },
    count(request, reply, identity) {
      const counter = isPoll(request) ? ofPolls : general;
      const caller =
        identity === undefined
          ? callerOfAddress(request.socket.remoteAddress)
          : `subject:${identity.subject}`;
      const counted = counter?.(caller);
      if (counted === undefined) return;
      reply.headers(counted.fields);
      if (counted.allowed) return;
      throw new Refusal(429, 'rate_limited', 'Too many requests; see Retry-After.', {
        headers: { 'retry-after': String(Math.max(1, Math.ceil(counted.retryAfterMs / 1000))) },
      });
    },
  };
}

/** An executor who asks whether there is something to acquire (chapter D). */
const POLL = /^\/api\/v1\/dispatch\/executors\/[^/?]+\/acquire(?:\?|$)/;

function isPoll({ method, raw: { url = '' } }: FastifyRequest): boolean {
  return method === 'POST' && POLL.test(url);
}

/** Counts, and tells the RateLimit fields (draft-ietf-httpapi-ratelimit-headers). */
function createCounter(name: string, limit: number) {
  if (limit === 0) return undefined;
  const quota = { limit, windowMs: WINDOW_MS };
  const limiter = createLimiter(quota);
  const policy = `"${name}";q=${limit};w=${WINDOW_MS / 1000}`;
  return (caller: string) => {
    const { allowed, remaining, resetMs, retryAfterMs } = limiter.take(caller, monotonicMs());
    const reset = Math.ceil(resetMs / 1000);
    const fields = {
      'ratelimit-policy': policy,
      ratelimit: `"${name}";r=${remaining};t=${reset}`,
    };
    return { allowed, retryAfterMs, fields };
  };
}
