/** Faults in payments. */
import {
  confirmed,
  declined,
  nobody,
  pay,
  refunded,
  unguard,
  update,
  withdrawn,
  type Plant,
} from './plant.ts';

export const paymentFaults: readonly Plant[] = [
  {
    check: 'payment-missing',
    name: 'of an order that was accepted',
    sql: `delete from payments.attempts where order_id = ${declined};
      delete from payments.payments where order_id = ${declined}`,
    also: ['event-of-nothing', 'effect-of-nothing', 'attempts-hidden'],
  },
  {
    check: 'payment-of-nobody',
    name: 'an order that does not exist is charged',
    sql: `insert into payments.payments (order_id, state, amount_minor, currency, provider,
        deadline_at)
      values (${nobody}, 'VOIDED', 1, 'USD', 'sandbox', now())`,
  },
  ...['PENDING', 'PROCESSING', 'UNKNOWN'].map((state) => ({
    check: 'payment-open',
    name: `it is ${state}`,
    sql: pay(`state = '${state}'`, withdrawn),
  })),
  {
    check: 'payment-amount-differs',
    name: 'another amount',
    sql: pay('amount_minor = 9', declined),
  },
  {
    check: 'payment-amount-differs',
    name: 'another currency',
    sql: pay("currency = 'EUR'", declined),
  },
  {
    check: 'payment-amount-differs',
    name: 'captured in part',
    sql: pay('captured_minor = 1', confirmed),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'payment-disagrees',
    name: 'paid, and the order failed',
    sql: pay("state = 'FAILED'", confirmed),
    also: ['attempts-broken'],
  },
  {
    check: 'payment-disagrees',
    name: 'refunded, and the order is still confirmed',
    sql: pay("state = 'REFUNDED', refunded_minor = captured_minor", confirmed),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'payment-disagrees',
    name: 'captured, and the order is cancelled',
    sql: pay("state = 'CAPTURED', refunded_minor = 0", refunded),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'payment-disagrees',
    name: 'given up, and the order failed',
    sql: pay("state = 'VOIDED'", declined),
  },
  {
    check: 'charged-twice',
    name: 'two attempts succeeded',
    sql: `drop index payments.attempts_succeeded_once;
      update payments.attempts set status = 'SUCCEEDED' where order_id = ${confirmed}`,
    also: ['attempts-hidden'],
  },
  {
    check: 'attempts-broken',
    name: 'one is missing',
    sql: `delete from payments.attempts where order_id = ${confirmed} and attempt_number = 1`,
    also: ['attempts-hidden'],
  },
  {
    check: 'attempts-broken',
    name: 'none succeeded, and money came in',
    sql: `update payments.attempts set status = 'FAILED' where order_id = ${confirmed}`,
    also: ['attempts-hidden'],
  },
  {
    check: 'attempts-broken',
    name: 'captured without money',
    sql: pay('captured_minor = 0', confirmed),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'attempts-hidden',
    name: 'a confirmed order shows none',
    sql: update("payment_attempts = '[]'", confirmed),
  },
  {
    check: 'attempts-hidden',
    name: 'an order shows one that never was',
    sql: update(
      `payment_attempts = '[{"attempt_number":1,"status":"FAILED","amount_minor":99}]'`,
      withdrawn,
    ),
  },
  {
    check: 'refund-exceeds-capture',
    name: 'more than came in',
    sql: unguard('payments.payments') + pay('refunded_minor = 4201', refunded),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'refund-exceeds-capture',
    name: 'of a payment that is still told captured in full, after it failed',
    sql: unguard('payments.payments') + pay('refunded_minor = 1', declined),
    also: ['money-disagrees-with-payment'],
  },
];
