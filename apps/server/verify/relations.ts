/**
 * The relations that the checks read, made for one connection: views over the logs, inboxes and
 * tasks of all services, and the witnesses. Nothing of the database is changed.
 */
import type pg from 'pg';
import { UsageFault } from '../services.ts';
import { dispatchRelations } from './dispatch-checks.ts';
import { noticeRelations } from './notice-checks.ts';
import { petRelations } from './pet-checks.ts';
import { userRelations } from './user-checks.ts';

/** What a service does with events, as its definition says. */
export interface Subscription {
  readonly service: string;
  readonly topic: string;
}

/**
 * Where a topic's aggregates stand: the keys and versions that its events may speak of. Events of
 * a topic that is not here are judged by themselves alone.
 */
const aggregates: Readonly<Record<string, string>> = {
  orders: 'select id::text as key, version, created_at from orders.orders',
  payments: 'select order_id::text as key, version, created_at from payments.payments',
  // What payments asked for, payments tells.
  billing: `select id::text as key, case kind when 'closed' then 2 else 1 end as version, created_at
      from billing.accounts where kind in ('wallet', 'closed')
    union all select id::text, 1, created_at from billing.transfers
      where key is null or key like 'operation:%'`,
  // Who is being registered has no version yet.
  auth: 'select id::text as key, version, created_at from auth.users where version > 0',
  customers: 'select username as key, version, created_at from customers.profiles',
  pets: 'select id::text as key, version, created_at from pets.pets',
  inventory: 'select sku as key, version, created_at from inventory.stock',
  // All assignments of an order are one aggregate.
  dispatch: `select order_id as key, max(version) as version, min(assigned_at) as created_at
    from (select order_id, version, assigned_at from dispatch.assignments
      union all select order_id, version, assigned_at from dispatch.past_assignments) every
    group by order_id`,
};

/** Without these there is nothing to judge. */
const NEEDED = ['orders', 'payments'];

const COLUMNS = {
  events: 'id, position, key, version, type, time, data',
  log_heads: 'position, published',
  inboxes: 'topic, key, version, updated_at',
  parked: 'topic, key, version, type, error, attempts, parked_at',
  all_tasks: 'kind, key, state, attempts, run_at, lease_until, error, created_at',
} as const;

const TABLES: Readonly<Record<keyof typeof COLUMNS, string>> = {
  events: 'log',
  log_heads: 'log_head',
  inboxes: 'inbox',
  parked: 'dead_letters',
  all_tasks: 'tasks',
};

/** Makes the relations. Rejects with a UsageFault when the database holds no Waybill. */
export async function createRelations(
  client: pg.Client,
  subscriptions: readonly Subscription[],
  transitions: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const services = await findServices(client);
  for (const relation of Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]) {
    // The service's name, which for its own log is the topic's.
    const name = relation === 'events' || relation === 'log_heads' ? 'topic' : 'service';
    const parts = services.map(
      (service) =>
        `select '${service}'::text as ${name}, ${COLUMNS[relation]}
         from "${service}".${TABLES[relation]}`,
    );
    await client.query(`create temp view ${relation} as ${parts.join(' union all ')}`);
  }
  const judged = Object.entries(aggregates).filter(([topic]) => services.includes(topic));
  const heads = judged.map(
    ([topic, rows]) => `select '${topic}'::text as topic, a.* from (${rows}) a`,
  );
  await client.query(`create temp view aggregates as ${heads.join(' union all ')}`);
  const topics = judged.map(([topic]) => `('${topic}')`).join(', ');
  await client.query(`create temp view judged_topics (topic) as values ${topics}`);
  await client.query(services.includes('billing') ? LEDGER : NO_LEDGER);
  await client.query(petRelations(services));
  await client.query(dispatchRelations(services));
  await client.query(userRelations(services));
  await client.query(noticeRelations(services));
  await client.query(FIXED);
  await insertRows(
    client,
    'subscriptions',
    subscriptions.filter(
      ({ service, topic }) => services.includes(service) && services.includes(topic),
    ),
  );
  await insertRows(client, 'transitions', [
    { departed: null, entered: 'PENDING' },
    ...Object.entries(transitions).flatMap(([departed, all]) =>
      all.map((entered) => ({ departed, entered })),
    ),
  ]);
}

/** The services whose schemas lie here, by the tables that the kit gives to each. */
async function findServices(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select table_schema as name from information_schema.tables
     where table_name in ('log_head', 'inbox', 'tasks', 'dead_letters', 'log')
     group by table_schema having count(*) = 5 order by table_schema`,
  );
  const found = rows.map((row) => row.name);
  const missing = NEEDED.filter((topic) => !found.includes(topic));
  if (missing.length > 0)
    throw new UsageFault(
      `This database has no ${missing.join(' and no ')}: "waybill serve" or "waybill migrate" ` +
        'makes the tables; services with a database of their own cannot be verified together.',
    );
  return found;
}

// Events before the horizon have left the log. A log that begins at position 1 has lost none, and
// none younger than the shortest retention, a day, ever leaves it.
const FIXED = `
create temp table subscriptions (service text, topic text);
create temp table transitions (departed text, entered text);
create temp table journal (seq bigint, kind text, key text, order_id text, charge_id text,
  amount_minor bigint, currency text);
create temp table client (client text, seq bigint, op text, outcome text, http integer,
  order_id text, idem_key text, version integer);
create temp view horizons as
  select h.topic, case when first.position = 1 or h.position = 0 then '-infinity'
    else least(first.time, now() - interval '1 day') + interval '5 minutes' end as since
  from log_heads h left join lateral (select position, time from events e
    where e.topic = h.topic and e.position is not null order by position limit 1) first on true;
create temp table history (key text, version integer, departed text, entered text);
create temp view moves as select * from history where departed is distinct from entered;
create temp view journal_money as
  select order_id, sum(charged) as charged_minor, sum(refunded) as refunded_minor,
    count(*) filter (where charged > 0) as charges,
    count(*) filter (where charged > refunded) as effective
  from (select order_id, charge_id,
      coalesce(sum(amount_minor) filter (where kind = 'charge'), 0) as charged,
      coalesce(sum(amount_minor) filter (where kind = 'refund'), 0) as refunded
    from journal where kind in ('charge', 'refund') group by order_id, charge_id) each_charge
  group by order_id;
`;

const LEDGER = `
create temp view ledger_accounts as select * from billing.accounts;
create temp view ledger_transfers as select * from billing.transfers;
create temp view ledger_entries as select * from billing.entries;
create temp view ledger_charges as select * from billing.charges;
`;

/** Where nobody has a wallet. */
const NO_LEDGER = `
create temp table ledger_accounts (id uuid, kind text, currency text, balance_minor bigint,
  refundable_minor bigint, entries bigint);
create temp table ledger_transfers (id uuid, type text, from_account uuid, to_account uuid,
  amount_minor bigint, currency text, order_id text, key text);
create temp table ledger_entries (account_id uuid, transfer_id uuid, currency text,
  change_minor bigint);
create temp table ledger_charges (key text, order_id text, amount_minor bigint, currency text,
  state text, transfer_id uuid, refunded_minor bigint);
`;

/** Reads the orders' moves out of their events, once for all checks. */
export async function loadHistory(client: pg.Client): Promise<void> {
  await client.query(`insert into history
    select key, version, data->>'from', data->>'to' from orders.log`);
  await client.query('analyze history');
}

type Loadable = 'subscriptions' | 'transitions' | 'journal' | 'client';

const SHAPES: Readonly<Record<Loadable, string>> = {
  subscriptions: 'service text, topic text',
  transitions: 'departed text, entered text',
  journal: `seq bigint, kind text, key text, order_id text, charge_id text, amount_minor bigint,
    currency text`,
  client: `client text, seq bigint, op text, outcome text, http integer, order_id text,
    idem_key text, version integer`,
};

const BATCH = 2000;

/** Copies rows into one of the tables, a batch at a time. Returns how many there were. */
export async function insertRows(
  client: pg.Client,
  table: Loadable,
  rows: Iterable<object> | AsyncIterable<object>,
): Promise<number> {
  let total = 0;
  let batch: object[] = [];
  const flush = async () => {
    const text = `insert into ${table} select * from json_to_recordset($1) as r(${SHAPES[table]})`;
    await client.query(text, [JSON.stringify(batch)]);
    total += batch.length;
    batch = [];
  };
  for await (const row of rows) if (batch.push(row) === BATCH) await flush();
  if (batch.length > 0) await flush();
  return total;
}
