import type { Socket } from 'node:net';

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';

import { createApp, problem } from './app.ts';
import type { Callbacks, CallbackEvent } from './callbacks.ts';
import { createId } from './chance.ts';
import type { Counters } from './counters.ts';
import type { Journal, JournalEntry } from './journal.ts';
import type { ChargeOutcome, Ledger } from './ledger.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import { toCharge, toDecline, toRefund } from './views.ts';

/** What the provider's routes stand on. */
export interface ProviderParts {
  readonly journal: Journal;
  readonly ledger: Ledger;
  readonly misbehaviour: Misbehaviour;
  readonly counters: Counters;
  readonly callbacks: Callbacks;
  readonly callbackUrl: string | undefined;
  /** Keeps a connection open without an answer until the other side gives up. */
  hold(socket: Socket): void;
}

const strict = { additionalProperties: false };
const AmountMinor = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const OrderId = Type.String({ minLength: 1, maxLength: 200 });
const CallbackUrl = Type.String({ pattern: '^https?://', maxLength: 2_000 });

const ChargeBody = Type.Object(
  {
    amount_minor: AmountMinor,
    currency: Type.String({ pattern: '^[A-Z]{3}$' }),
    token: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    order_id: OrderId,
    callback_url: Type.Optional(CallbackUrl),
  },
  strict,
);

const VoidBody = Type.Object(
  { key: Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$' }), order_id: OrderId },
  strict,
);

const RefundBody = Type.Object(
  { charge_id: Type.String({ minLength: 1, maxLength: 100 }), amount_minor: AmountMinor },
  strict,
);

const KEY = /^[\x21-\x7e]{1,255}$/;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The kind under which GET /control counts the route's calls. */
    kind?: string;
  }
}

/** The charge API, on the listener that may misbehave. */
export function createProvider(parts: ProviderParts): FastifyInstance {
  const app = createApp();
  app.addHook('onRequest', async (request, reply) => {
    parts.counters.countCall(request.routeOptions.config.kind ?? 'unknown');
    if (parts.journal.brokenBy !== undefined) {
      return reply.code(503).send(problem('journal_unavailable', 'The journal cannot be written'));
    }
    if (parts.misbehaviour.settings.mode === 'error') {
      parts.counters.countOutcome('unavailable');
      return reply.code(503).send(problem('service_unavailable', 'Try again later'));
    }
    return undefined;
  });
  addChargeRoutes(app, parts);
  addVoidRoute(app, parts);
  addRefundRoute(app, parts);
  app.get('/healthz', { config: { kind: 'healthz' } }, async () => {
    await parts.misbehaviour.beSlow();
    return { status: 'ok' };
  });
  return app;
}

function addChargeRoutes(app: FastifyInstance, parts: ProviderParts): void {
  const { ledger, misbehaviour, counters } = parts;

  app.post<{ Body: Static<typeof ChargeBody> }>(
    '/v1/charges',
    { schema: { body: ChargeBody }, config: { kind: 'charge' }, preValidation: demandKey },
    async (request, reply) => {
      const { token = 'tok_ok', ...body } = request.body;
      const before = misbehaviour.faultBefore();
      if (before !== 'none') counters.countOutcome(`${before}_before_charge`);
      if (before === 'timeout') return holdBack(parts, request, reply);
      if (before === 'error') {
        await misbehaviour.process();
        return answerFault(reply);
      }
      const outcome = await ledger.charge({ key: keyOf(request), ...body }, async () => {
        await misbehaviour.process();
        return misbehaviour.judge(token);
      });
      counters.countOutcome(nameOf(outcome));
      const fresh = 'entry' in outcome && !outcome.replayed;
      if (fresh) announceCharge(parts, outcome.entry, token, traceOf(request));
      else if (outcome.kind !== 'missed') await misbehaviour.beSlow();
      if (fresh && outcome.kind === 'captured') {
        const after = misbehaviour.faultAfter(token);
        if (after !== 'none') counters.countOutcome(`${after}_after_charge`);
        if (after === 'timeout') return holdBack(parts, request, reply);
        if (after === 'error') return answerFault(reply);
        if (after === 'reset') {
          reply.hijack();
          request.raw.socket.resetAndDestroy();
          return reply;
        }
      }
      return answerCharge(reply, outcome);
    },
  );

  app.get<{ Params: { key: string } }>(
    '/v1/charges/by-key/:key',
    { config: { kind: 'by_key' } },
    async (request, reply) => {
      await misbehaviour.beSlow();
      const entry = await ledger.find(request.params.key);
      counters.countOutcome(entry === undefined ? 'not_found' : 'found');
      if (entry !== undefined) return toCharge(entry);
      return reply.code(404).send(problem('not_found', 'Nothing is known under this key'));
    },
  );
}

function addVoidRoute(app: FastifyInstance, parts: ProviderParts): void {
  app.post<{ Body: Static<typeof VoidBody> }>(
    '/v1/voids',
    { schema: { body: VoidBody }, config: { kind: 'void' } },
    async (request, reply) => {
      await parts.misbehaviour.beSlow();
      const outcome = await parts.ledger.void(request.body.key, request.body.order_id);
      parts.counters.countOutcome(`void_${outcome.kind}`);
      return outcome.kind === 'reused' ? answerReused(reply) : toCharge(outcome.entry);
    },
  );
}

function addRefundRoute(app: FastifyInstance, parts: ProviderParts): void {
  const { ledger, misbehaviour, counters } = parts;
  app.post<{ Body: Static<typeof RefundBody> }>(
    '/v1/refunds',
    { schema: { body: RefundBody }, config: { kind: 'refund' }, preValidation: demandKey },
    async (request, reply) => {
      const outcome = await ledger.refund({ key: keyOf(request), ...request.body }, () =>
        misbehaviour.process(),
      );
      counters.countOutcome(`refund_${outcome.kind}`);
      const processed = 'entry' in outcome ? !outcome.replayed : outcome.kind === 'exceeds';
      if (!processed) await misbehaviour.beSlow();
      if (outcome.kind === 'reused') return answerReused(reply);
      if (outcome.kind === 'unknown_charge') {
        return reply.code(404).send(problem('unknown_charge', 'There is no such charge'));
      }
      if (outcome.kind === 'exceeds') {
        return reply
          .code(422)
          .send(problem('refund_exceeds_charge', 'More would be refunded than was captured'));
      }
      if (outcome.replayed) reply.header('idempotent-replayed', 'true');
      else announceRefund(parts, outcome.entry, traceOf(request));
      return reply.code(outcome.replayed ? 200 : 201).send(toRefund(outcome.entry));
    },
  );
}

async function demandKey(request: FastifyRequest, reply: FastifyReply) {
  if (KEY.test(keyOf(request))) return undefined;
  const message = 'Send an Idempotency-Key of 1 to 255 printable ASCII characters';
  return reply.code(400).send(problem('idempotency_key_required', message));
}

function keyOf(request: FastifyRequest): string {
  const key = request.headers['idempotency-key'];
  return typeof key === 'string' ? key : '';
}

function nameOf(outcome: ChargeOutcome): string {
  if ('entry' in outcome && outcome.replayed) return `${outcome.kind}_replayed`;
  return outcome.kind === 'voided' || outcome.kind === 'reused'
    ? `refused_${outcome.kind}`
    : outcome.kind;
}

function answerCharge(reply: FastifyReply, outcome: ChargeOutcome) {
  if (outcome.kind === 'missed') return answerFault(reply);
  if (outcome.kind === 'reused') return answerReused(reply);
  if (outcome.kind === 'voided') {
    return reply.code(409).send(problem('key_voided', 'This key was voided and never charges'));
  }
  if (outcome.replayed) reply.header('idempotent-replayed', 'true');
  if (outcome.kind === 'declined') return reply.code(402).send(toDecline(outcome.entry));
  return reply.code(outcome.replayed ? 200 : 201).send(toCharge(outcome.entry));
}

function answerFault(reply: FastifyReply) {
  return reply.code(500).send(problem('internal_error', 'Something went wrong on our side'));
}

function answerReused(reply: FastifyReply) {
  const message = 'This key was used before with another amount, currency, charge or order';
  return reply.code(422).send(problem('idempotency_key_reused', message));
}

function holdBack(parts: ProviderParts, request: FastifyRequest, reply: FastifyReply) {
  reply.hijack();
  parts.hold(request.raw.socket);
  return reply;
}

function traceOf(request: FastifyRequest): string | undefined {
  const { traceparent } = request.headers;
  return typeof traceparent === 'string' ? traceparent : undefined;
}

function announceCharge(
  parts: ProviderParts,
  entry: JournalEntry,
  token: string,
  trace: string | undefined,
): void {
  const type = entry.kind === 'charge' ? 'charge.captured' : 'charge.declined';
  announce(parts, entry, { type, created_at: entry.at, charge: toCharge(entry) }, token, trace);
}

function announceRefund(
  parts: ProviderParts,
  entry: JournalEntry,
  trace: string | undefined,
): void {
  const charge = parts.ledger.findCharge(entry.charge_id ?? '');
  if (charge === undefined) return;
  const event = { charge: toCharge(charge), refund: toRefund(entry) };
  const told = { type: 'charge.refunded', created_at: entry.at, ...event } as const;
  announce(parts, charge, told, 'tok_ok', trace);
}

function announce(
  parts: ProviderParts,
  charge: JournalEntry,
  event: Omit<CallbackEvent, 'id'>,
  token: string,
  trace: string | undefined,
): void {
  const url = charge.callback_url ?? parts.callbackUrl;
  if (url === undefined) return;
  const delays = parts.misbehaviour.callbackDelays(token);
  parts.callbacks.send(url, { id: createId('evt'), ...event }, delays, trace);
}
