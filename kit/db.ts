/**
 * PostgreSQL: one pool per service under the service's own role, transactions with a guard, and
 * the translation of the server's errors into the three kinds of errors.ts.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import pg from 'pg';
import { sleep } from './clock.ts';
import { Outage, Refusal } from './errors.ts';
import { random } from './ids.ts';
import { counter, gauge } from './telemetry.ts';

/** Rows as PostgreSQL returns them: snake_case, bigint as BigInt, timestamps as RFC 3339 text. */
export type Row = Record<string, unknown>;

export interface Queryable {
  /**
   * Runs a constant statement, prepared once per connection (22 µs against 35 unprepared).
   * The text must not be assembled at run time: every distinct text stays prepared for ever.
   */
  query<R = Row>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** Runs a statement whose text was assembled at run time; it is not prepared. */
  queryOnce<R = Row>(text: string, values?: readonly unknown[]): Promise<R[]>;
}

export interface Tx extends Queryable {
  /** Runs after the commit succeeded. For wake-ups alone: an effect belongs in the outbox. */
  onCommit(work: () => void): void;
}

export interface Database extends Queryable {
  readonly service: string;
  /**
   * Runs the work in a transaction (READ COMMITTED). A serialisation failure or a deadlock runs
   * the whole work again, so it must have no effect outside. Outbound calls inside it throw.
   */
  transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>;
  /** Connections in use, idle and asked for. */
  load(): { total: number; idle: number; waiting: number };
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  readonly service: string;
  /** The service's own role; the URL's user when left out. */
  readonly role?: string;
  readonly password?: string;
  readonly poolSize: number;
  readonly statementTimeoutMs?: number;
  readonly onError: (error: Error) => void;
}

const open = new AsyncLocalStorage<string>();

/** Throws when a transaction is open: an outbound call would hold its locks for the call's time. */
export function refuseInTransaction(call: string): void {
  const service = open.getStore();
  if (service !== undefined)
    throw new Error(`${service} calls ${call} while a transaction is open; enqueue a task instead`);
}

const types = new Map<number, (value: string) => unknown>([
  [pg.types.builtins.INT8, BigInt],
  [pg.types.builtins.TIMESTAMPTZ, rfc3339],
]);
const parsers: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format: 'text') =>
    types.get(oid) ?? pg.types.getTypeParser(oid, format)) as never,
};

/**
 * `2026-01-02 03:04:05.67+00`, as the server writes it in UTC, becomes `2026-01-02T03:04:05.670Z`:
 * the zeros that it leaves out come back, so that a moment reads the same before it was stored.
 */
function rfc3339(value: string): string {
  const time = value.slice(11, -3);
  return `${value.slice(0, 10)}T${time.length === 8 ? `${time}.000` : time.padEnd(12, '0')}Z`;
}

/** SQLSTATEs of a server that is away, full or stopping, and the errors of a broken socket. */
const OUTAGE_CODES = new RegExp(
  '^(08...|57P0.|57014|53...|55P03|25P0[34]|25006|58030' +
    '|ECONN\\w+|EPIPE|ENOENT|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH)$',
);
/** What the driver says without a code. */
const OUTAGE_TEXTS = new RegExp(
  [
    'Connection terminated',
    'connection timeout',
    'timeout exceeded when trying to connect',
    'Query read timeout',
    'Client has encountered a connection error',
    'not queryable',
    'Client was closed',
  ].join('|'),
);

/** Whether the database (and not the statement) is what failed. */
function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: string }).code ?? '';
  return OUTAGE_CODES.test(code) || OUTAGE_TEXTS.test(error.message);
}

function translate(error: unknown): unknown {
  if (error instanceof Refusal || error instanceof Outage || !isDatabaseOutage(error)) return error;
  return new Outage('database', (error as Error).message, { cause: error });
}

function isRetryable(error: unknown): boolean {
  const code = (error as { code?: string }).code;
  return code === '40001' || code === '40P01';
}

const names = new Map<string, string>();

function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `s${names.size}`;
    names.set(text, name);
  }
  return name;
}

function queryable(client: pg.Pool | pg.PoolClient): Queryable {
  return {
    async query<R>(text: string, values: readonly unknown[] = []) {
      const result = await client.query({ name: nameOf(text), text, values: values as unknown[] });
      return result.rows as R[];
    },
    async queryOnce<R>(text: string, values: readonly unknown[] = []) {
      const result = await client.query({ text, values: values as unknown[] });
      return result.rows as R[];
    },
  };
}

const retries = counter('waybill_database_retries_total', 'Transactions run again', ['service']);
const connections = gauge('waybill_database_pool_connections', 'Pool connections', [
  'service',
  'state',
]);

/** Opens the service's pool. Connects lazily; the first query reports a wrong address. */
export function openDatabase(options: DatabaseOptions): Database {
  const { service } = options;
  const timeoutMs = options.statementTimeoutMs ?? 10_000;
  const pool = new pg.Pool({
    ...connectionOf(options.url),
    ...(options.role === undefined ? {} : { user: options.role, password: options.password }),
    max: options.poolSize,
    application_name: `waybill-${service}`,
    options: `-c timezone=UTC -c search_path=${service},pg_catalog`,
    statement_timeout: timeoutMs,
    lock_timeout: Math.min(timeoutMs, 5000),
    idle_in_transaction_session_timeout: 15_000,
    query_timeout: timeoutMs + 2000,
    connectionTimeoutMillis: 2000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    types: parsers,
  });
  let closing = false;
  // The pool's end does not wait for its sockets; what becomes of them then is nobody's concern.
  pool.on('error', (error) => {
    if (!closing) options.onError(error);
  });
  const load = () => ({
    total: pool.totalCount,
    idle: pool.idleCount,
    waiting: pool.waitingCount,
  });
  const direct = queryable(pool);
  const guarded = async <R>(work: () => Promise<R>): Promise<R> => {
    try {
      return await work();
    } catch (error) {
      throw translate(error);
    }
  };
  return {
    service,
    load() {
      const now = load();
      connections.set({ service, state: 'busy' }, now.total - now.idle);
      connections.set({ service, state: 'idle' }, now.idle);
      connections.set({ service, state: 'waiting' }, now.waiting);
      return now;
    },
    query: (text, values) => guarded(() => direct.query(text, values)),
    queryOnce: (text, values) => guarded(() => direct.queryOnce(text, values)),
    async transaction(work) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await guarded(() => once(pool, service, work));
        } catch (error) {
          if (!isRetryable(error)) throw error;
          if (attempt === 5) throw new Outage('database', 'too much contention', { cause: error });
          retries.inc({ service });
          await sleep(random() * 10 * 2 ** attempt);
        }
      }
    },
    close() {
      closing = true;
      return pool.end();
    },
  };
}

async function once<Result>(
  pool: pg.Pool,
  service: string,
  work: (tx: Tx) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  const afterwards: (() => void)[] = [];
  let broken: Error | undefined;
  const note = (error: Error) => {
    broken = error;
  };
  client.on('error', note);
  try {
    await client.query('begin');
    const tx: Tx = { ...queryable(client), onCommit: (later) => void afterwards.push(later) };
    const result = await open.run(service, () => work(tx));
    await client.query('commit');
    for (const later of afterwards) later();
    return result;
  } catch (error) {
    if (isDatabaseOutage(error)) broken = error as Error;
    else
      await client.query('rollback').catch((failure: Error) => {
        broken = failure;
      });
    throw error;
  } finally {
    client.off('error', note);
    client.release(broken);
  }
}

/** The parts of a connection URL; a socket folder may be given as ?host=. */
export function connectionOf(url: string) {
  const parsed = new URL(url);
  const socket = parsed.searchParams.get('host');
  const sslMode = parsed.searchParams.get('sslmode');
  return {
    host: socket ?? (decodeURIComponent(parsed.hostname).replace(/^\[|\]$/g, '') || 'localhost'),
    port: parsed.port === '' ? 5432 : Number(parsed.port),
    user: decodeURIComponent(parsed.username) || 'postgres',
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)) || 'postgres',
    ...(sslMode === null || sslMode === 'disable'
      ? {}
      : { ssl: { rejectUnauthorized: sslMode.startsWith('verify') } }),
  };
}
