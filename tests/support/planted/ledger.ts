/** Faults in the wallets' ledger, and between it and payments. */
import { pay, unguard, wallets, type Plant } from './plant.ts';

/** Takes everything away with which the ledger defends a table. */
const disarm = (table: string) =>
  `alter table billing.${table} disable trigger user; ${unguard(`billing.${table}`)}`;
const account = (set: string, which = "username = 'anna'") =>
  `${disarm('accounts')} update billing.accounts set ${set} where ${which};`;
const transfer = (set: string, which: string) =>
  `${disarm('transfers')} update billing.transfers set ${set} where ${which};`;
const charge = (set: string, orderId: string) =>
  `${disarm('charges')} update billing.charges set ${set} where order_id = ${orderId};`;
const paying = (orderId: string) => `type = 'PAYMENT' and order_id = ${orderId}`;

const deposit = "type = 'DEPOSIT'";
const books = ['balance-differs', 'ledger-not-zero'];

export const ledgerFaults: readonly Plant[] = [
  {
    check: 'transfer-unbalanced',
    name: 'to an account that is not there',
    sql: transfer('to_account = gen_random_uuid()', paying(wallets.paid)),
  },
  {
    check: 'transfer-unbalanced',
    name: 'from a wallet to itself',
    sql: transfer('to_account = from_account', paying(wallets.paid)),
    also: [...books, 'transfer-misdirected'],
  },
  {
    check: 'transfer-unbalanced',
    name: 'in money that neither account is in',
    sql: transfer("currency = 'EUR'", paying(wallets.paid)),
    also: ['ledger-not-zero', 'charge-disagrees'],
  },
  {
    check: 'transfer-misdirected',
    name: 'a withdrawal brought money in',
    sql: transfer("type = 'WITHDRAW'", deposit),
  },
  {
    check: 'transfer-misdirected',
    name: 'nothing was moved',
    sql: transfer('amount_minor = 0', deposit),
    also: books,
  },
  {
    check: 'ledger-not-zero',
    name: 'a balance was raised by hand',
    sql: account('balance_minor = balance_minor + 1'),
    also: books,
  },
  {
    check: 'ledger-not-zero',
    name: 'a transfer was taken away',
    sql: `${disarm('transfers')} delete from billing.transfers where type = 'WITHDRAW'`,
    also: [...books, 'event-of-nothing'],
  },
  {
    check: 'balance-differs',
    name: 'an entry is counted that is not there',
    sql: account('entries = entries + 1'),
  },
  {
    check: 'balance-differs',
    name: 'an account was closed with entries in it',
    sql: account('entries = 1', "kind = 'closed'"),
  },
  {
    check: 'balance-differs',
    name: 'two entries make up for each other, and the wallet got less',
    sql: account('balance_minor = balance_minor - 1'),
    also: books,
  },
  {
    check: 'balance-negative',
    name: 'more was taken than there was',
    sql: account('balance_minor = -1'),
    also: books,
  },
  {
    check: 'balance-negative',
    name: 'more came back than was paid',
    sql: account('refundable_minor = -1'),
  },
  {
    check: 'order-paid-twice',
    name: 'two payments under two keys',
    sql: `insert into billing.transfers
        (id, type, from_account, to_account, amount_minor, currency, order_id, key)
      select gen_random_uuid(), type, from_account, to_account, amount_minor, currency, order_id,
        'another' from billing.transfers where ${paying(wallets.paid)}`,
    also: [...books, 'charge-disagrees'],
  },
  {
    check: 'wallet-refund-exceeds-payment',
    name: 'a cent too much went back',
    sql: transfer('amount_minor = amount_minor + 1', "type = 'REFUND' and key like '%:refund'"),
    also: [...books, 'charge-disagrees'],
  },
  {
    check: 'charge-disagrees',
    name: 'a key that was given up was charged',
    sql: charge("state = 'voided', transfer_id = null", wallets.paid),
    also: ['wallet-disagrees-with-payment'],
  },
  {
    check: 'charge-disagrees',
    name: 'a charge moved no money',
    sql: charge("state = 'captured', transfer_id = gen_random_uuid()", wallets.givenUp),
    also: ['wallet-disagrees-with-payment'],
  },
  {
    check: 'charge-disagrees',
    name: 'it tells another sum of refunds',
    sql: charge('refunded_minor = refunded_minor - 1', wallets.refunded),
    also: ['wallet-disagrees-with-payment'],
  },
  {
    check: 'charge-disagrees',
    name: 'an order was paid without one',
    sql: `${disarm('charges')} delete from billing.charges where key like 'operation:%'`,
  },
  {
    check: 'wallet-disagrees-with-payment',
    name: 'a wallet paid, and payments does not know',
    sql: pay("provider = 'sandbox'", wallets.paid),
    also: ['money-disagrees-with-payment'],
  },
  {
    check: 'wallet-disagrees-with-payment',
    name: 'payments was told so, and no wallet paid',
    sql:
      charge("key = 'operation:other'", wallets.paid) +
      transfer("key = 'operation:other'", paying(wallets.paid)),
    also: ['event-missing'],
  },
  {
    check: 'wallet-disagrees-with-payment',
    name: 'payments names another transfer',
    sql: pay("provider_reference = 'another'", wallets.paid),
  },
  {
    check: 'wallet-key-open',
    name: 'it has no tombstone',
    sql: `${disarm('charges')} delete from billing.charges where order_id = ${wallets.givenUp}`,
  },
];
