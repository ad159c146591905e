/**
 * Calls between services: time-out per attempt, a deadline over all, retries with full jitter for
 * idempotent calls, a breaker and a bounded queue per target, trace context and a signed identity.
 * In one process the call goes through the same routes, schemas and JSON, without the socket.
 */
import { bulkhead, BrokenCircuitError, BulkheadRejectedError, handleWhen } from 'cockatiel';
import type { FastifyInstance } from 'fastify';
import { Agent, request as send } from 'undici';
import { createCircuit } from './breaker.ts';
import { sleep } from './clock.ts';
import { refuseInTransaction } from './db.ts';
import { DEADLINE_HEADER, remainingMs, type Deadline } from './deadline.ts';
import type { Topology } from './discovery.ts';
import { Outage, Refusal, type Problem } from './errors.ts';
import { IDENTITY_HEADER, type Identity, type IdentitySigner } from './identity.ts';
import { random } from './ids.ts';
import { UPLOAD_TYPE } from './route.ts';
import { currentTraceparent, inSpan } from './telemetry.ts';

export interface OutboundCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Begins with /internal/; what people call goes through the gateway. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly body?: unknown;
  /** Sent as application/octet-stream, to a route that takes an upload. */
  readonly bytes?: Uint8Array;
  /** Safe to repeat: GET, or the callee deduplicates. Only such calls are retried. */
  readonly idempotent: boolean;
  /** On whose behalf; the calling service itself when left out. */
  readonly identity?: Identity;
  readonly timeoutMs?: number;
  /**
   * A breaker and a queue of its own, for calls that a loop makes: a loop that begins before its
   * target is up must not have the breaker open for those whom people wait for.
   */
  readonly line?: 'log';
}

export interface Client {
  /** The parsed reply. Throws the callee's Refusal, or an Outage. */
  call<Result>(service: string, call: OutboundCall, deadline: Deadline): Promise<Result>;
  close(): Promise<void>;
}

const ATTEMPTS = 3;
const ATTEMPT_MS = 3000;

interface Target {
  readonly guard: <R>(work: () => Promise<R>) => Promise<R>;
  readonly agent: Agent;
  turn: number;
}

interface RawReply {
  status: number;
  text: string;
}

export interface ClientOptions {
  readonly self: string;
  readonly server: () => FastifyInstance;
  readonly topology: Topology;
  readonly signer: IdentitySigner;
}

export function openClient(options: ClientOptions): Client {
  const targets = new Map<string, Target>();
  const targetOf = (service: string, line: OutboundCall['line']): Target => {
    const name = line === undefined ? service : `${service} ${line}`;
    let target = targets.get(name);
    if (target === undefined) {
      target = {
        guard: createGuard(name),
        agent: new Agent({ connections: 64, connect: { timeout: 2000 } }),
        turn: 0,
      };
      targets.set(name, target);
    }
    return target;
  };
  return {
    async call<Result>(service: string, call: OutboundCall, deadline: Deadline): Promise<Result> {
      refuseInTransaction(`${service} ${call.path}`);
      const target = targetOf(service, call.line);
      const reply = await inSpan(
        `${call.method} ${service}`,
        'CLIENT',
        { 'peer.service': service, 'url.path': call.path },
        () => withRetries(options, service, target, call, deadline),
      );
      return (reply.text === '' ? undefined : JSON.parse(reply.text)) as Result;
    },
    async close() {
      await Promise.all([...targets.values()].map((target) => target.agent.destroy()));
    },
  };
}

function createGuard(service: string): Target['guard'] {
  const circuit = createCircuit(
    service,
    handleWhen((error) => error instanceof Outage),
    { failureThreshold: 5, recoverySeconds: 5 },
  );
  const queue = bulkhead(64, 512);
  return async (work) => {
    try {
      return await queue.execute(() => circuit.execute(work));
    } catch (error) {
      if (error instanceof BulkheadRejectedError)
        throw new Outage(service, 'too many calls are waiting');
      throw error;
    }
  };
}

async function withRetries(
  options: ClientOptions,
  service: string,
  target: Target,
  call: OutboundCall,
  deadline: Deadline,
): Promise<RawReply> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (remainingMs(deadline) <= 0) throw new Outage(service, 'the deadline has passed');
      return await target.guard(() => once(options, service, target, call, deadline));
    } catch (error) {
      if (error instanceof BrokenCircuitError)
        throw new Outage(service, 'its breaker is open', { cause: error, retryAfterSeconds: 5 });
      const last = !call.idempotent || attempt === ATTEMPTS || remainingMs(deadline) < 50;
      if (!(error instanceof Outage) || last) throw error;
      await sleep(Math.min(random() * 100 * 2 ** attempt, remainingMs(deadline)));
    }
  }
}

async function once(
  options: ClientOptions,
  service: string,
  target: Target,
  call: OutboundCall,
  deadline: Deadline,
): Promise<RawReply> {
  // Whole milliseconds: AbortSignal.timeout takes nothing else.
  const leftMs = Math.min(call.timeoutMs ?? ATTEMPT_MS, remainingMs(deadline));
  const timeoutMs = Math.max(1, Math.ceil(leftMs));
  const identity = call.identity ?? { subject: options.self, roles: ['service'] };
  const traceparent = currentTraceparent();
  const headers: Record<string, string> = {
    [IDENTITY_HEADER]: options.signer.sign(identity, service),
    [DEADLINE_HEADER]: String(timeoutMs),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...typeOf(call),
  };
  const path = withQuery(call);
  const reply = options.topology.isLocal(service)
    ? await callLocally(options.server(), call, path, headers, timeoutMs, service)
    : await callRemotely(options.topology, service, target, call, path, headers, timeoutMs);
  if (reply.status < 400) return reply;
  if (reply.status >= 500 || reply.status === 429)
    throw new Outage(service, `answered ${reply.status}`, { status: reply.status });
  const told = parseProblem(reply.text);
  throw new Refusal(
    reply.status,
    told?.code ?? 'refused',
    told?.detail ?? 'The call was refused.',
    {
      faults: told?.errors ?? [],
    },
  );
}

function typeOf({ bytes, body }: OutboundCall): Record<string, string> {
  if (bytes !== undefined) return { 'content-type': UPLOAD_TYPE };
  return body === undefined ? {} : { 'content-type': 'application/json' };
}

function payloadOf({ bytes, body }: OutboundCall): Buffer | string | undefined {
  if (bytes !== undefined) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return body === undefined ? undefined : JSON.stringify(body);
}

function withQuery(call: OutboundCall): string {
  if (call.query === undefined) return call.path;
  const entries = Object.entries(call.query).map(([name, value]) => [name, String(value)]);
  return `${call.path}?${new URLSearchParams(entries).toString()}`;
}

async function callLocally(
  server: FastifyInstance,
  call: OutboundCall,
  path: string,
  headers: Record<string, string>,
  timeoutMs: number,
  service: string,
): Promise<RawReply> {
  // An error is made when it is needed alone: its stack is dearer than the rest of the call.
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Outage(service, `no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  const payload = payloadOf(call);
  const sent = payload === undefined ? {} : { payload };
  // No answer: this process is ending, or dropped the request, as a reset would tell from afar.
  const answer = server
    .inject({ method: call.method, url: path, headers, ...sent })
    .catch((error: unknown) => {
      throw new Outage(service, 'no answer from this process', { cause: error });
    });
  try {
    const reply = await Promise.race([answer, late]);
    return { status: reply.statusCode, text: reply.payload };
  } finally {
    clearTimeout(timer);
  }
}

async function callRemotely(
  topology: Topology,
  service: string,
  target: Target,
  call: OutboundCall,
  path: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<RawReply> {
  const instances = topology.instancesOf(service);
  if (instances.length === 0)
    throw new Outage(service, 'it runs neither here nor anywhere that DISCOVERY_URL names');
  const first = target.turn++;
  for (let tried = 1; ; tried++) {
    const base = instances[(first + tried - 1) % instances.length] as string;
    try {
      return await sendTo(base + path, target, call, headers, timeoutMs);
    } catch (error) {
      // Certainly not arrived: another instance may have the call, idempotent or not.
      const refused = NEVER_SENT.has((error as NodeJS.ErrnoException).code ?? '');
      if (refused && tried < instances.length) continue;
      throw new Outage(service, (error as Error).message, { cause: error });
    }
  }
}

/** Failures before the request left. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

async function sendTo(
  url: string,
  target: Target,
  call: OutboundCall,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<RawReply> {
  const reply = await send(url, {
    method: call.method,
    headers,
    dispatcher: target.agent,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    signal: AbortSignal.timeout(timeoutMs),
    body: payloadOf(call) ?? null,
  });
  return { status: reply.statusCode, text: await reply.body.text() };
}

function parseProblem(text: string): Problem | undefined {
  try {
    return JSON.parse(text) as Problem;
  } catch {
    return undefined;
  }
}
