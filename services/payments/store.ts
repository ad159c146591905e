/** Every statement on payments. */
import type { Database, Queryable, Tx } from '@waybill/kit/db.ts';
import type { Json } from '@waybill/kit/json.ts';
import { currencyExponent, toMajor } from '@waybill/kit/money.ts';
import type { Attempt, Payment, PaymentState } from './contract.ts';

export interface PaymentRow {
  order_id: string;
  state: PaymentState;
  amount_minor: bigint;
  currency: string;
  token: string | null;
  customer_id: string | null;
  provider: string;
  provider_reference: string | null;
  captured_minor: bigint;
  refunded_minor: bigint;
  attempts: number;
  calls: number;
  outages: number;
  waiting_for: string | null;
  failure_code: string | null;
  cancel_requested: boolean;
  started: boolean;
  version: number;
  deadline_passed: boolean;
  deadline_at: string;
  created_at: string;
  updated_at: string;
}

const COLUMNS = `order_id, state, amount_minor, currency, token, customer_id, provider,
  provider_reference, captured_minor, refunded_minor, attempts, calls, outages, waiting_for,
  failure_code, cancel_requested, started, version, deadline_at < now() as deadline_passed,
  deadline_at, created_at, updated_at`;

export interface NewPayment {
  readonly order_id: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly token: string | null;
  readonly customer_id: string;
  readonly provider: string;
}

/** Creates payments that do not exist yet; a repeat changes nothing. */
export async function insertPayments(
  tx: Tx,
  deadlineSeconds: number,
  payments: readonly NewPayment[],
): Promise<void> {
  await tx.query(
    `insert into payments (order_id, amount_minor, currency, token, customer_id, provider,
       deadline_at)
     select p.order_id, p.amount_minor, p.currency, p.token, p.customer_id, p.provider,
       now() + make_interval(secs => $2)
     from json_to_recordset($1) as p(order_id uuid, amount_minor bigint, currency text,
       token text, customer_id text, provider text)
     on conflict do nothing`,
    [JSON.stringify(payments), deadlineSeconds],
  );
}

/** A payment that is opened and begun in one go, with its task and its first event. */
export interface BegunPayment {
  readonly order_id: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly customer_id: string;
  readonly task_id: string;
  readonly hold_ms: number;
  readonly event: Json;
  readonly traceparent: string | undefined;
}

const OPEN_BEGUN = `with input as materialized (
    select * from json_to_recordset($1) as i(order_id uuid, amount_minor bigint, currency text,
      customer_id text, task_id uuid, hold_ms double precision, event json, traceparent text)),
  opened as (insert into payments (order_id, amount_minor, currency, customer_id, provider,
      state, calls, started, version, deadline_at)
    select i.order_id, i.amount_minor, i.currency, i.customer_id, $2, 'PROCESSING', 1, true, 1,
      now() + make_interval(secs => $4)
    from input i order by i.order_id on conflict do nothing returning order_id),
  held as (insert into tasks (id, kind, key, run_at, traceparent)
    select i.task_id, $3, i.order_id::text, now() + i.hold_ms * interval '1 millisecond',
      i.traceparent from input i join opened using (order_id)
    on conflict (kind, key) do nothing),
  logged as (insert into log (key, version, type, data, traceparent)
    select i.order_id::text, 1, 'PAYMENT_STARTED', i.event, i.traceparent
    from input i join opened using (order_id))
  select order_id from opened`;

/** Opens payments with their first call written down; returns the orders that had none yet. */
export async function openBegun(
  db: Queryable,
  provider: string,
  kind: string,
  deadlineSeconds: number,
  payments: readonly BegunPayment[],
): Promise<ReadonlySet<string>> {
  const values = [JSON.stringify(payments), provider, kind, deadlineSeconds];
  const rows = await db.query<{ order_id: string }>(OPEN_BEGUN, values);
  return new Set(rows.map((row) => row.order_id));
}

/** Locks payments by order; in order, so that batches never wait for each other in a ring. */
export function lockPayments(tx: Tx, orderIds: readonly string[]): Promise<PaymentRow[]> {
  return tx.query<PaymentRow>(
    `select ${COLUMNS} from payments where order_id = any($1::uuid[])
     order by order_id for update`,
    [orderIds],
  );
}

export async function findPayment(db: Queryable, orderId: string): Promise<PaymentRow | undefined> {
  const rows = await db.query<PaymentRow>(`select ${COLUMNS} from payments where order_id = $1`, [
    orderId,
  ]);
  return rows[0];
}

/** Writes a locked payment's new state; its version rises when an event goes with it. */
export async function updatePayment(tx: Tx, row: PaymentRow, raise: boolean): Promise<void> {
  const rows = await tx.query(
    `update payments set state = $2, provider_reference = $3, captured_minor = $4,
       refunded_minor = $5, attempts = $6, calls = $7, outages = $8, waiting_for = $9,
       failure_code = $10, cancel_requested = $11, started = $12, version = version + $13,
       updated_at = now()
     where order_id = $1 and version = $14 returning order_id`,
    [
      row.order_id,
      row.state,
      row.provider_reference,
      row.captured_minor,
      row.refunded_minor,
      row.attempts,
      row.calls,
      row.outages,
      row.waiting_for,
      row.failure_code,
      row.cancel_requested,
      row.started,
      raise ? 1 : 0,
      row.version,
    ],
  );
  if (rows.length !== 1) throw new Error(`payment ${row.order_id} changed under its lock`);
}

export async function insertAttempt(
  tx: Tx,
  orderId: string,
  attempt: Omit<Attempt, 'created_at'>,
): Promise<void> {
  await tx.query(
    `insert into attempts (order_id, attempt_number, status, amount_minor, error_message)
     values ($1, $2, $3, $4, $5)`,
    [orderId, attempt.attempt_number, attempt.status, attempt.amount_minor, attempt.error_message],
  );
}

export async function readAttempts(db: Queryable, orderId: string): Promise<Attempt[]> {
  const rows = await db.query<Attempt & { amount_minor: bigint }>(
    `select attempt_number, status, amount_minor, error_message, created_at from attempts
     where order_id = $1 order by attempt_number`,
    [orderId],
  );
  return rows.map((row) => ({ ...row, amount_minor: Number(row.amount_minor) }));
}

/** Remembers a callback for ever. False: it came before. */
export async function rememberCallback(tx: Tx, provider: string, eventId: string) {
  const rows = await tx.query(
    `insert into callbacks (provider, event_id) values ($1, $2)
     on conflict do nothing returning event_id`,
    [provider, eventId],
  );
  return rows.length === 1;
}

/**
 * The busiest minute of the last ten, as payments a second: the usual rate of calls. The minute in
 * which the first of them came is counted from that one on, but as ten seconds at least.
 */
export async function usualRate(db: Database): Promise<number> {
  const [row] = await db.query<{ most: number | null }>(
    `with recent as (
       select extract(epoch from now() - created_at)::float8 as age from payments
       where created_at > now() - interval '10 minutes'),
     minutes as (
       select floor(age / 60) * 60 as till, count(*) as n from recent group by floor(age / 60))
     select max(n / least(60, greatest(10, (select max(age) from recent) - till))) as most
     from minutes`,
  );
  return row?.most ?? 0;
}

export function renderPayment(row: PaymentRow, attempts: readonly Attempt[]): Payment {
  const exponent = currencyExponent(row.currency) ?? 2;
  return {
    order_id: row.order_id,
    status: row.state,
    amount: toMajor(row.amount_minor, exponent),
    captured_amount: toMajor(row.captured_minor, exponent),
    refunded_amount: toMajor(row.refunded_minor, exponent),
    currency: row.currency,
    provider: row.provider,
    provider_reference: row.provider_reference,
    failure_code: row.failure_code,
    waiting_for: row.waiting_for,
    calls: row.calls,
    deadline_at: row.deadline_at,
    created_at: row.created_at,
    updated_at: row.updated_at,
    attempts: attempts.map(({ amount_minor, ...attempt }) => ({
      ...attempt,
      amount: toMajor(amount_minor, exponent),
    })),
  };
}
