/** What orders of the checkout keep besides: why one was not paid, and what its door shows. */
import { sql, type Kysely } from 'kysely';

export const addCheckout = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`alter table orders add column payment_failure text, add column door json`.execute(db);
  },
};
