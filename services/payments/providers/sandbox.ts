/** The sandbox gateway as a payment provider, over real HTTP. Its wire is in sandbox/README.md. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Agent, request as send } from 'undici';
import { epochMs } from '@waybill/kit/clock.ts';
import { refuseInTransaction } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { currentTraceparent, inSpan } from '@waybill/kit/telemetry.ts';
import type {
  Away,
  Callback,
  Captured,
  ChargeRequest,
  Declined,
  Faulted,
  FindAnswer,
  PaymentProvider,
} from '../provider.ts';

export interface SandboxOptions {
  readonly url: string;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly callbackSecret: string;
}

interface Answered {
  readonly kind: 'answered';
  readonly status: number;
  readonly body: Record<string, unknown>;
}

interface SandboxCharge {
  readonly id: string;
  readonly amount_minor: number;
}

/** Failures before the request left: it certainly did not arrive. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const OUTAGES = new Set([429, 502, 503, 504]);
const TOLERANCE_S = 300;

export function openSandboxProvider(options: SandboxOptions): PaymentProvider {
  const agent = new Agent({ connections: options.concurrency + 16, connect: { timeout: 3000 } });
  const ask = createAsk(options, agent);
  return {
    name: 'sandbox',
    async charge(request) {
      const answer = await ask('POST', '/v1/charges', chargeBody(request), request.key);
      if (answer.kind !== 'answered') return answer;
      if (answer.status <= 201) return capturedOf(answer.body);
      // What it finds malformed (a token of its own that we cannot judge) it will never charge.
      if (answer.status === 402 || answer.body['code'] === 'validation_failed')
        return declinedOf(answer.body);
      throw new Error(
        `the sandbox refused a charge: ${answer.status} ${textOf(answer.body['code'])}`,
      );
    },
    async find(request): Promise<FindAnswer> {
      const answer = await ask('GET', `/v1/charges/by-key/${encodeURIComponent(request.key)}`);
      if (answer.kind !== 'answered') return answer;
      if (answer.status === 404 && answer.body['code'] === 'not_found') return { kind: 'none' };
      if (answer.body['status'] === 'captured') return capturedOf(answer.body);
      if (answer.body['status'] === 'declined') return declinedOf(answer.body);
      throw new Error(`the sandbox answered a search with ${answer.status}`);
    },
    async voidKey(request) {
      const body = { key: request.key, order_id: request.orderId };
      const answer = await ask('POST', '/v1/voids', body);
      if (answer.kind !== 'answered') return answer;
      if (answer.body['status'] === 'captured') return capturedOf(answer.body);
      if (answer.body['status'] === 'voided') return { kind: 'voided' };
      throw new Error(`the sandbox answered a void with ${answer.status}`);
    },
    async refund({ key, reference, amountMinor }) {
      const body = { charge_id: reference, amount_minor: amountMinor };
      const answer = await ask('POST', '/v1/refunds', body, key);
      if (answer.kind !== 'answered') return answer;
      if (answer.status <= 201) return { kind: 'refunded', reference: textOf(answer.body['id']) };
      throw new Error(
        `the sandbox refused a refund: ${answer.status} ${textOf(answer.body['code'])}`,
      );
    },
    readCallback: (headers, body) => readCallback(options.callbackSecret, headers, body),
    close: () => agent.destroy(),
  };
}

type Ask = (
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
  key?: string,
) => Promise<Answered | Faulted | Away>;

/** One call to the gateway; what is not an answer becomes a fault or an outage. */
function createAsk({ url, timeoutMs }: SandboxOptions, dispatcher: Agent): Ask {
  const base = url.replace(/\/$/, '');
  return async (method, path, body, key) => {
    refuseInTransaction('the sandbox gateway');
    try {
      const reply = await inSpan(`${method} sandbox`, 'CLIENT', { 'url.path': path }, () =>
        send(base + path, {
          method,
          dispatcher,
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
          signal: AbortSignal.timeout(timeoutMs),
          headers: {
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...(key === undefined ? {} : { 'idempotency-key': key }),
            ...traceHeader(),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
      const answer = JSON.parse(await reply.body.text()) as Record<string, unknown>;
      const message = `the gateway answered ${reply.statusCode} ${textOf(answer['code'])}`;
      if (OUTAGES.has(reply.statusCode)) return { kind: 'outage', message, reached: true };
      if (reply.statusCode >= 500) return { kind: 'fault', message };
      return { kind: 'answered', status: reply.statusCode, body: answer };
    } catch (error) {
      return awayOf(error as NodeJS.ErrnoException);
    }
  };
}

/** The sandbox calls back in the same trace; whether that or its answer comes first is chance. */
function traceHeader(): Record<string, string> {
  const traceparent = currentTraceparent();
  return traceparent === undefined ? {} : { traceparent };
}

function chargeBody(request: ChargeRequest) {
  return {
    amount_minor: request.amountMinor,
    currency: request.currency,
    order_id: request.orderId,
    ...(request.token === null ? {} : { token: request.token }),
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function capturedOf(body: Record<string, unknown>): Captured {
  const charge = body as unknown as SandboxCharge;
  return { kind: 'captured', reference: charge.id, amountMinor: charge.amount_minor };
}

function declinedOf(body: Record<string, unknown>): Declined {
  const code = textOf(body['code']) || textOf(body['decline_code']) || 'declined';
  return { kind: 'declined', code, message: textOf(body['message']) || code };
}

function awayOf(error: NodeJS.ErrnoException): Away {
  const code = error.code ?? (error.cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  const reason = error.name === 'TimeoutError' ? 'no answer in time' : error.message || code;
  return {
    kind: 'outage',
    message: `the gateway is away: ${reason}`,
    reached: !NEVER_SENT.has(code),
  };
}

function readCallback(
  secret: string,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: Buffer,
): Callback {
  const header = headers['sandbox-signature'];
  const match = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(typeof header === 'string' ? header : '');
  const [, seconds = '', given = ''] = match ?? [];
  const expected = createHmac('sha256', secret).update(`${seconds}.`).update(body).digest();
  const fresh = Math.abs(epochMs() / 1000 - Number(seconds)) <= TOLERANCE_S;
  if (match === null || !fresh || !timingSafeEqual(expected, Buffer.from(given, 'hex')))
    throw new Refusal(401, 'invalid_signature', "The callback's signature is not valid.");
  const event = JSON.parse(body.toString()) as {
    id: string;
    type: string;
    charge: Record<string, unknown> & { order_id: string };
  };
  return {
    eventId: event.id,
    orderId: event.charge.order_id,
    answer:
      event.type === 'charge.captured'
        ? capturedOf(event.charge)
        : event.type === 'charge.declined'
          ? declinedOf(event.charge)
          : undefined,
  };
}
