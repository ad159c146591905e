/** Stripe as a payment provider: payment intents through the official SDK. */
import Stripe from 'stripe';
import { epochMs } from '@waybill/kit/clock.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { isUuid } from '@waybill/kit/ids.ts';
import type { Callback, ChargeRequest, PaymentProvider, RefundAnswer } from '../provider.ts';
import { capturedOf, declined, declinedOf } from './stripe-answers.ts';
import { openStripeClient, type Ask, type StripeClientOptions } from './stripe-client.ts';
import {
  cancelIntent,
  confirmIntent,
  keysOf,
  openIntent,
  openKnownIntent,
  readIntent,
} from './stripe-intents.ts';
import { toStripeAmount } from './stripe-money.ts';

export interface StripeOptions extends StripeClientOptions {
  readonly webhookSecret: string;
}

const TOLERANCE_S = 300;

export function openStripeProvider(options: StripeOptions): PaymentProvider {
  const { log } = options;
  const { ask, close } = openStripeClient(options);
  const testMode = /^[sr]k_test_/.test(options.secretKey);
  /** What would be charged, or why nothing ever is. */
  const chargeable = ({ amountMinor, currency, token }: ChargeRequest) => {
    const amount = toStripeAmount(amountMinor, currency);
    if (amount === undefined)
      return declined('amount_not_chargeable', `Stripe cannot charge this amount of ${currency}.`);
    // Where no money is at stake an order without a token is paid by Stripe's test card.
    const method = token ?? (testMode ? 'pm_card_visa' : undefined);
    return method === undefined
      ? declined('payment_method_missing', 'The order names no payment method.')
      : ({ kind: 'chargeable', amount, method } as const);
  };

  return {
    name: 'stripe',
    async charge(request) {
      const wanted = chargeable(request);
      if (wanted.kind === 'declined') return wanted;
      const opened = await openIntent(ask, request, wanted.amount);
      if (opened.kind !== 'opened') return opened;
      const known = await readIntent(ask, opened.intent);
      return known.kind === 'none' ? confirmIntent(ask, opened.intent, wanted.method) : known;
    },
    async find(request) {
      const wanted = chargeable(request);
      if (wanted.kind === 'declined') return { kind: 'none' };
      const opened = await openKnownIntent(ask, request, wanted.amount, log);
      return opened.kind === 'opened' ? readIntent(ask, opened.intent) : opened;
    },
    async voidKey(request) {
      const wanted = chargeable(request);
      if (wanted.kind === 'declined') return { kind: 'voided' };
      const opened = await openKnownIntent(ask, request, wanted.amount, log);
      if (opened.kind === 'declined') return { kind: 'voided' };
      return opened.kind === 'opened' ? cancelIntent(ask, opened.intent) : opened;
    },
    refund: (request) => refund(ask, request),
    readCallback: (headers, body) => readCallback(options.webhookSecret, headers, body),
    close,
  };
}

/**
 * Refunds once per key: looked for by its metadata first, because a saved 5xx may have refunded
 * and Stripe forgets keys after a day. Whatever happens, Stripe pays back no more than was charged.
 */
async function refund(
  ask: Ask,
  { key, reference, amountMinor, currency }: Parameters<PaymentProvider['refund']>[0],
): Promise<RefundAnswer> {
  const amount = toStripeAmount(amountMinor, currency);
  if (amount === undefined)
    throw new Error(`Stripe cannot have charged ${amountMinor} ${currency}`);
  const known = await ask('list refunds', (stripe) =>
    stripe.refunds.list({ payment_intent: reference, limit: 100 }),
  );
  if (known.kind === 'refused') throw new Error(`Stripe does not show refunds: ${known.message}`);
  if (known.kind !== 'answered') return known;
  const made = known.value.data.find(({ metadata }) => metadata?.['key'] === key);
  if (made !== undefined) return refundedOf(made);
  for (const idempotencyKey of keysOf(key)) {
    const answer = await ask('create refund', (stripe) =>
      stripe.refunds.create(
        { payment_intent: reference, amount, metadata: { key } },
        { idempotencyKey },
      ),
    );
    if (answer.kind === 'answered') return refundedOf(answer.value);
    // Somebody paid it back by hand, on Stripe's pages.
    if (answer.kind === 'refused' && answer.code === 'charge_already_refunded')
      return { kind: 'refunded', reference: known.value.data[0]?.id ?? reference };
    if (answer.kind === 'refused') throw new Error(`Stripe refused a refund: ${answer.message}`);
    if (!answer.replayed) return answer;
  }
  return { kind: 'fault', message: 'Stripe answers every key of this refund with a saved fault' };
}

function refundedOf({ id, status, failure_reason }: Stripe.Refund): RefundAnswer {
  return status === 'failed' || status === 'canceled'
    ? { kind: 'fault', message: `the refund ${id} is ${status}: ${failure_reason ?? 'no reason'}` }
    : { kind: 'refunded', reference: id };
}

function readCallback(
  secret: string,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: Buffer,
): Callback {
  const event = verifiedEvent(secret, headers['stripe-signature'], body);
  const nothing = { eventId: event.id, orderId: '', answer: undefined };
  if (event.type !== 'payment_intent.succeeded' && event.type !== 'payment_intent.payment_failed')
    return nothing;
  const intent = event.data.object;
  const { order_id: orderId = '', key = '' } = intent.metadata;
  // The account may serve others besides: what carries none of our keys is none of ours.
  if (!isUuid(orderId) || !key.startsWith(`${orderId}:`)) return nothing;
  const answer =
    event.type === 'payment_intent.succeeded' ? capturedOf(intent) : declinedOf(intent);
  return { eventId: event.id, orderId, answer };
}

function verifiedEvent(secret: string, signature: string | string[] | undefined, body: Buffer) {
  try {
    return Stripe.webhooks.constructEvent(
      body,
      signature ?? '',
      secret,
      TOLERANCE_S,
      undefined,
      epochMs(),
    );
  } catch {
    throw new Refusal(401, 'invalid_signature', "The callback's signature is not valid.");
  }
}
