/** What Stripe's answers and errors mean in the words of the port. */
import Stripe from 'stripe';
import type { Away, Captured, Declined, Faulted, FindAnswer } from '../provider.ts';
import { fromStripeAmount } from './stripe-money.ts';

/** Stripe understood and said no (4xx). What that means depends on the call. */
export interface Refused {
  readonly kind: 'refused';
  readonly card: boolean;
  readonly code: string;
  readonly message: string;
  readonly param: string;
}

/** An error of the SDK, with what the chain of keys wants to know of it. */
export type Trouble = (Refused | Faulted | Away) & {
  /** The answer is the saved one of an earlier call: this key will say the same for a day. */
  readonly replayed: boolean;
  /** Stripe does not accept the API key, or not for this. */
  readonly locked: boolean;
};

/** Failures before the request left: it certainly did not arrive. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** Nothing was decided: conflict of idempotency keys, too many requests, a gateway in between. */
const OUTAGES = new Set([409, 429, 502, 503, 504]);

/** Sorts an error of the SDK; any other error is a bug and is thrown on. */
export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof Stripe.errors.StripeError)) throw error;
  const replayed = error.headers?.['idempotent-replayed'] === 'true';
  const plain = { replayed, locked: false };
  const away = (message: string, reached = true): Trouble => ({
    kind: 'outage',
    message,
    reached,
    ...plain,
  });
  if (error instanceof Stripe.errors.StripeConnectionError) {
    const { code = '' } = (error.detail ?? {}) as NodeJS.ErrnoException;
    const reason = code === 'ETIMEDOUT' ? 'no answer in time' : code || error.message;
    return away(`Stripe is away: ${reason}`, !NEVER_SENT.has(code));
  }
  const { statusCode: status } = error;
  // An answer that is not JSON comes from something in front of Stripe.
  if (status === undefined) return away(`Stripe's answer cannot be read: ${error.message}`);
  if (error instanceof Stripe.errors.StripeRateLimitError || OUTAGES.has(status))
    return away(`Stripe answered ${status} ${error.code ?? ''}`.trim());
  if (status === 401 || status === 403)
    return { ...away(`Stripe does not accept STRIPE_SECRET_KEY (${status})`), locked: true };
  const code = codeOf(error);
  if (status >= 500)
    return { kind: 'fault', message: `Stripe answered ${status} ${code}`, ...plain };
  return {
    kind: 'refused',
    card: error instanceof Stripe.errors.StripeCardError,
    code,
    message: error.message,
    param: error.param ?? '',
    ...plain,
  };
}

/** The most telling of Stripe's codes: `insufficient_funds` rather than `card_declined`. */
function codeOf(error: { code?: string; decline_code?: string; param?: string }): string {
  const { code, decline_code: reason, param } = error;
  if (code === 'card_declined' && reason !== undefined && reason !== 'generic_decline')
    return reason;
  return code ?? (param === undefined ? 'error' : `invalid_${param}`);
}

/** What a payment intent says about the charge; `none`: it was not tried yet. */
export type Judgement = FindAnswer | { readonly kind: 'needs_action' };

/** Judges an intent's present state. */
export function judge(intent: Stripe.PaymentIntent): Judgement {
  switch (intent.status) {
    case 'succeeded':
      return capturedOf(intent);
    case 'canceled':
      return declined('payment_intent_canceled', 'The payment was cancelled at Stripe.');
    case 'requires_action':
      return { kind: 'needs_action' };
    case 'requires_payment_method':
    case 'requires_confirmation':
      return declinedOf(intent) ?? { kind: 'none' };
    default:
      return {
        kind: 'outage',
        message: `the payment is ${intent.status} at Stripe`,
        reached: true,
      };
  }
}

export function declined(code: string, message: string): Declined {
  return { kind: 'declined', code, message };
}

/** The charge of an intent that succeeded. */
export function capturedOf(intent: Stripe.PaymentIntent): Captured {
  const currency = intent.currency.toUpperCase();
  const amountMinor = fromStripeAmount(intent.amount_received, currency);
  return { kind: 'captured', reference: intent.id, amountMinor };
}

/** Why an intent's last try failed. An error of Stripe's own side is none of the card's. */
export function declinedOf(intent: Stripe.PaymentIntent): Declined | undefined {
  const error = intent.last_payment_error;
  if (error === null || error.type === 'api_error') return undefined;
  const code = codeOf(error);
  return declined(code, error.message ?? code);
}
