/** Bugs planted in orders, log, bus and consumers. */
import { versionsUnguarded, type Mutant, type Plant } from './mutant.ts';

const ACCEPTANCE = 'services/orders/acceptance.ts';
const ORDERS_STORE = 'services/orders/store.ts';

const auditAsleep: Plant = {
  file: 'kit/consumer.ts',
  find: 'const AUDIT_MS = 2000;',
  replace: 'const AUDIT_MS = 2_000_000;',
};

const answeredBeforeStored: Mutant = {
  name: 'an order is answered with 202 before it is stored',
  hunt: 'insertHung',
  quick: true,
  plants: [
    {
      file: 'services/orders/commands.ts',
      find: 'const stored = await context.storeOrder({',
      replace: 'const stored = true;\n  void context.storeOrder({',
    },
  ],
};

const eventAfterCommit: Mutant = {
  name: 'the event is written after the commit of its change',
  hunt: 'acceptKilled',
  plants: [
    {
      file: ORDERS_STORE,
      find: `  logged as (insert into log (key, version, type, data, traceparent)
    select i.id::text, 1, 'ORDER_CREATED', i.event, i.traceparent from chosen i)
  select id from chosen`,
      replace: '  nothing as (select 1) select id from chosen',
    },
    {
      file: ACCEPTANCE,
      find: "await failpoint('orders.accept.after_commit');",
      replace: `await failpoint('orders.accept.after_commit');
      for (const { row, event } of first.values())
        if (stored.has(row.id))
          await db.query(
            "insert into log (key, version, type, data) values ($1, 1, 'ORDER_CREATED', $2)",
            [row.id, JSON.stringify(event)],
          );`,
    },
  ],
};

const keyAfterEffect: Mutant = {
  name: 'the idempotency key is stored in a transaction of its own after the effect',
  hunt: 'acceptKilled',
  plants: [
    {
      file: ORDERS_STORE,
      find: `  claimed as (insert into idempotency_keys (scope, key, fingerprint, status, response)
    select i.scope, i.key, decode(i.fingerprint, 'hex'), 202, i.id::text
    from input i where i.key is not null order by i.scope, i.key
    on conflict do nothing returning response),`,
      replace: `  claimed as (select i.id::text as response from input i where i.key is not null
      and not exists (select from idempotency_keys k where k.scope = i.scope and k.key = i.key)),`,
    },
    {
      file: ACCEPTANCE,
      find: "await failpoint('orders.accept.after_commit');",
      replace: `await failpoint('orders.accept.after_commit');
      for (const { row, idempotency } of first.values())
        if (stored.has(row.id) && idempotency !== undefined)
          await db.query(
            'insert into idempotency_keys (scope, key, fingerprint, status, response) ' +
              'values ($1, $2, $3, 202, $4)',
            [idempotency.scope, idempotency.key, idempotency.fingerprint, row.id],
          );`,
    },
  ],
};

const publishedTooEarly: Mutant = {
  name: 'events are marked as published before they are',
  hunt: 'publishKilled',
  given: [auditAsleep],
  plants: [
    {
      file: 'kit/eventlog.ts',
      find: "      await failpoint('log.publish.before');",
      replace: `      await db.query('update log_head set published = greatest(published, $1)', [
        events.at(-1)?.position,
      ]);
      await failpoint('log.publish.before');`,
    },
  ],
};

const unconfirmed: Mutant = {
  name: 'the broker is not asked to confirm what is published',
  hunt: 'brokerFrozen',
  given: [auditAsleep],
  plants: [
    {
      file: 'kit/bus/amqp-publisher.ts',
      find: 'Promise.race([Promise.all(confirmed), interruption.promise])',
      replace: 'Promise.allSettled(confirmed) && Promise.resolve()',
    },
  ],
};

const sequencedByHighestId: Mutant = {
  name: 'the log is numbered from the highest id on, past those that commit later',
  hunt: 'slowCancel',
  plants: [
    {
      file: 'kit/tables.ts',
      find: 'where position is null order by id limit batch',
      replace:
        'where position is null and id > (select coalesce(max(l.id), 0) from log l ' +
        'where l.position is not null) order by id limit batch',
    },
  ],
};

const inboxApart: Mutant = {
  name: 'the inbox is not in the transaction of the effect',
  hunt: 'effectKilled',
  plants: [
    {
      file: 'kit/inbox.ts',
      find: 'await remember(inbox, tx, sorted.fresh);',
      replace: 'await inbox.db.transaction((apart) => remember(inbox, apart, sorted.fresh));',
    },
  ],
};

const gapPassedOver: Mutant = {
  name: 'a consumer accepts an event that skips a version',
  hunt: 'firstEventsLost',
  plants: [
    {
      file: 'kit/inbox.ts',
      find: 'if (version > known + 1 && !first) {',
      replace: 'if (version > known + 1 && !first && inbox.topic === "") {',
    },
  ],
};

const cancelUnlocked: Mutant = {
  name: 'cancelling reads, decides and writes without lock or version',
  hunt: 'slowCancel',
  plants: [
    versionsUnguarded,
    {
      file: ORDERS_STORE,
      find: 'where id = any($1::uuid[]) order by id for update',
      replace: 'where id = any($1::uuid[]) order by id',
    },
    {
      file: ORDERS_STORE,
      find: 'where o.id = u.id and o.version = u.known',
      replace: 'where o.id = u.id',
    },
  ],
};

export const ORDER_MUTANTS: readonly Mutant[] = [
  answeredBeforeStored,
  eventAfterCommit,
  keyAfterEffect,
  publishedTooEarly,
  unconfirmed,
  sequencedByHighestId,
  inboxApart,
  gapPassedOver,
  cancelUnlocked,
];
