/** Every statement on payments. */
import type { Database, Queryable, Tx } from '@waybill/kit/db.ts';
import { currencyExponent, toMajor } from '@waybill/kit/money.ts';
import type { Attempt, Payment, PaymentState } from './contract.ts';

export interface PaymentRow {
  order_id: string;
  state: PaymentState;
  amount_minor: bigint;
  currency: string;
  token: string | null;
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

const COLUMNS = `order_id, state, amount_minor, currency, token, provider, provider_reference,
  captured_minor, refunded_minor, attempts, calls, outages, waiting_for, failure_code,
  cancel_requested, started, version, deadline_at < now() as deadline_passed, deadline_at,
  created_at, updated_at`;

export interface NewPayment {
  readonly order_id: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly token: string | null;
}

/** Creates payments that do not exist yet; a repeat changes nothing. */
export async function insertPayments(
  tx: Tx,
  provider: string,
  deadlineSeconds: number,
  payments: readonly NewPayment[],
): Promise<void> {
  await tx.query(
    `insert into payments (order_id, amount_minor, currency, token, provider, deadline_at)
     select p.order_id, p.amount_minor, p.currency, p.token, $2, now() + make_interval(secs => $3)
     from json_to_recordset($1)
       as p(order_id uuid, amount_minor bigint, currency text, token text)
     on conflict do nothing`,
    [JSON.stringify(payments), provider, deadlineSeconds],
  );
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
