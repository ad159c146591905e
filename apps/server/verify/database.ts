/** Judges a database: every check, on one snapshot, beside what the witnesses say. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { connectionOf } from '@waybill/kit/db.ts';
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { describeConnectFailure } from '@waybill/kit/migrate.ts';
import { TRANSITIONS } from '@waybill/orders/rules.ts';
import { readJournal } from '@waybill/sandbox/journal.ts';
import { loadServices, UsageFault } from '../services.ts';
import type { Check, CheckKind, Witness } from './check.ts';
import { checks } from './checks.ts';
import { createRelations, insertRows, loadHistory } from './relations.ts';

export interface VerifyOptions {
  /** The owner's URL of the database that holds all schemas. */
  readonly databaseUrl: string;
  /** The sandbox's journal, as a file or row by row; without it nobody else saw the money. */
  readonly journal?: string | AsyncIterable<object> | Iterable<object>;
  /** What clients saw (NDJSON), as a file or row by row: {op, outcome, http, order_id, …}. */
  readonly client?: string | AsyncIterable<object> | Iterable<object>;
  /** Waits so long for everything to come to rest before judging. */
  readonly waitSeconds?: number;
  /** Only checks of these kinds: `['safety']` in the middle of a run. */
  readonly kinds?: readonly CheckKind[];
  /** So many violating rows are kept of each check. */
  readonly rowLimit?: number;
}

export interface Verdict {
  readonly id: string;
  readonly title: string;
  readonly kind: CheckKind;
  readonly state: 'ok' | 'violated' | 'skipped';
  readonly violations: number;
  /** The first of the violating rows. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

export interface Report {
  readonly ok: boolean;
  /** Whether everything was at rest when it was judged. */
  readonly quiescent: boolean;
  readonly waitedMs: number;
  /** How many rows of what were looked at. */
  readonly examined: Readonly<Record<string, number>>;
  readonly verdicts: readonly Verdict[];
}

const POLL_MS = 250;

/** Runs the checks. Rejects with an Outage or a UsageFault when it cannot judge. */
export async function verifyDatabase(options: VerifyOptions): Promise<Report> {
  const client = await connect(options.databaseUrl);
  try {
    await prepare(client);
    const waitedMs = await waitForRest(client, options.waitSeconds ?? 0);
    await client.query('begin isolation level repeatable read read only');
    return { ...(await judgeSnapshot(client, options)), waitedMs };
  } finally {
    await client.end();
  }
}

/** Makes what the checks read, for this connection. */
export async function prepare(client: pg.Client): Promise<void> {
  const services = await loadServices([]);
  const subscriptions = services.flatMap(({ name, consumers }) =>
    consumers.map(({ topic }) => ({ service: name, topic })),
  );
  await createRelations(client, subscriptions, TRANSITIONS);
}

/** Judges what the connection's transaction sees, once everything is prepared. */
export async function judgeSnapshot(
  client: pg.Client,
  options: Omit<VerifyOptions, 'databaseUrl' | 'waitSeconds'>,
): Promise<Omit<Report, 'waitedMs'>> {
  // Before the journal is read: what the snapshot knows as charged, the journal must know.
  const examined = await countRows(client);
  await loadHistory(client);
  const witnesses = await loadWitnesses(client, options);
  const verdicts: Verdict[] = [];
  for (const check of checks)
    if (options.kinds?.includes(check.kind) ?? true)
      verdicts.push(await judge(client, check, witnesses, options.rowLimit ?? 20));
  const pending = checks.filter((check) => check.pending).map((check) => check.id);
  return {
    ok: verdicts.every((verdict) => verdict.state !== 'violated'),
    quiescent: !verdicts.some(({ id, violations }) => violations > 0 && pending.includes(id)),
    examined: {
      ...examined,
      journal_entries: witnesses.get('journal') ?? 0,
      client_calls: witnesses.get('client') ?? 0,
    },
    verdicts,
  };
}

async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...connectionOf(databaseUrl),
    connectionTimeoutMillis: 5000,
    application_name: 'waybill-verify',
    options: '-c timezone=UTC -c search_path=pg_temp,pg_catalog -c work_mem=128MB',
  });
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    const sentence = describeConnectFailure(databaseUrl, error as Error);
    throw new Outage('database', sentence, { cause: error });
  }
  return client;
}

/** Polls until nothing is under way or the time is over. */
async function waitForRest(client: pg.Client, seconds: number): Promise<number> {
  const begin = monotonicMs();
  const pending = checks.filter((check) => check.pending);
  // On one snapshot: between two statements work could pass from what was looked at already to
  // what is looked at next, and be seen nowhere.
  const busy = async () => {
    await client.query('begin isolation level repeatable read read only');
    try {
      for (const { sql } of pending) {
        const { rows } = await client.query<{ busy: boolean }>(`select exists (${sql}) as busy`);
        if (rows[0]?.busy === true) return true;
      }
      return false;
    } finally {
      await client.query('commit');
    }
  };
  while (monotonicMs() - begin < seconds * 1000 && (await busy())) await sleep(POLL_MS);
  return seconds === 0 ? 0 : Math.round(monotonicMs() - begin);
}

async function countRows(client: pg.Client): Promise<Record<string, number>> {
  const { rows } = await client.query<Record<string, string>>(
    `select (select count(*) from orders.orders) as orders,
       (select count(*) from payments.payments) as payments,
       (select count(*) from payments.attempts) as attempts,
       (select count(*) from ledger_transfers) as transfers,
       (select count(*) from events) as events,
       (select count(*) from inboxes) as consumed_keys,
       (select count(*) from all_tasks) as tasks,
       (select count(*) from parked) as dead_letters,
       (select count(*) from orders.idempotency_keys) as idempotency_keys`,
  );
  const counts = Object.entries(rows[0] ?? {});
  return Object.fromEntries(counts.map(([name, count]) => [name, Number(count)]));
}

async function loadWitnesses(
  client: pg.Client,
  options: Pick<VerifyOptions, 'journal' | 'client'>,
) {
  const loaded = new Map<Witness, number>();
  const { journal, client: calls } = options;
  if (journal !== undefined) {
    const rows = typeof journal === 'string' ? readJournal(journal) : journal;
    loaded.set('journal', await insertRows(client, 'journal', rows));
    await client.query('analyze journal');
  }
  if (calls !== undefined) {
    const rows = typeof calls === 'string' ? readLines(calls) : calls;
    loaded.set('client', await insertRows(client, 'client', rows));
    await client.query(NUMBERS_AS_IDS);
    await client.query('analyze client');
  }
  return loaded;
}

/** Doors that know orders by number tell their clients the number. */
const NUMBERS_AS_IDS = `update client c set order_id = o.id::text from orders.orders o
  where c.order_id ~ '^[0-9]+$' and o.number = c.order_id::bigint`;

async function* readLines(path: string): AsyncGenerator<object> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    number += 1;
    if (line.trim() === '') continue;
    try {
      yield JSON.parse(line) as object;
    } catch {
      throw new UsageFault(`${path}: line ${number} is not JSON.`);
    }
  }
}

async function judge(
  client: pg.Client,
  check: Check,
  witnesses: ReadonlyMap<Witness, number>,
  limit: number,
): Promise<Verdict> {
  const { id, title, kind } = check;
  const verdict = { id, title, kind, violations: 0, rows: [] };
  if (check.needs !== undefined && !witnesses.has(check.needs))
    return { ...verdict, state: 'skipped' };
  const { rows } = await client.query<{ total: string; some: Verdict['rows'] | null }>(
    `with violations as materialized (${check.sql})
     select (select count(*) from violations) as total,
       (select json_agg(row_to_json(v)) from (select * from violations limit $1) v) as some`,
    [limit],
  );
  const violations = Number(rows[0]?.total);
  const state = violations === 0 ? 'ok' : 'violated';
  return { ...verdict, state, violations, rows: rows[0]?.some ?? [] };
}
