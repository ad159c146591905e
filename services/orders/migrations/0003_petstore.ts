/** Orders for pets: what each holds and until when, and the numbers that are spoken for. */
import { sql, type Kysely } from 'kysely';

export const addPetstore = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`
      create table pet_orders (
        order_id uuid primary key references orders,
        pet_id bigint not null,
        ship_date timestamptz,
        expires_at timestamptz
      )`.execute(db);
    // Null once the order has left PENDING, or was looked at after its time: each is met once.
    await sql`
      create index pet_orders_due on pet_orders (expires_at) where expires_at is not null
    `.execute(db);
    // A number that a client gave stays claimed for ever once its order is there; that makes two
    // claims of one number exclude each other, however late the order comes.
    await sql`
      create table order_claims (
        number bigint primary key,
        order_id uuid not null unique,
        pet_id bigint not null,
        scope text,
        key text,
        expires_at timestamptz,
        created_at timestamptz not null default now()
      )`.execute(db);
    await sql`
      create unique index order_claims_key on order_claims (scope, key) where key is not null
    `.execute(db);
    await sql`
      create index order_claims_due on order_claims (expires_at) where expires_at is not null
    `.execute(db);
  },
};
