/** Faults in orders. */
import {
  confirmed,
  declined,
  log,
  nobody,
  pay,
  refunded,
  reserved,
  step,
  unguard,
  unlog,
  update,
  type Plant,
} from './plant.ts';

export const orderFaults: readonly Plant[] = [
  {
    check: 'order-unsettled',
    name: 'it waits for its payment for ever',
    sql: update("status = 'PAYMENT_PROCESSING', payment_status = 'PENDING'", confirmed),
    also: ['history-broken', 'payment-disagrees'],
  },
  {
    check: 'order-unsettled',
    name: 'nobody began to charge it',
    sql: update("status = 'PENDING', payment_status = 'PENDING'", declined),
    also: ['history-broken', 'payment-disagrees'],
  },
  {
    check: 'cancellation-forgotten',
    name: 'it is confirmed',
    sql: update('cancel_requested_at = now()', confirmed),
  },
  {
    check: 'settled-not-once',
    name: 'confirmed twice',
    sql:
      log(step('CONFIRMED', 'CONFIRMED'), refunded, 4) +
      log(step('CANCELLED', 'CONFIRMED'), refunded, 5) +
      update("status = 'CONFIRMED'", refunded),
    also: [
      'illegal-transition',
      'history-broken',
      'payment-disagrees',
      'money-disagrees-with-order',
      'cancellation-forgotten',
      'cancellation-not-kept',
    ],
  },
  {
    check: 'settled-not-once',
    name: 'confirmed, then failed',
    sql:
      log(step('CONFIRMED', 'PAYMENT_FAILED'), refunded, 4) +
      log(step('PAYMENT_FAILED', 'CANCELLED'), refunded, 5),
    also: ['illegal-transition'],
  },
  {
    check: 'settled-not-once',
    name: 'cancelled twice',
    sql:
      log(step('CANCELLED', 'CONFIRMED'), refunded, 3) +
      log(step('PAYMENT_PROCESSING', 'CANCELLED'), refunded, 2) +
      log(step('PENDING', 'PAYMENT_PROCESSING'), refunded, 1),
    also: ['illegal-transition', 'history-broken'],
  },
  {
    check: 'illegal-transition',
    name: 'it was shipped before it was confirmed',
    sql:
      log(step('PAYMENT_PROCESSING', 'SHIPPED'), confirmed, 3) +
      log(step('SHIPPED', 'CONFIRMED'), confirmed, 4),
    rows: 2,
  },
  {
    check: 'illegal-transition',
    name: 'it began in the middle',
    sql: log(step(null, 'CONFIRMED'), reserved, 1) + update("status = 'CONFIRMED'", reserved),
    also: ['order-without-pet'],
  },
  {
    check: 'history-broken',
    name: 'a step begins elsewhere than the one before ended',
    sql: log(step('PENDING', 'PAYMENT_PROCESSING'), confirmed, 3),
  },
  {
    check: 'history-broken',
    name: 'a step is missing',
    sql: unlog(confirmed, 3),
    also: ['event-missing', 'position-gap'],
  },
  {
    check: 'history-broken',
    name: 'the order stands elsewhere than its history ends',
    sql: update("status = 'DELIVERED'", confirmed),
  },
  {
    check: 'history-broken',
    name: 'an event tells no state',
    sql: log("data = '{}'", reserved, 1),
    rows: 2,
  },
  {
    check: 'total-differs',
    name: 'a line is too dear',
    sql: update(`items = '[{"item_id":"a","quantity":2,"unit_minor":1250}]'`, confirmed),
  },
  {
    check: 'total-differs',
    name: 'there are no lines',
    sql: update(`items = '[]'`, confirmed),
  },
  {
    check: 'amount-unusable',
    name: 'a total is not a number',
    sql: `${unguard('orders.orders')} alter table orders.orders alter total_minor type numeric;
      ${update("total_minor = 'NaN'", reserved)}`,
    rows: 2,
    also: ['total-differs', 'order-unsettled', 'payment-missing', 'pet-order-odd'],
  },
  {
    check: 'amount-unusable',
    name: 'a price is not a number',
    sql: update(
      `items = '[{"quantity":1,"unit_minor":1250},{"quantity":1,"unit_minor":"NaN"}]'`,
      confirmed,
    ),
  },
  {
    check: 'amount-unusable',
    name: 'a quantity is negative',
    sql: update(
      `items = '[{"quantity":1,"unit_minor":1250},{"quantity":-1,"unit_minor":0}]'`,
      confirmed,
    ),
  },
  {
    check: 'amount-unusable',
    name: 'a payment is about nothing',
    sql: unguard('payments.payments') + pay('amount_minor = -1', declined),
    also: ['payment-amount-differs'],
  },
  {
    check: 'number-twice',
    name: 'two orders, one number',
    sql: `${unguard('orders.orders')} update orders.orders set number =
      (select number from orders.orders where id = ${confirmed}) where id = ${declined}`,
  },
  { check: 'number-twice', name: 'no number', sql: update('number = 0', declined) },
  {
    check: 'key-without-order',
    name: 'its order is not there',
    sql: `update orders.idempotency_keys set response = ${nobody} where response = ${declined}`,
    also: [],
  },
  {
    check: 'key-without-order',
    name: 'it was never answered',
    sql: `insert into orders.idempotency_keys (scope, key, fingerprint) values ('s', 'k', 'x')`,
  },
];
