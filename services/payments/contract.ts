/**
 * Payments: one payment per order, charged once at a provider, whoever asks.
 *
 * A *payment* is the intent to collect an order's total; an *attempt* is one answered try at it.
 * *Unknown* means that a call ended without an answer: the provider is asked before it is charged.
 */
import { Amount, Nullable, OneOf, Timestamp, Type, type Static } from '@waybill/kit/schema.ts';

export const paymentsService = { name: 'payments', paths: ['/api/v1/payments'] } as const;

const UUID = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';

export const PAYMENT_STATES = [
  'PENDING',
  'PROCESSING',
  'UNKNOWN',
  'CAPTURED',
  'FAILED',
  'VOIDED',
  'REFUNDED',
] as const;
export type PaymentState = (typeof PAYMENT_STATES)[number];

export const Payment = Type.Object(
  {
    order_id: Type.String(),
    status: OneOf(PAYMENT_STATES),
    amount: Amount,
    captured_amount: Amount,
    refunded_amount: Amount,
    currency: Type.String(),
    provider: Type.String(),
    provider_reference: Nullable(Type.String()),
    failure_code: Nullable(Type.String()),
    waiting_for: Nullable(Type.String({ description: 'The outage that it waits out, if any.' })),
    calls: Type.Integer({ description: 'Calls to the provider so far, outages included.' }),
    deadline_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
    attempts: Type.Array(
      Type.Object({
        attempt_number: Type.Integer(),
        status: OneOf(['SUCCEEDED', 'DECLINED', 'FAILED']),
        amount: Amount,
        error_message: Nullable(Type.String()),
        created_at: Timestamp,
      }),
    ),
  },
  { title: 'Payment', description: 'The payment of an order.' },
);
export type Payment = Static<typeof Payment>;

export const PaymentPath = Type.Object(
  {
    order_id: Type.String({ pattern: UUID }),
  },
  { additionalProperties: false },
);

/** What the checkout asks for: charge this order while its caller waits. */
export const ChargeNow = Type.Object(
  {
    order_id: Type.String({ pattern: UUID }),
    customer_id: Type.String({ minLength: 1, maxLength: 128 }),
    amount_minor: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    currency: Type.String({ pattern: '^[A-Z]{3}$' }),
  },
  { additionalProperties: false, title: 'ChargeNow' },
);
export type ChargeNow = Static<typeof ChargeNow>;

/** Where the payment stands when the charge is known, or the deadline is near. */
export interface ChargedNow {
  readonly state: PaymentState;
  readonly failure_code: string | null;
  readonly attempts: readonly Attempt[];
}

/** One answered try, as events carry it. */
export interface Attempt {
  readonly attempt_number: number;
  readonly status: 'SUCCEEDED' | 'DECLINED' | 'FAILED';
  readonly amount_minor: number;
  readonly error_message: string | null;
  readonly created_at: string;
}

export type PaymentEventType =
  | 'PAYMENT_STARTED'
  | 'PAYMENT_ATTEMPT_FAILED'
  | 'PAYMENT_CAPTURED'
  | 'PAYMENT_FAILED'
  | 'PAYMENT_VOIDED'
  | 'PAYMENT_REFUNDED';

/** What every event of a payment carries; the key is the order's id. */
export interface PaymentEvent {
  readonly order_id: string;
  readonly status: PaymentState;
  readonly amount_minor: number;
  readonly currency: string;
  readonly failure_code: string | null;
  readonly attempts: readonly Attempt[];
}
