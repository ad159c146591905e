/** Orders: where they stand, how they got there, what they cost. */
import type { Check } from './check.ts';

export const orderChecks: readonly Check[] = [
  {
    id: 'order-unsettled',
    title: 'An order has not come to rest.',
    kind: 'liveness',
    pending: true,
    // An order with nothing to pay rests at PENDING until somebody approves it.
    sql: `select id, number, status, payment_status, version, created_at from orders.orders
      where status in ('PENDING', 'PAYMENT_PROCESSING')
        and not (status = 'PENDING' and payment_status = 'NOT_REQUIRED' and total_minor = 0)`,
  },
  {
    id: 'cancellation-forgotten',
    title: 'A cancellation was recorded and never carried out.',
    kind: 'liveness',
    sql: `select id, number, status, cancel_requested_at from orders.orders
      where cancel_requested_at is not null and status <> 'CANCELLED'`,
  },
  {
    id: 'settled-not-once',
    title: 'An order entered a settled state more than once, or two that exclude each other.',
    kind: 'safety',
    sql: `select * from (
        select key as order_id,
          count(*) filter (where entered = 'CONFIRMED') as confirmed,
          count(*) filter (where entered = 'PAYMENT_FAILED') as failed,
          count(*) filter (where entered = 'CANCELLED') as cancelled
        from moves group by key) entries
      where confirmed > 1 or failed > 1 or cancelled > 1 or (confirmed > 0 and failed > 0)`,
  },
  {
    id: 'illegal-transition',
    title: 'An order moved in a way that the lifecycle does not know.',
    kind: 'safety',
    sql: `select m.key as order_id, m.version, m.departed, m.entered from moves m
      where not exists (select from transitions t
        where t.departed is not distinct from m.departed and t.entered = m.entered)`,
  },
  {
    id: 'history-broken',
    title: "An order's history has a hole, or does not lead to where the order stands.",
    kind: 'safety',
    sql: `select key as order_id, version, departed, entered, before as entered_before
      from (select *, lag(entered) over w as before, lag(version) over w as prior from history
        window w as (partition by key order by version)) steps
      where entered is null
        or (prior is null and version = 1 and departed is not null)
        or (prior is not null and (version <> prior + 1 or departed is distinct from before))
      union all
      select o.id::text, o.version, null, o.status, last.entered from orders.orders o
      left join (select distinct on (key) key, version, entered from history
        order by key, version desc) last on last.key = o.id::text
      where (last.entered is distinct from o.status or last.version is distinct from o.version)
        and not (last.key is null
          and o.created_at < (select since from horizons where topic = 'orders'))`,
  },
  {
    id: 'total-differs',
    title: "An order's total is not the sum of its lines.",
    kind: 'safety',
    sql: `select o.id, o.total_minor, lines.total_minor as lines_minor from orders.orders o
      cross join lateral (
        select sum((i->>'quantity')::numeric * (i->>'unit_minor')::numeric) as total_minor
        from json_array_elements(o.items) i
        where i->>'quantity' ~ '^[0-9]+$' and i->>'unit_minor' ~ '^[0-9]+$') lines
      where lines.total_minor is distinct from o.total_minor`,
  },
  {
    id: 'amount-unusable',
    title: 'An amount is not a whole, finite number of minor units in range.',
    kind: 'safety',
    sql: `select 'orders.orders' as place, id::text as key, total_minor::text as amount
      from orders.orders where not total_minor between 0 and 900000000000000
      union all
      select 'orders.items', o.id::text, i::text
      from orders.orders o cross join lateral json_array_elements(o.items) i
      where not coalesce(i->>'unit_minor' ~ '^[0-9]{1,15}$', false)
        or not coalesce(i->>'quantity' ~ '^[1-9][0-9]{0,6}$', false)
      union all
      select 'payments.payments', order_id::text, concat_ws(' ', amount_minor, captured_minor,
        refunded_minor) from payments.payments
      where not amount_minor between 1 and 900000000000000
        or captured_minor < 0 or refunded_minor < 0
      union all
      select 'payments.attempts', order_id::text, amount_minor::text from payments.attempts
      where not amount_minor between 1 and 900000000000000
      union all
      select format('%s.%s', table_schema, table_name), column_name, data_type
      from information_schema.columns
      where column_name like '%\\_minor' and data_type <> 'bigint'
        and table_schema in ('orders', 'payments')`,
  },
  {
    id: 'number-twice',
    title: 'Two orders have one number, or a number is out of range.',
    kind: 'safety',
    sql: `select number, count(*) as orders, min(id::text) as one_of_them from orders.orders
      group by number having count(*) > 1 or not number between 1 and 9007199254740991`,
  },
  {
    id: 'key-without-order',
    title: 'An idempotency key was answered with an order that does not exist, or never answered.',
    kind: 'safety',
    // A create keeps the order's id, a cancellation its whole answer, or '' until it is given. The
    // replay of an event and the retry of a task name no order.
    sql: `with named as (select *, case when response not like '{%' then response
          else response::json->>'id' end as name from orders.idempotency_keys),
        names as (select id::text as name from orders.orders
          union all select number::text from orders.orders)
      select k.scope, k.key, k.status, k.response, k.created_at
      from named k left join names o on o.name = k.name
      where k.status is null or k.response is null or (k.response <> '' and o.name is null
          and k.response !~ '^\\{"(replayed|retried)":[0-9]+\\}$')`,
  },
];
