/**
 * The payment intent of an order: opened, looked at, confirmed, cancelled.
 *
 * The intent is the idempotency object, not a saved answer. Stripe saves the first answer under an
 * idempotency key and repeats it for a day at least, a 500 included, so charging in one call with
 * one key would make a passing fault final. Therefore an intent is created unconfirmed, under a
 * key made of the order (which charges nothing, however often it is done), and confirmed by a call
 * of its own: an intent succeeds once, and a cancelled one never will. Whoever needs the intent
 * again gets it by creating it again, because Stripe's search finds a new one only after a while.
 */
import type Stripe from 'stripe';
import type { Logger } from '@waybill/kit/logger.ts';
import type {
  Away,
  ChargeAnswer,
  ChargeRequest,
  Declined,
  Faulted,
  FindAnswer,
  VoidAnswer,
} from '../provider.ts';
import { capturedOf, declined, judge, type Trouble } from './stripe-answers.ts';
import type { Ask } from './stripe-client.ts';

/** An intent as it is now. `fresh`: it was created by this very call. */
interface Opened {
  readonly kind: 'opened';
  readonly intent: Stripe.PaymentIntent;
  readonly fresh: boolean;
}

type Opening = Opened | Declined | Faulted | Away;

/** Keys that were answered, one after the other, with a saved 5xx; more than ever happens. */
const GENERATIONS = 10;

/** The idempotency key, and those that follow it when it is spent. */
export function keysOf(key: string): string[] {
  return Array.from({ length: GENERATIONS }, (_, spent) => (spent === 0 ? key : `${key}:${spent}`));
}

/**
 * The order's intent: created, or the one that was created before. A key whose saved answer is a
 * 5xx is spent, and everybody goes on to the next one. Only a saved answer counts: a 5xx that was
 * not saved may be followed by a success, and two workers would then hold two intents.
 */
export async function openIntent(
  ask: Ask,
  request: ChargeRequest,
  amount: number,
): Promise<Opening> {
  const params: Stripe.PaymentIntentCreateParams = {
    amount,
    currency: request.currency.toLowerCase(),
    allowed_payment_method_types: ['card'],
    metadata: { order_id: request.orderId, key: request.key },
  };
  for (const idempotencyKey of keysOf(`${request.key}:intent`)) {
    const created = await ask('create payment_intent', (stripe) =>
      stripe.paymentIntents.create(params, { idempotencyKey }),
    );
    if (created.kind === 'answered') {
      const { id, lastResponse } = created.value;
      if (lastResponse.headers['idempotent-replayed'] !== 'true')
        return { kind: 'opened', intent: created.value, fresh: true };
      // A saved answer shows the intent as it was when it was new.
      const now = await retrieve(ask, id);
      return now.kind === 'answered' ? { kind: 'opened', intent: now.value, fresh: false } : now;
    }
    if (created.kind === 'refused') return afterRefusedCreate(created);
    if (!created.replayed) return created;
  }
  return { kind: 'fault', message: 'Stripe answers every key of this payment with a saved fault' };
}

/** Amounts below Stripe's minimum, currencies it does not take: trying again changes nothing. */
function afterRefusedCreate({ code, message, param }: Trouble & { kind: 'refused' }): Declined {
  if (param === 'amount' || param === 'currency' || code.startsWith('amount_'))
    return declined(code, message);
  throw new Error(`Stripe refused to create a payment intent: ${code} ${message}`);
}

/**
 * The order's intent when the question is about the past. Stripe forgets a key after a day; so
 * when the intent turns out to be new, one that was charged under the same key is searched for.
 */
export async function openKnownIntent(
  ask: Ask,
  request: ChargeRequest,
  amount: number,
  log: Logger,
): Promise<Opening> {
  const opened = await openIntent(ask, request, amount);
  if (opened.kind !== 'opened' || !opened.fresh) return opened;
  const found = await ask('search payment_intents', (stripe) =>
    stripe.paymentIntents.search({ query: `metadata['key']:'${request.key}'`, limit: 100 }),
  );
  if (found.kind === 'refused') {
    // Not every country's accounts may search. Without it, a day is all that can be asked about.
    log.warn({ code: found.code }, 'Stripe does not search; it is asked by key alone');
    return opened;
  }
  if (found.kind !== 'answered') return found;
  const charged = found.value.data.find(
    ({ id, status }) =>
      id !== opened.intent.id && (status === 'succeeded' || status === 'processing'),
  );
  if (charged === undefined) return opened;
  const ended = await cancelIntent(ask, opened.intent);
  return ended.kind === 'voided'
    ? { kind: 'opened', intent: charged, fresh: false }
    : awayOf(ended);
}

function awayOf(answer: VoidAnswer): Faulted | Away {
  if (answer.kind === 'fault' || answer.kind === 'outage') return answer;
  throw new Error('two payment intents of one key were charged at Stripe');
}

async function retrieve(ask: Ask, id: string) {
  const answer = await ask('retrieve payment_intent', (stripe) =>
    stripe.paymentIntents.retrieve(id),
  );
  if (answer.kind === 'refused') throw new Error(`Stripe does not show ${id}: ${answer.code}`);
  return answer;
}

/** What an intent says. One that waits for its customer is given up: nobody is there. */
export async function readIntent(ask: Ask, intent: Stripe.PaymentIntent): Promise<FindAnswer> {
  const judgement = judge(intent);
  if (judgement.kind !== 'needs_action') return judgement;
  const no = declined('authentication_required', 'The card wants its holder to confirm.');
  return giveUp(ask, intent, no);
}

/** Tries to charge. */
export async function confirmIntent(
  ask: Ask,
  intent: Stripe.PaymentIntent,
  method: string,
): Promise<ChargeAnswer> {
  // Under no key of ours: a saved answer would be in the way, and the intent lets one try succeed.
  const answer = await ask('confirm payment_intent', (stripe) =>
    stripe.paymentIntents.confirm(intent.id, {
      payment_method: method,
      off_session: true,
      error_on_requires_action: true,
    }),
  );
  if (answer.kind === 'refused') {
    const no = declined(answer.code, answer.message);
    return answer.card ? no : giveUp(ask, intent, no);
  }
  if (answer.kind !== 'answered') return answer;
  const known = await readIntent(ask, answer.value);
  if (known.kind !== 'none') return known;
  return { kind: 'outage', message: 'Stripe left the payment unconfirmed', reached: true };
}

/**
 * Ends an intent before the order is told no: a confirmation that had no answer may still be under
 * way at Stripe, and would charge afterwards.
 */
async function giveUp(ask: Ask, intent: Stripe.PaymentIntent, no: Declined): Promise<ChargeAnswer> {
  const ended = await cancelIntent(ask, intent);
  return ended.kind === 'voided' ? no : ended;
}

/** Cancels an intent unless it succeeded; Stripe decides what came first. */
export async function cancelIntent(ask: Ask, intent: Stripe.PaymentIntent): Promise<VoidAnswer> {
  const known = endOf(intent);
  if (known !== undefined) return known;
  const answer = await ask('cancel payment_intent', (stripe) =>
    stripe.paymentIntents.cancel(intent.id),
  );
  if (answer.kind === 'answered') return { kind: 'voided' };
  if (answer.kind !== 'refused') return answer;
  const now = await retrieve(ask, intent.id);
  if (now.kind !== 'answered') return now;
  const { status } = now.value;
  return (
    endOf(now.value) ?? { kind: 'outage', message: `it is ${status} at Stripe`, reached: true }
  );
}

function endOf(intent: Stripe.PaymentIntent): VoidAnswer | undefined {
  if (intent.status === 'succeeded') return capturedOf(intent);
  return intent.status === 'canceled' ? { kind: 'voided' } : undefined;
}
