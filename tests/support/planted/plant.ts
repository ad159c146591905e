/** What a planted fault is, and the statements that plant it. */
import { lives } from '../clean-books.ts';

export type Row = Record<string, unknown>;

export interface Plant {
  readonly check: string;
  readonly name: string;
  /** What is done to the database. */
  readonly sql?: string;
  /** What is done to the provider's journal. */
  readonly journal?: (entries: Row[]) => Row[];
  /** What is done to the client's journal. */
  readonly calls?: (calls: Row[]) => Row[];
  /** How many rows the check returns; 1 when left out. */
  readonly rows?: number;
  /** Other checks that the same fault breaks. */
  readonly also?: readonly string[];
}

const quoted = (life: keyof typeof lives) => `'${lives[life].id}'`;

/** The orders' ids, as SQL. */
export const confirmed = quoted('confirmed');
export const declined = quoted('declined');
export const refunded = quoted('refunded');
export const withdrawn = quoted('withdrawn');
export const reserved = quoted('reserved');
export const sold = quoted('sold');
export const unwanted = quoted('unwanted');
/** The orders that were to be paid from a wallet. */
export const wallets = {
  paid: quoted('walletPaid'),
  refunded: quoted('walletRefunded'),
  givenUp: quoted('walletGivenUp'),
};
export const nobody = "'01980000-0000-7000-8000-00000000dead'";

/** Changes an order's row. */
export const update = (set: string, id: string) =>
  `update orders.orders set ${set} where id = ${id};`;

/** Changes a payment's row. */
export const pay = (set: string, id: string) =>
  `update payments.payments set ${set} where order_id = ${id};`;

/** Changes an event. */
export const log = (set: string, id: string, version: number, topic = 'orders') =>
  `update ${topic}.log set ${set} where key = ${id} and version = ${version};`;

/** Removes an event. */
export const unlog = (id: string, version: number, topic = 'orders') =>
  `delete from ${topic}.log where key = ${id} and version = ${version};`;

/** An event's data. */
export const step = (from: string | null, to: string) => `data = '${JSON.stringify({ from, to })}'`;

/** Takes the schema's own guards away: the check must see what they would have refused. */
export const unguard = (table: string) => `do $$ declare guard record; begin
  for guard in select conname from pg_constraint
    where conrelid = '${table}'::regclass and contype in ('c', 'f', 'u', 'p') loop
    execute format('alter table ${table} drop constraint if exists %I cascade', guard.conname);
  end loop; end $$;`;
