/** Payments, in our books and in the provider's journal. */
import type { Check } from './check.ts';

export const paymentChecks: readonly Check[] = [
  {
    id: 'payment-missing',
    title: 'An order that must be paid has no payment.',
    kind: 'liveness',
    pending: true,
    sql: `select o.id, o.number, o.status, o.total_minor from orders.orders o
      where o.total_minor > 0 and o.payment_method = 'card'
        and not exists (select from payments.payments p where p.order_id = o.id)`,
  },
  {
    id: 'payment-of-nobody',
    title: 'A payment belongs to no order.',
    kind: 'safety',
    sql: `select p.order_id, p.state, p.amount_minor, p.created_at from payments.payments p
      where not exists (select from orders.orders o where o.id = p.order_id)`,
  },
  {
    id: 'payment-open',
    title: 'A payment was left without an outcome.',
    kind: 'liveness',
    pending: true,
    sql: `select order_id, state, attempts, calls, outages, waiting_for, updated_at
      from payments.payments where state in ('PENDING', 'PROCESSING', 'UNKNOWN')`,
  },
  {
    id: 'payment-amount-differs',
    title: "A payment is not about the order's total, or captured something else.",
    kind: 'safety',
    sql: `select p.order_id, p.amount_minor, p.captured_minor, p.currency, o.total_minor,
        o.currency as order_currency
      from payments.payments p join orders.orders o on o.id = p.order_id
      where p.amount_minor <> o.total_minor or p.currency <> o.currency
        or p.captured_minor not in (0, o.total_minor)`,
  },
  {
    id: 'payment-disagrees',
    title: 'Order and payment tell different stories.',
    kind: 'liveness',
    sql: `select o.id, o.status, o.payment_status, p.state, p.cancel_requested, p.failure_code
      from payments.payments p join orders.orders o on o.id = p.order_id
      where p.state not in ('PENDING', 'PROCESSING', 'UNKNOWN') and case p.state
        when 'CAPTURED' then o.payment_status not in ('CAPTURED', 'PARTIALLY_REFUNDED')
          or o.status not in ('CONFIRMED', 'IN_FULFILLMENT', 'SHIPPED', 'DELIVERED', 'COMPLETED',
            'RETURNED')
        when 'REFUNDED' then o.payment_status <> 'REFUNDED'
          or o.status not in ('CANCELLED', 'PAYMENT_FAILED', 'RETURNED')
        when 'FAILED' then (o.status, o.payment_status) not in (('PAYMENT_FAILED', 'FAILED'),
          ('CANCELLED', 'FAILED'), ('CANCELLED', 'NOT_REQUIRED'))
        else o.status <> 'CANCELLED' or o.payment_status <> 'NOT_REQUIRED' end`,
  },
  {
    id: 'charged-twice',
    title: 'Two attempts at one payment succeeded.',
    kind: 'safety',
    sql: `select order_id, count(*) as succeeded from payments.attempts
      where status = 'SUCCEEDED' group by order_id having count(*) > 1`,
  },
  {
    id: 'attempts-broken',
    title: "A payment's attempts have a hole, or do not fit what was captured.",
    kind: 'safety',
    sql: `select p.order_id, p.state, p.attempts, a.rows, a.last, a.succeeded, p.captured_minor
      from payments.payments p
      left join (select order_id, count(*) as rows, max(attempt_number) as last,
          min(attempt_number) as first, count(*) filter (where status = 'SUCCEEDED') as succeeded
        from payments.attempts group by order_id) a on a.order_id = p.order_id
      where p.attempts <> coalesce(a.rows, 0) or p.attempts <> coalesce(a.last, 0)
        or coalesce(a.first, 1) <> 1 or (p.captured_minor > 0) <> (coalesce(a.succeeded, 0) > 0)
        or (p.state in ('CAPTURED', 'REFUNDED') and p.captured_minor = 0)
        or (p.state in ('FAILED', 'VOIDED') and p.captured_minor > 0)`,
  },
  {
    id: 'attempts-hidden',
    title: 'An order does not show the attempts at its payment.',
    kind: 'liveness',
    sql: `select o.id, o.status, shown.attempts as shown, made.attempts as made
      from orders.orders o
      left join (select order_id, string_agg(attempt_number || ' ' || status || ' ' || amount_minor,
          ', ' order by attempt_number) as attempts
        from payments.attempts group by order_id) made on made.order_id = o.id
      cross join lateral (select string_agg(concat_ws(' ', a->>'attempt_number', a->>'status',
          a->>'amount_minor'), ', ' order by (a->>'attempt_number')::integer) as attempts
        from json_array_elements(o.payment_attempts) a) shown
      where shown.attempts is distinct from made.attempts`,
  },
  {
    id: 'refund-exceeds-capture',
    title: 'More was refunded than was captured.',
    kind: 'safety',
    sql: `select order_id, state, captured_minor, refunded_minor from payments.payments
      where refunded_minor > captured_minor
        or (state = 'REFUNDED' and refunded_minor <> captured_minor)
        or (state not in ('REFUNDED', 'CAPTURED') and refunded_minor > 0)`,
  },
];

export const journalChecks: readonly Check[] = [
  {
    id: 'journal-charged-twice',
    title: 'The provider moved money for one order more than once.',
    kind: 'safety',
    needs: 'journal',
    sql: `select m.order_id, m.charges, m.effective, m.charged_minor, m.refunded_minor,
        o.total_minor, o.status
      from journal_money m left join orders.orders o on o.id::text = m.order_id
      where m.effective > 1 or m.charged_minor - m.refunded_minor > o.total_minor`,
  },
  {
    id: 'journal-of-nobody',
    title: 'The provider was asked about an order that does not exist.',
    // Not at any moment: an order may be accepted between the two readings.
    kind: 'liveness',
    needs: 'journal',
    sql: `select j.seq, j.kind, j.key, j.order_id, j.amount_minor from journal j
      where not exists (select from orders.orders o where o.id::text = j.order_id)`,
  },
  {
    id: 'journal-amount-differs',
    title: "The provider charged something else than the order's total.",
    kind: 'safety',
    needs: 'journal',
    sql: `select j.seq, j.order_id, j.charge_id, j.amount_minor, j.currency, o.total_minor,
        o.currency as order_currency
      from journal j join orders.orders o on o.id::text = j.order_id
      where j.kind in ('charge', 'decline')
        and (j.amount_minor <> o.total_minor or j.currency is distinct from o.currency)`,
  },
  {
    id: 'journal-refund-exceeds-charge',
    title: 'The provider refunded more than it had charged.',
    kind: 'safety',
    needs: 'journal',
    sql: `select charge_id, min(order_id) as order_id,
        coalesce(sum(amount_minor) filter (where kind = 'charge'), 0) as charged_minor,
        coalesce(sum(amount_minor) filter (where kind = 'refund'), 0) as refunded_minor
      from journal where charge_id is not null and kind in ('charge', 'refund') group by charge_id
      having coalesce(sum(amount_minor) filter (where kind = 'refund'), 0) >
        coalesce(sum(amount_minor) filter (where kind = 'charge'), 0)`,
  },
  {
    id: 'money-disagrees-with-order',
    title: 'An order is told paid and the money is not there, or told unpaid and the money is.',
    kind: 'liveness',
    needs: 'journal',
    sql: `select o.id, o.status, o.payment_status, o.total_minor,
        coalesce(m.charged_minor, 0) as charged_minor,
        coalesce(m.refunded_minor, 0) as refunded_minor
      from orders.orders o
      left join journal_money m on m.order_id = o.id::text
      cross join lateral (
        select coalesce(m.charged_minor - m.refunded_minor, 0) as net_minor) money
      where o.payment_method <> 'wallet' and case
        when o.status in ('PAYMENT_FAILED', 'CANCELLED') then net_minor <> 0
        when o.status in ('PENDING', 'PAYMENT_PROCESSING') then false
        when o.payment_status = 'PARTIALLY_REFUNDED'
          then not (net_minor > 0 and net_minor < o.total_minor)
        when o.payment_status = 'REFUNDED' then net_minor <> 0
        else net_minor <> o.total_minor end`,
  },
  {
    id: 'money-disagrees-with-payment',
    title: 'A payment and the provider tell different amounts.',
    kind: 'liveness',
    needs: 'journal',
    sql: `select p.order_id, p.state, p.captured_minor, p.refunded_minor, p.provider_reference,
        m.charged_minor, m.refunded_minor as journal_refunded_minor
      from payments.payments p left join journal_money m on m.order_id = p.order_id::text
      where p.provider = 'sandbox' and p.state not in ('PENDING', 'PROCESSING', 'UNKNOWN')
        and (p.captured_minor <> coalesce(m.charged_minor, 0)
          or p.refunded_minor <> coalesce(m.refunded_minor, 0)
          or (p.captured_minor > 0 and not exists (select from journal j
            where j.kind = 'charge' and j.charge_id = p.provider_reference
              and j.order_id = p.order_id::text)))`,
  },
];
