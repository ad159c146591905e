/** What clients were told, against what is: for harnesses that write a journal of their calls. */
import type { Check } from './check.ts';

export const clientChecks: readonly Check[] = [
  {
    id: 'accepted-order-missing',
    title: 'An order was accepted and is not there.',
    kind: 'safety',
    needs: 'client',
    sql: `select c.client, c.seq, c.http, c.order_id, c.idem_key from client c
      where c.op = 'create' and c.outcome = 'ok'
        and not exists (select from orders.orders o where o.id::text = c.order_id)`,
  },
  {
    id: 'order-unasked',
    title: 'There is an order that no client asked for.',
    // Not at any moment: an answer may be under way.
    kind: 'liveness',
    needs: 'client',
    // A request without a key whose answer was lost may have made one order, any of them.
    // A checkout's key is answered with the order's number once it is done.
    sql: `with answered as (
        select k.key, case when k.response like '{%' then (select o.id::text from orders.orders o
            where o.number = (k.response::json->>'id')::bigint) else k.response end as order_id
        from orders.idempotency_keys k join client c on c.idem_key = k.key
        where c.op = 'create' and c.outcome <> 'fail')
      select o.id, o.number, o.created_at from orders.orders o
      where not exists (select from client c
          where c.op = 'create' and c.outcome = 'ok' and c.order_id = o.id::text)
        and not exists (select from answered a where a.order_id = o.id::text)
      order by o.id
      offset (select count(*) from client
        where op = 'create' and outcome = 'unknown' and idem_key is null)`,
  },
  {
    id: 'key-with-two-orders',
    title: 'One idempotency key was answered with two orders.',
    kind: 'safety',
    needs: 'client',
    sql: `select idem_key, count(distinct order_id) as orders, min(order_id) as one,
        max(order_id) as another
      from client where op = 'create' and outcome = 'ok' and idem_key is not null
      group by idem_key having count(distinct order_id) > 1`,
  },
  {
    id: 'accepted-order-not-found',
    title: 'A client read an order after it was accepted, and was told that there is none.',
    kind: 'safety',
    needs: 'client',
    sql: `select r.client, r.seq, r.order_id, c.seq as accepted_seq from client c
      join client r on r.client = c.client and r.order_id = c.order_id and r.seq > c.seq
      where c.op = 'create' and c.outcome = 'ok' and r.op = 'get' and r.http = 404`,
  },
  {
    id: 'version-went-back',
    title: 'A client saw an order go back to an earlier version.',
    kind: 'safety',
    needs: 'client',
    sql: `select client, seq, order_id, version, before as version_before from (
        select *, lag(version) over (partition by client, order_id order by seq) as before
        from client where op = 'get' and outcome = 'ok' and version is not null) reads
      where version < before`,
  },
  {
    id: 'cancellation-not-kept',
    title: 'A client was told that an order is or will be cancelled, and it is not.',
    kind: 'liveness',
    needs: 'client',
    sql: `select c.client, c.seq, c.http, c.order_id, o.status from client c
      join orders.orders o on o.id::text = c.order_id
      where c.op = 'cancel' and c.outcome = 'ok' and o.status <> 'CANCELLED'`,
  },
];
