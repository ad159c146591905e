/** Faults in logs, inboxes and tasks. */
import {
  confirmed,
  declined,
  log,
  nobody,
  refunded,
  unguard,
  unlog,
  withdrawn,
  type Plant,
} from './plant.ts';

const dead = (service: string, topic: string, key: string) =>
  `insert into ${service}.dead_letters (topic, key, version, type, event, error, attempts)
   values ('${topic}', ${key}, 1, 'SOMETHING', '{}', 'it broke', 3);`;
const task = (state: string, lease = 'null') =>
  `insert into payments.tasks (id, kind, key, state, lease_until)
   values (gen_random_uuid(), 'payments.charge', 'x', '${state}', ${lease});`;

export const eventFaults: readonly Plant[] = [
  {
    check: 'event-missing',
    name: 'the last one of an order',
    sql: unlog(refunded, 5),
    also: ['history-broken', 'position-gap', 'effect-of-nothing'],
  },
  {
    check: 'event-missing',
    name: 'one of a payment',
    sql: unlog(refunded, 2, 'payments'),
    also: ['position-gap'],
  },
  {
    check: 'event-missing',
    name: 'left the log before its time',
    sql: `delete from orders.log where time < now() - interval '30 days' or key = ${declined}`,
    also: ['history-broken'],
  },
  {
    check: 'event-of-nothing',
    name: 'of an order that does not exist',
    sql: `insert into orders.log (key, version, type, data)
        values (${nobody}, 1, 'SOMETHING', '{"from":null,"to":"PENDING"}');
      set search_path = orders; select sequence_log(10);
      update log_head set published = position;
      insert into payments.inbox (topic, key, version) values ('orders', ${nobody}, 1);`,
    // Whoever else follows orders has not seen it.
    also: ['effect-of-nothing', 'effect-missing'],
  },
  {
    check: 'event-of-nothing',
    name: 'of a version that the payment never had',
    sql: `update payments.payments set version = 1 where order_id = ${declined}`,
    also: ['effect-of-nothing'],
  },
  {
    check: 'event-twice',
    name: 'one version, two events',
    sql: `${unguard('orders.log')} drop index if exists orders.log_key_version;
      insert into orders.log (key, version, type, data)
        select key, version, type, data from orders.log where key = ${withdrawn} and version = 3;
      set search_path = orders; select sequence_log(10);
      update log_head set published = position;`,
    also: ['history-broken'],
  },
  {
    check: 'event-twice',
    name: 'one position, two events',
    sql: `drop index orders.log_position; ${log('position = 1', confirmed, 2)}`,
    also: ['position-gap', 'event-out-of-order'],
  },
  {
    check: 'event-out-of-order',
    name: 'the second version stands before the first',
    sql:
      log('position = -1', confirmed, 1) +
      log('position = 1', confirmed, 2) +
      log('position = 2', confirmed, 1),
  },
  {
    check: 'event-out-of-order',
    name: 'a later version has a position and an earlier one has none',
    sql: log('position = null', refunded, 4),
    also: ['position-gap', 'event-unpublished'],
  },
  {
    check: 'position-gap',
    name: 'a position was left out',
    sql: `update orders.log set position = position + 1
        where position = (select max(position) from orders.log);
      update orders.log_head set position = position + 1, published = published + 1;`,
  },
  {
    check: 'position-gap',
    name: 'the head is behind the log',
    sql: 'update payments.log_head set position = position - 1, published = published - 1',
    also: ['event-unpublished'],
  },
  {
    check: 'position-gap',
    name: 'more is published than there is',
    sql: 'update orders.log_head set published = position + 1',
  },
  {
    check: 'event-unpublished',
    name: 'it has a position',
    sql: 'update orders.log_head set published = position - 1',
  },
  {
    check: 'event-unpublished',
    name: 'it was never sequenced',
    sql: `update orders.log set position = null
        where position = (select max(position) from orders.log);
      update orders.log_head set position = position - 1, published = position - 1;`,
  },
  {
    check: 'effect-missing',
    name: 'payments never heard of an order',
    sql: `delete from payments.inbox where key = ${declined}`,
  },
  {
    check: 'effect-missing',
    name: "orders is a version behind a payment's",
    sql: `update orders.inbox set version = version - 1 where key = ${declined}`,
  },
  {
    check: 'effect-of-nothing',
    name: 'payments is ahead of an order',
    sql: `update payments.inbox set version = version + 1 where key = ${declined}`,
  },
  {
    check: 'effect-of-nothing',
    name: 'orders heard of a payment that does not exist',
    sql: `insert into orders.inbox (topic, key, version) values ('payments', ${nobody}, 1)`,
  },
  {
    check: 'dead-letter',
    name: 'of payments',
    sql: dead('payments', 'orders', declined),
  },
  {
    check: 'dead-letter',
    name: 'of orders, which explains what it has not seen',
    sql: `${dead('orders', 'payments', declined)}
      delete from orders.inbox where key = ${declined};`,
  },
  { check: 'task-open', name: 'it waits', sql: task('waiting') },
  { check: 'task-open', name: 'it runs', sql: task('running', 'now()') },
  { check: 'task-dead', name: 'it was given up', sql: task('dead') },
  {
    check: 'lease-leaked',
    name: 'nobody took it over',
    sql: task('running', "now() - interval '61 seconds'"),
    also: ['task-open'],
  },
  {
    check: 'lease-leaked',
    name: 'it runs without a lease',
    sql: task('running'),
    also: ['task-open'],
  },
];
