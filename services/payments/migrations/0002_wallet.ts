/** Whose order it is: a wallet is charged by its owner's name. */
import { sql, type Kysely } from 'kysely';

export const addCustomers = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`alter table payments add column customer_id text`.execute(db);
  },
};
