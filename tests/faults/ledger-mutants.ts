/** Bugs planted in the ledger. */
import type { Mutant } from './mutant.ts';

const LEDGER = 'services/billing/migrations/0001_ledger.ts';

const readThenWritten: Mutant = {
  name: "a wallet's balance is read, and then written",
  hunt: 'ledger',
  plants: [
    {
      file: LEDGER,
      find: `update accounts set balance_minor = balance_minor - amount, entries = entries + 1
      where username = payer and currency = money and balance_minor >= amount
      returning id into wallet;`,
      replace: `with seen as materialized (select id, balance_minor from accounts
        where username = payer and currency = money and balance_minor >= amount)
      update accounts a set balance_minor = seen.balance_minor - amount, entries = entries + 1
      from seen where a.id = seen.id returning a.id into wallet;`,
    },
  ],
};

const refundForgetful: Mutant = {
  name: 'a refund forgets what was refunded before',
  hunt: 'ledger',
  plants: [
    {
      file: LEDGER,
      find: 'if charged.refunded_minor + amount > charged.amount_minor then',
      replace: 'if amount > charged.amount_minor then',
    },
  ],
  given: [
    {
      file: LEDGER,
      find: `refunded_minor between 0 and case state when 'captured' then amount_minor else 0 end`,
      replace: 'refunded_minor >= 0',
    },
  ],
};

const repeatMoves: Mutant = {
  name: 'a repeated operation moves the money again',
  hunt: 'ledger',
  plants: [
    {
      file: 'services/billing/commands.ts',
      find: 'idempotency === undefined ? undefined : await claimKey(tx, idempotency);',
      replace: 'undefined as Awaited<ReturnType<typeof claimKey>>;',
    },
  ],
};

const loserPays: Mutant = {
  name: 'whoever loses the race for a key has paid all the same',
  hunt: 'ledger',
  plants: [
    {
      file: LEDGER,
      find: `update accounts set balance_minor = balance_minor + amount, entries = entries - 1
        where id = wallet;`,
      replace: 'null;',
    },
  ],
};

const noTombstone: Mutant = {
  name: 'a key that is given up leaves no tombstone',
  hunt: 'ledger',
  plants: [
    {
      file: 'services/billing/commands.ts',
      find: 'const row = await store.voidCharge(db, asked);',
      replace: `const row = (await store.findCharge(db, asked.key)) ??
        { ...asked, amount_minor: BigInt(asked.amount_minor), state: 'voided' as const,
          decline_code: null, transfer_id: null };`,
    },
  ],
};

export const LEDGER_MUTANTS: readonly Mutant[] = [
  readThenWritten,
  refundForgetful,
  repeatMoves,
  loserPays,
  noTombstone,
];
