/** Pets, and the reservations by which orders hold them. */
import { sql, type Kysely } from 'kysely';

export const createPets = {
  async up(db: Kysely<never>): Promise<void> {
    // Ids that clients give are honoured, and those are small as a rule.
    await sql`create sequence pet_ids start 1000000000 maxvalue 9007199254740991`.execute(db);
    // A deleted pet leaves its row: the versions of its id go on if the id is used again.
    await sql`
      create table pets (
        id bigint primary key check (id between 1 and 9007199254740991),
        name text not null,
        category json,
        photo_urls json not null,
        tags json not null,
        status text not null check (status in ('available', 'reserved', 'sold', 'deleted')),
        reservation_id uuid check (reservation_id is null or status in ('reserved', 'sold')),
        version integer not null check (version > 0),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      ) with (fillfactor = 80)`.execute(db);
    await sql`create index pets_status on pets (status, id)`.execute(db);
    // A row for each tag, so that a search for a common one reads no more than a page.
    await sql`
      create table pet_tags (
        tag text not null,
        pet_id bigint not null references pets on delete cascade,
        primary key (tag, pet_id)
      )`.execute(db);
    await sql`create index pet_tags_pet on pet_tags (pet_id)`.execute(db);
    await sql`
      create table reservations (
        id uuid primary key,
        pet_id bigint not null,
        order_id uuid,
        state text not null check (state in ('held', 'sold', 'released')),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        check (order_id is not null or state = 'released')
      ) with (fillfactor = 80)`.execute(db);
    await sql`create index reservations_order on reservations (order_id)`.execute(db);
    await sql`
      create unique index reservations_holder on reservations (pet_id)
      where state in ('held', 'sold')`.execute(db);
    await sql`
      create index reservations_held on reservations (created_at) where state = 'held'`.execute(db);
  },
};
