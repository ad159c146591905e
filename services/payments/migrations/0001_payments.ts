/** One payment per order, its answered attempts, and the callbacks that were seen. */
import { sql, type Kysely } from 'kysely';

export const createPayments = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`
      create table payments (
        order_id uuid primary key,
        state text not null default 'PENDING' check (state in ('PENDING', 'PROCESSING', 'UNKNOWN',
          'CAPTURED', 'FAILED', 'VOIDED', 'REFUNDED')),
        amount_minor bigint not null check (amount_minor > 0),
        currency text not null,
        token text,
        provider text not null,
        provider_reference text,
        captured_minor bigint not null default 0 check (captured_minor >= 0),
        refunded_minor bigint not null default 0 check (refunded_minor >= 0),
        attempts integer not null default 0,
        calls integer not null default 0,
        outages integer not null default 0,
        waiting_for text,
        failure_code text,
        cancel_requested boolean not null default false,
        started boolean not null default false,
        version integer not null default 0,
        deadline_at timestamptz not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        check (refunded_minor <= captured_minor)
      ) with (fillfactor = 70)`.execute(db);
    await sql`create index payments_created_at on payments using brin (created_at)`.execute(db);
    await sql`
      create table attempts (
        order_id uuid not null references payments,
        attempt_number integer not null,
        status text not null check (status in ('SUCCEEDED', 'DECLINED', 'FAILED')),
        amount_minor bigint not null,
        error_message text,
        created_at timestamptz not null default now(),
        primary key (order_id, attempt_number)
      )`.execute(db);
    // At most one attempt of an order ever succeeds, whatever the code believes.
    await sql`
      create unique index attempts_succeeded_once on attempts (order_id)
      where status = 'SUCCEEDED'`.execute(db);
    await sql`
      create table callbacks (
        provider text not null,
        event_id text not null,
        received_at timestamptz not null default now(),
        primary key (provider, event_id)
      )`.execute(db);
  },
};
