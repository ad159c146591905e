/** The statements that make loaded orders; see load-orders.ts. */

/**
 * One chunk of orders as a temporary table: `i` counts all that lie there, ids are UUIDv7 of the
 * order's time, of a hundred orders 92 are CONFIRMED, 4 declined, 4 cancelled before their charge.
 * $1 orders that were there · $2 from · $3 until · $4 how many are added in all · $5 days
 */
export const MAKE_CHUNK = `
  create temp table chunk on commit drop as
  select i, number, at, id,
    format('customer_%s', lpad((hash % greatest($4::bigint / 20, 1))::text, 8, '0')) as customer_id,
    format('shop-%s', lpad(i::text, 10, '0')) as reference,
    case when i % 100 < 92 then 'CONFIRMED' when i % 100 < 96 then 'PAYMENT_FAILED'
      else 'CANCELLED' end as status,
    quantity, unit_minor, quantity * unit_minor + 450 as total_minor,
    json_build_array(
      json_build_object('item_id', 'item_' || hash % 500, 'item_name', 'Burger with everything',
        'quantity', quantity, 'unit_minor', unit_minor),
      json_build_object('item_id', 'item_fries', 'item_name', 'Fries', 'quantity', 1,
        'unit_minor', 450)) as items
  from (
    select i, at, nextval('orders.order_numbers') as number,
      ('x' || substr(digest, 1, 7))::bit(28)::integer::bigint as hash,
      1 + i % 4 as quantity, 500 + i * 37 % 2000 as unit_minor,
      (substr(stamp, 1, 8) || '-' || substr(stamp, 9) || '-7' || substr(digest, 1, 3) || '-8' ||
        substr(digest, 4, 3) || '-' || substr(digest, 7, 12))::uuid as id
    from (
      select i, at, md5(i::text) as digest,
        lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') as stamp
      from (
        select $1::bigint + n as i, date_trunc('milliseconds', now()
          - make_interval(days => $5::integer) * (1 - n::float8 / $4::bigint)
          - interval '1 hour') as at
        from generate_series($2::bigint + 1, $3::bigint) n) moments) stamped
    order by i) made`;

const RFC_3339 = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;

const ATTEMPTS = `case status when 'CANCELLED' then '[]'::json
    else json_build_array(json_build_object('attempt_number', 1,
      'status', case status when 'CONFIRMED' then 'SUCCEEDED' else 'DECLINED' end,
      'amount_minor', total_minor,
      'error_message', case status when 'CONFIRMED' then null else 'The card was declined.' end,
      'created_at', to_char(at + interval '200 milliseconds', ${RFC_3339}))) end`;

const PAYMENT_STATUS = `case status when 'CONFIRMED' then 'CAPTURED'
    when 'CANCELLED' then 'NOT_REQUIRED' else 'FAILED' end`;

const ORDERS = `
  insert into orders.orders (id, number, channel, customer_id, currency, total_minor, status,
    payment_status, fulfillment_status, payment_method, reference, items, payment_attempts,
    cancel_requested_at, cancel_reason, version, created_at, updated_at)
  select id, number, 'delivery', customer_id, 'USD', total_minor, status, ${PAYMENT_STATUS},
    'UNFULFILLED', 'card', reference, items, ${ATTEMPTS},
    case status when 'CANCELLED' then at + interval '50 milliseconds' end,
    case status when 'CANCELLED' then 'changed my mind' end,
    3, at, at + interval '210 milliseconds'
  from chunk order by i`;

/** Three events an order, at the positions after those that are there. */
const ORDER_EVENTS = `
  insert into orders.log (position, key, version, type, time, data)
  select head.position + row_number() over (order by i, version), id::text, version, type,
    at + make_interval(secs => version * 0.07),
    case version when 1 then json_build_object('order_id', id, 'number', number,
        'channel', 'delivery', 'customer_id', customer_id, 'currency', 'USD',
        'total_minor', total_minor, 'from', null, 'to', 'PENDING',
        'payment', json_build_object('method', 'card', 'token', null),
        'items', json_build_array(
          json_build_object('item_id', items->0->>'item_id', 'quantity', quantity,
            'unit_minor', unit_minor),
          json_build_object('item_id', 'item_fries', 'quantity', 1, 'unit_minor', 450)))
      else json_build_object('order_id', id, 'number', number, 'customer_id', customer_id,
        'from', departed, 'to', entered, 'payment_status', payment_status) end
  from orders.log_head head, chunk
  cross join lateral (values
    (1, 'ORDER_CREATED', null, 'PENDING', 'PENDING'),
    (2, case status when 'CANCELLED' then 'ORDER_CANCELLED' else 'ORDER_PAYMENT_PROCESSING' end,
      'PENDING', case status when 'CANCELLED' then status else 'PAYMENT_PROCESSING' end, 'PENDING'),
    (3, case status when 'CANCELLED' then 'ORDER_PAYMENT_UPDATED' else 'ORDER_' || status end,
      case status when 'CANCELLED' then status else 'PAYMENT_PROCESSING' end, status,
      ${PAYMENT_STATUS})
  ) events (version, type, departed, entered, payment_status)
  order by i, version`;

const PAYMENTS = `
  insert into payments.payments (order_id, state, amount_minor, currency, provider,
    provider_reference, captured_minor, attempts, calls, failure_code, cancel_requested, started,
    version, deadline_at, created_at, updated_at)
  select id,
    case status when 'CONFIRMED' then 'CAPTURED' when 'CANCELLED' then 'VOIDED' else 'FAILED' end,
    total_minor, 'USD', 'sandbox', case status when 'CONFIRMED' then 'ch_loaded_' || i end,
    case status when 'CONFIRMED' then total_minor else 0 end,
    case status when 'CANCELLED' then 0 else 1 end, case status when 'CANCELLED' then 0 else 1 end,
    case status when 'PAYMENT_FAILED' then 'card_declined' end, status = 'CANCELLED',
    status <> 'CANCELLED', case status when 'CANCELLED' then 1 else 2 end,
    at + interval '1 day', at + interval '10 milliseconds', at + interval '200 milliseconds'
  from chunk order by i`;

const PAYMENT_ATTEMPTS = `
  insert into payments.attempts (order_id, attempt_number, status, amount_minor, error_message,
    created_at)
  select id, 1, case status when 'CONFIRMED' then 'SUCCEEDED' else 'DECLINED' end, total_minor,
    case status when 'CONFIRMED' then null else 'The card was declined.' end,
    at + interval '200 milliseconds'
  from chunk where status <> 'CANCELLED' order by i`;

const PAYMENT_EVENTS = `
  insert into payments.log (position, key, version, type, time, data)
  select head.position + row_number() over (order by i, version), id::text, version, type,
    at + make_interval(secs => version * 0.06),
    json_build_object('order_id', id, 'status', state, 'amount_minor', total_minor,
      'currency', 'USD', 'failure_code', case state when 'FAILED' then 'card_declined' end,
      'attempts', case type when 'PAYMENT_STARTED' then '[]'::json else ${ATTEMPTS} end)
  from payments.log_head head, chunk
  cross join lateral (values
    (1, case status when 'CANCELLED' then 'PAYMENT_VOIDED' else 'PAYMENT_STARTED' end,
      case status when 'CANCELLED' then 'VOIDED' else 'PROCESSING' end),
    (2, case status when 'CONFIRMED' then 'PAYMENT_CAPTURED' else 'PAYMENT_FAILED' end,
      case status when 'CONFIRMED' then 'CAPTURED' else 'FAILED' end)
  ) events (version, type, state)
  where version = 1 or status <> 'CANCELLED'
  order by i, version`;

/** Who follows orders. */
const FOLLOWERS = ['payments', 'dispatch', 'inventory', 'pets'];

const INBOXES = [
  ...FOLLOWERS.map(
    (service) => `
  insert into ${service}.inbox (topic, key, version) select 'orders', id::text, 3 from chunk`,
  ),
  `insert into orders.inbox (topic, key, version)
   select 'payments', id::text, case status when 'CANCELLED' then 1 else 2 end from chunk`,
];

const HEADS = ['orders', 'payments'].map(
  (service) => `
  update ${service}.log_head set position = last, published = last
  from (select max(position) as last from ${service}.log) l`,
);

// Partition -1 is how far the topic was compared with its producer's log; 0 to 3 are what a bus
// has by default.
const CURSORS = [
  ...FOLLOWERS.map((consumer) => ({ consumer, topic: 'orders' })),
  { consumer: 'orders', topic: 'payments' },
].map(
  ({ consumer, topic }) => `
  insert into ${consumer}.cursors (topic, partition, position)
  select '${topic}', partition, head.position
  from ${topic}.log_head head, generate_series(-1, 3) partition
  on conflict (topic, partition) do update set position = excluded.position`,
);

/** What makes a chunk part of the books, in this order, in the chunk's transaction. */
export const COMMIT_CHUNK: readonly string[] = [
  ORDERS,
  ORDER_EVENTS,
  PAYMENTS,
  PAYMENT_ATTEMPTS,
  PAYMENT_EVENTS,
  ...INBOXES,
  ...HEADS,
  ...CURSORS,
];
