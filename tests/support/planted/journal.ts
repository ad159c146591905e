/** Faults in the provider's journal. */
import { lives } from '../clean-books.ts';
import { refunded, update, type Plant, type Row } from './plant.ts';

const found = (entries: Row[], life: keyof typeof lives, kind: string) => {
  const entry = entries.find((row) => row['order_id'] === lives[life].id && row['kind'] === kind);
  if (entry === undefined) throw new Error(`the clean journal has no ${kind} of ${life}`);
  return entry;
};
const changed = (life: keyof typeof lives, kind: string, change: Row) => (entries: Row[]) =>
  entries.map((row) => (row === found(entries, life, kind) ? { ...row, ...change } : row));
const added = (life: keyof typeof lives, kind: string, change: Row) => (entries: Row[]) => [
  ...entries,
  { ...found(entries, life, kind), ...change, seq: entries.length + 1 },
];
const without = (life: keyof typeof lives, kind: string) => (entries: Row[]) =>
  entries.filter((row) => row !== found(entries, life, kind));

export const journalFaults: readonly Plant[] = [
  {
    check: 'journal-charged-twice',
    name: 'two charges under two keys',
    journal: added('confirmed', 'charge', { charge_id: 'ch_second', key: 'another' }),
    also: ['money-disagrees-with-order', 'money-disagrees-with-payment'],
  },
  {
    check: 'journal-charged-twice',
    name: 'a second charge after a refund in part',
    journal: (entries) =>
      added('confirmed', 'charge', { kind: 'refund', amount_minor: 1 })(
        added('confirmed', 'charge', { charge_id: 'ch_second', amount_minor: 1 })(entries),
      ),
    also: ['journal-amount-differs', 'money-disagrees-with-payment'],
  },
  {
    check: 'journal-of-nobody',
    name: 'a charge for an order that does not exist',
    journal: added('confirmed', 'charge', { charge_id: 'ch_x', order_id: 'nobody' }),
  },
  {
    check: 'journal-amount-differs',
    name: 'another amount was charged',
    journal: changed('confirmed', 'charge', { amount_minor: 1249 }),
    also: ['money-disagrees-with-order', 'money-disagrees-with-payment'],
  },
  {
    check: 'journal-amount-differs',
    name: 'another currency was charged',
    journal: changed('confirmed', 'charge', { currency: 'KWD' }),
  },
  {
    check: 'journal-refund-exceeds-charge',
    name: 'refunded twice',
    journal: added('refunded', 'refund', {}),
    also: ['money-disagrees-with-order', 'money-disagrees-with-payment'],
  },
  {
    check: 'money-disagrees-with-order',
    name: 'confirmed and never charged',
    journal: without('confirmed', 'charge'),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'money-disagrees-with-order',
    name: 'cancelled and not refunded',
    journal: without('refunded', 'refund'),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'money-disagrees-with-order',
    name: 'failed and charged',
    journal: changed('declined', 'decline', { kind: 'charge' }),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'money-disagrees-with-order',
    name: 'told refunded in part and refunded in full',
    sql: update("status = 'RETURNED', payment_status = 'PARTIALLY_REFUNDED'", refunded),
    also: [
      'payment-disagrees',
      'history-broken',
      'cancellation-forgotten',
      'cancellation-not-kept',
    ],
  },
  {
    check: 'money-disagrees-with-payment',
    name: 'the charge that the payment names is not the one that was made',
    journal: changed('confirmed', 'charge', { charge_id: 'ch_other' }),
  },
];
