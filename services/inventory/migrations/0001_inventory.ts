/** Pets by status as their events tell it, and stock with its reservations. */
import { sql, type Kysely } from 'kysely';

export const createInventory = {
  async up(db: Kysely<never>): Promise<void> {
    // What the last event of each pet said; a pet that is gone stays here with status null, so that
    // an older event, read again by a rebuild, does not bring it back.
    await sql`
      create table pets (
        key text primary key,
        version integer not null,
        status text check (status in ('available', 'reserved', 'sold'))
      ) with (fillfactor = 80)`.execute(db);
    await sql`
      create table pet_counts (
        status text primary key check (status in ('available', 'reserved', 'sold')),
        pets bigint not null check (pets >= 0)
      ) with (fillfactor = 20)`.execute(db);
    await sql`
      insert into pet_counts values ('available', 0), ('reserved', 0), ('sold', 0)`.execute(db);
    // The last line of defence: whatever the code believes, no more is held than there is.
    await sql`
      create table stock (
        sku text primary key,
        on_hand bigint not null default 0 check (on_hand >= 0),
        reserved bigint not null default 0 check (reserved between 0 and on_hand),
        version integer not null default 0,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      ) with (fillfactor = 50)`.execute(db);
    await sql`create index stock_prefix on stock (sku text_pattern_ops)`.execute(db);
    await sql`
      create table reservations (
        id text primary key,
        state text not null check (state in ('reserved', 'released', 'expired', 'deducted')),
        asked text not null,
        allow_unknown boolean not null,
        expires_at timestamptz not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      ) with (fillfactor = 80)`.execute(db);
    await sql`
      create index reservations_due on reservations (expires_at) where state = 'reserved'
    `.execute(db);
    await sql`
      create table reservation_lines (
        reservation_id text not null references reservations,
        sku text not null references stock,
        quantity bigint not null check (quantity > 0),
        deducted bigint not null default 0 check (deducted between 0 and quantity),
        primary key (reservation_id, sku)
      ) with (fillfactor = 80)`.execute(db);
    await sql`
      create table deductions (
        id text primary key,
        reservation_id text not null references reservations,
        asked text not null,
        created_at timestamptz not null default now()
      )`.execute(db);
  },
};
