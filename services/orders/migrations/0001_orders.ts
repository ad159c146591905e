/** The order table, and numbers from 1 000 000 000 up. */
import { sql, type Kysely } from 'kysely';

export const createOrders = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`create sequence order_numbers start 1000000000 maxvalue 9007199254740991`.execute(db);
    await sql`
      create table orders (
        id uuid primary key,
        number bigint not null unique,
        channel text not null,
        customer_id text not null,
        currency text not null,
        total_minor bigint not null check (total_minor >= 0),
        status text not null check (status in ('PENDING', 'PAYMENT_PROCESSING', 'CONFIRMED',
          'PAYMENT_FAILED', 'IN_FULFILLMENT', 'SHIPPED', 'DELIVERED', 'COMPLETED', 'RETURNED',
          'CANCELLED')),
        payment_status text not null check (payment_status in ('NOT_REQUIRED', 'PENDING',
          'CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'FAILED')),
        fulfillment_status text not null check (fulfillment_status in ('UNFULFILLED',
          'IN_PROGRESS', 'SHIPPED', 'DELIVERED', 'RETURNED')),
        payment_method text not null,
        reference text,
        fulfillment json,
        items json not null,
        payment_attempts json not null default '[]',
        cancel_requested_at timestamptz,
        cancel_reason text,
        version integer not null check (version > 0),
        created_at timestamptz not null,
        updated_at timestamptz not null
      ) with (fillfactor = 70)`.execute(db);
    // The id is a UUIDv7 made when the order was accepted and created_at is its time, so the id
    // orders by creation, and a range of times is a range of ids: no index on created_at.
    await sql`
      create index orders_customer on orders (customer_id text_pattern_ops, id desc)
    `.execute(db);
    await sql`create index orders_status on orders (status, id desc)`.execute(db);
    await sql`
      create index orders_reference on orders (reference text_pattern_ops)
      where reference is not null`.execute(db);
  },
};
