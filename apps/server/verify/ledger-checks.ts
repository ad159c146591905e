/** The wallets' ledger by itself, and beside what payments says of it. */
import type { Check } from './check.ts';

export const ledgerChecks: readonly Check[] = [
  {
    id: 'transfer-unbalanced',
    title: 'A transfer does not sum to zero over the accounts that there are.',
    kind: 'safety',
    sql: `select e.transfer_id, coalesce(sum(e.change_minor) filter (where a.id is not null), 0)
        as sum_minor, count(a.id) as accounts
      from ledger_entries e
      left join ledger_accounts a on a.id = e.account_id and a.currency = e.currency
      group by e.transfer_id
      having coalesce(sum(e.change_minor) filter (where a.id is not null), 0) <> 0
        or count(distinct a.id) <> 2`,
  },
  {
    id: 'transfer-misdirected',
    title: 'A transfer went another way than its type says, or moved nothing.',
    kind: 'safety',
    sql: `select t.id, t.type, f.kind as from_kind, g.kind as to_kind, t.amount_minor
      from ledger_transfers t
      join ledger_accounts f on f.id = t.from_account join ledger_accounts g on g.id = t.to_account
      where t.amount_minor <= 0 or (t.type, f.kind, g.kind) not in (
        ('DEPOSIT', 'outside', 'wallet'), ('WITHDRAW', 'wallet', 'outside'),
        ('PAYMENT', 'wallet', 'revenue'), ('REFUND', 'revenue', 'wallet'))`,
  },
  {
    id: 'ledger-not-zero',
    title: "The balances of all wallets and everybody else's entries do not sum to zero.",
    kind: 'safety',
    sql: `select currency, sum(amount_minor) as sum_minor from (
        select currency, balance_minor as amount_minor from ledger_accounts where kind = 'wallet'
        union all
        select e.currency, e.change_minor from ledger_entries e
          where not exists (select from ledger_accounts a
            where a.id = e.account_id and a.kind = 'wallet')) amounts
      group by currency having sum(amount_minor) <> 0`,
  },
  {
    id: 'balance-differs',
    title: "A wallet's balance is not the sum of its entries, or they are not as many.",
    kind: 'safety',
    sql: `select a.id, a.kind, a.balance_minor, a.entries, coalesce(e.sum_minor, 0) as sum_minor,
        coalesce(e.entries, 0) as entries_there
      from ledger_accounts a
      left join (select account_id, sum(change_minor) as sum_minor, count(*) as entries
        from ledger_entries group by account_id) e on e.account_id = a.id
      where a.kind in ('wallet', 'closed')
        and (coalesce(a.balance_minor, 0) <> coalesce(e.sum_minor, 0)
          or a.entries <> coalesce(e.entries, 0))`,
  },
  {
    id: 'balance-negative',
    title: 'A wallet is below zero, or got back more than it paid.',
    kind: 'safety',
    sql: `select id, balance_minor, refundable_minor from ledger_accounts
      where balance_minor < 0 or refundable_minor < 0`,
  },
  {
    id: 'order-paid-twice',
    title: 'An order was paid from a wallet more than once.',
    kind: 'safety',
    sql: `select order_id, count(*) as payments, sum(amount_minor) as paid_minor
      from ledger_transfers where type = 'PAYMENT' and order_id is not null
      group by order_id having count(*) > 1`,
  },
  {
    id: 'wallet-refund-exceeds-payment',
    title: 'An order was refunded to a wallet with more than it had paid.',
    kind: 'safety',
    sql: `select order_id,
        coalesce(sum(amount_minor) filter (where type = 'PAYMENT'), 0) as paid_minor,
        coalesce(sum(amount_minor) filter (where type = 'REFUND'), 0) as refunded_minor
      from ledger_transfers where type in ('PAYMENT', 'REFUND') and order_id is not null
      group by order_id
      having coalesce(sum(amount_minor) filter (where type = 'REFUND'), 0)
        > coalesce(sum(amount_minor) filter (where type = 'PAYMENT'), 0)`,
  },
  {
    id: 'charge-disagrees',
    title: 'A charge and its transfers tell different stories, or a given up key was charged.',
    kind: 'safety',
    sql: `select coalesce(c.key, t.key) as key, c.state, c.amount_minor, c.refunded_minor,
        t.id as transfer_id, t.amount_minor as paid_minor, r.refunded_minor as refunds_minor
      from ledger_charges c
      full join (select * from ledger_transfers
        where type = 'PAYMENT' and key is not null) t on t.key = c.key
      left join (select order_id, sum(amount_minor) as refunded_minor from ledger_transfers
        where type = 'REFUND' and order_id is not null group by order_id) r
        on r.order_id = c.order_id and c.state = 'captured'
      where c.key is null or (c.state = 'captured') <> (t.id is not null)
        or t.id <> c.transfer_id or t.amount_minor <> c.amount_minor or t.order_id <> c.order_id
        or t.currency <> c.currency or c.refunded_minor <> coalesce(r.refunded_minor, 0)`,
  },
];

const OPEN = `('PENDING', 'PROCESSING', 'UNKNOWN')`;

export const walletChecks: readonly Check[] = [
  {
    id: 'wallet-disagrees-with-payment',
    title: 'Payments and billing tell different amounts of a wallet.',
    kind: 'liveness',
    sql: `select coalesce(p.order_id::text, c.order_id) as order_id, p.state, p.captured_minor,
        p.refunded_minor, p.provider_reference, c.key, c.amount_minor as charged_minor,
        c.refunded_minor as paid_back_minor
      from (select * from payments.payments where provider = 'wallet') p
      full join (select * from ledger_charges
        where state = 'captured' and key not like 'operation:%') c
        on c.key = p.order_id::text || ':charge'
      where case when p.order_id is null then true when p.state in ${OPEN} then false
        else p.captured_minor <> coalesce(c.amount_minor, 0)
          or p.refunded_minor <> coalesce(c.refunded_minor, 0)
          or (p.captured_minor > 0 and (p.currency <> c.currency
            or p.provider_reference is distinct from c.transfer_id::text)) end`,
  },
  {
    id: 'wallet-key-open',
    title: 'A payment was given up, and its key could still charge the wallet.',
    kind: 'safety',
    // Without an attempt nobody ever asked, and nobody will: there is nothing to keep shut.
    sql: `select p.order_id, p.state, p.attempts, p.failure_code, c.state as key_state
      from payments.payments p left join ledger_charges c on c.key = p.order_id::text || ':charge'
      where p.provider = 'wallet' and p.state in ('FAILED', 'VOIDED') and p.attempts > 0
        and c.key is null`,
  },
];
