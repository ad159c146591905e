/** Payment intents and refunds as Stripe keeps them, as far as charging cards goes. */
import { randomUUID } from 'node:crypto';

import { formIn, textIn } from './form.ts';
import type { Form } from './form.ts';
import { invalid, missing, ok } from './replies.ts';
import type { Reply } from './replies.ts';

interface PaymentError {
  readonly type: string;
  readonly code: string;
  readonly decline_code?: string;
  readonly message: string;
}

/** The part of a payment intent that clients look at. */
export interface Intent {
  readonly id: string;
  readonly object: 'payment_intent';
  readonly amount: number;
  amount_received: number;
  readonly currency: string;
  readonly created: number;
  readonly livemode: false;
  readonly metadata: Form;
  status: string;
  payment_method: string | null;
  last_payment_error: PaymentError | null;
}

/** An effect on somebody's money. */
export interface Movement {
  readonly kind: 'charge' | 'refund';
  readonly intent: string;
  readonly order_id: string;
  readonly amount: number;
  readonly currency: string;
}

interface Refund {
  readonly id: string;
  readonly object: 'refund';
  readonly payment_intent: string;
  readonly amount: number;
  readonly currency: string;
  readonly metadata: Form;
  readonly status: string;
}

export interface Ledger {
  readonly intents: ReadonlyMap<string, Intent>;
  readonly movements: readonly Movement[];
  create(form: Form): Reply;
  confirm(id: string, form: Form): Reply;
  retrieve(id: string): Reply;
  cancel(id: string): Reply;
  search(query: string): Reply;
  refund(form: Form): Reply;
  listRefunds(intent: string): Reply;
  /** Lets the search find what exists by now. */
  index(): void;
  /** Ends the processing of an intent, as a bank would. */
  settle(id: string, succeeded: boolean): void;
}

const CREATE = new Set(['amount', 'currency', 'allowed_payment_method_types', 'metadata']);
const CONFIRM = new Set(['payment_method', 'off_session', 'error_on_requires_action']);
const THOUSANDTHS = new Set(['bhd', 'jod', 'kwd', 'omr', 'tnd']);
const CURRENCIES = /^(usd|eur|gbp|jpy|kwd|ugx|isk|mga|huf)$/;

const refusal = (code: string, decline_code?: string): PaymentError => ({
  type: 'card_error',
  code,
  ...(decline_code !== undefined && { decline_code }),
  message: 'Your card was declined.',
});

const DECLINES: Readonly<Record<string, PaymentError>> = {
  pm_card_chargeDeclined: refusal('card_declined', 'generic_decline'),
  pm_card_visa_chargeDeclinedInsufficientFunds: refusal('card_declined', 'insufficient_funds'),
  pm_card_chargeDeclinedExpiredCard: refusal('expired_card'),
};

/** What happens to a tried intent, with its consequences. */
interface Ends {
  readonly capture: (intent: Intent) => Reply;
  readonly decline: (intent: Intent, error: PaymentError) => Reply;
}

/** @param tell called with every event that Stripe would send */
export function createLedger(tell: (type: string, intent: Intent) => void): Ledger {
  const intents = new Map<string, Intent>();
  const movements: Movement[] = [];
  const indexed = new Set<string>();
  const ends = createEnds(movements, tell);
  const find = (id: string, then: (intent: Intent) => Reply): Reply => {
    const intent = intents.get(id);
    return intent === undefined ? missing(`payment_intent: '${id}'`) : then(intent);
  };
  const refunds = createRefunds(movements);
  return {
    intents,
    movements,
    create(form) {
      const refused = judgeCreate(form);
      if (refused !== undefined) return refused;
      const intent = newIntent(form);
      intents.set(intent.id, intent);
      return ok(intent);
    },
    confirm: (id, form) =>
      find(id, (intent) =>
        /^requires_(payment_method|confirmation)$/.test(intent.status)
          ? tryCard(intent, form, ends)
          : unexpected(intent, 'confirm'),
      ),
    retrieve: (id) => find(id, ok),
    cancel: (id) =>
      find(id, (intent) => {
        if (/^(succeeded|canceled|processing)$/.test(intent.status))
          return unexpected(intent, 'cancel');
        intent.status = 'canceled';
        tell('payment_intent.canceled', intent);
        return ok(intent);
      }),
    search(query) {
      const key = /^metadata\['key'\]:'([^']+)'$/.exec(query)?.[1];
      if (key === undefined) return invalid('parameter_invalid', 'This query is not understood.');
      const found = [...intents.values()].filter(({ metadata }) => metadata['key'] === key);
      return listOf(found.filter(({ id }) => indexed.has(id)));
    },
    refund: (form) =>
      find(textIn(form, 'payment_intent'), (intent) => refunds.create(intent, form)),
    listRefunds: (intent) => refunds.list(intent),
    index() {
      for (const id of intents.keys()) indexed.add(id);
    },
    settle(id, succeeded) {
      const intent = intents.get(id);
      if (intent?.status !== 'processing') throw new Error(`${id} is not processing`);
      if (succeeded) ends.capture(intent);
      else ends.decline(intent, refusal('card_declined'));
    },
  };
}

function createEnds(movements: Movement[], tell: (type: string, intent: Intent) => void): Ends {
  return {
    capture(intent) {
      intent.status = 'succeeded';
      intent.amount_received = intent.amount;
      movements.push(movementOf('charge', intent, intent.amount));
      tell('payment_intent.succeeded', intent);
      return ok(intent);
    },
    decline(intent, error) {
      intent.status = 'requires_payment_method';
      intent.last_payment_error = error;
      tell('payment_intent.payment_failed', intent);
      return { status: 402, body: { error: { ...error, payment_intent: intent } }, saved: true };
    },
  };
}

function createRefunds(movements: Movement[]) {
  const refunds: Refund[] = [];
  const of = (id: string) => refunds.filter((refund) => refund.payment_intent === id);
  return {
    list: (id: string) => listOf(of(id)),
    create(intent: Intent, form: Form): Reply {
      const amount = Number(textIn(form, 'amount'));
      const before = of(intent.id).reduce((sum, refund) => sum + refund.amount, 0);
      const left = intent.amount_received - before;
      if (left === 0) return invalid('charge_already_refunded', 'It has been refunded already.');
      if (amount > left) return invalid('amount_too_large', 'It is more than is left.');
      const refund = newRefund(intent, amount, formIn(form, 'metadata'));
      refunds.push(refund);
      movements.push(movementOf('refund', intent, amount));
      return ok(refund);
    },
  };
}

function listOf(data: readonly unknown[]): Reply {
  return ok({ object: 'list', data, has_more: false, url: '/v1/list' });
}

function movementOf(kind: Movement['kind'], intent: Intent, amount: number): Movement {
  const order_id = textIn(intent.metadata, 'order_id');
  return { kind, intent: intent.id, order_id, amount, currency: intent.currency };
}

function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
}

function newIntent(form: Form): Intent {
  return {
    id: newId('pi'),
    object: 'payment_intent',
    amount: Number(textIn(form, 'amount')),
    amount_received: 0,
    currency: textIn(form, 'currency'),
    created: Math.floor(Date.now() / 1000),
    livemode: false,
    metadata: formIn(form, 'metadata'),
    status: 'requires_payment_method',
    payment_method: null,
    last_payment_error: null,
  };
}

function newRefund(intent: Intent, amount: number, metadata: Form): Refund {
  return {
    id: newId('re'),
    object: 'refund',
    payment_intent: intent.id,
    amount,
    currency: intent.currency,
    metadata,
    status: 'succeeded',
  };
}

function judgeCreate(form: Form): Reply | undefined {
  const unknown = Object.keys(form).find((name) => !CREATE.has(name));
  if (unknown !== undefined) return invalid('parameter_unknown', 'Unknown', { param: unknown });
  const currency = textIn(form, 'currency');
  if (!CURRENCIES.test(currency))
    return invalid(undefined, `Invalid currency: ${currency}`, { param: 'currency' });
  const amount = textIn(form, 'amount');
  const step = THOUSANDTHS.has(currency) ? 10 : 1;
  if (!/^[1-9]\d*$/.test(amount) || Number(amount) % step !== 0)
    return invalid('parameter_invalid_integer', 'Invalid integer', { param: 'amount' });
  if (Number(amount) < 50) return invalid('amount_too_small', 'Too small', { param: 'amount' });
  if (Number(amount) > 99_999_999)
    return invalid('amount_too_large', 'It is too large', { param: 'amount' });
  return undefined;
}

function unexpected(intent: Intent, verb: string): Reply {
  const message = `You cannot ${verb} this PaymentIntent because it is ${intent.status}.`;
  return invalid('payment_intent_unexpected_state', message, { payment_intent: intent });
}

function tryCard(intent: Intent, form: Form, { capture, decline }: Ends): Reply {
  const unknown = Object.keys(form).find((name) => !CONFIRM.has(name));
  if (unknown !== undefined) return invalid('parameter_unknown', 'Unknown', { param: unknown });
  const method = textIn(form, 'payment_method');
  intent.payment_method = method;
  intent.last_payment_error = null;
  const declined = DECLINES[method];
  if (declined !== undefined) return decline(intent, declined);
  switch (method) {
    case 'pm_card_visa':
      return capture(intent);
    case 'pm_card_authenticationRequired':
      if (textIn(form, 'error_on_requires_action') === 'true')
        return decline(intent, refusal('authentication_required', 'authentication_required'));
      intent.status = 'requires_action';
      return ok(intent);
    // Not Stripe's: an answer that asks for an action all the same, and one that takes its time.
    case 'pm_action_all_the_same':
      intent.status = 'requires_action';
      return ok(intent);
    case 'pm_slow_bank':
      intent.status = 'processing';
      return ok(intent);
    default:
      return invalid('resource_missing', `No such PaymentMethod: '${method}'`, {
        param: 'payment_method',
      });
  }
}
