/**
 * The ledger. The service's own role may read these tables and call the functions below, and that
 * is all (index.ts, `readOnly`): whatever its code believes, the books stay right (ADR 0011).
 */
import { sql, type Kysely } from 'kysely';

export const createLedger = {
  async up(db: Kysely<never>): Promise<void> {
    for (const statement of [...TABLES, ...GUARDS, ...ACCOUNTS, ...CHARGES, OPERATE])
      await sql.raw(statement).execute(db);
  },
};

// As the tables' owner, and with names that no temporary table of the caller can take.
const AS_OWNER = 'security definer set search_path = pg_catalog, billing, pg_temp';

const TABLES = [
  // A balance is kept for wallets alone. Everybody's transfers meet in the system accounts, whose
  // one row would make all of them wait for each other; their balance is the sum of their entries.
  // No column that a transfer changes is indexed, and half a page stays free: updates are HOT.
  `create table accounts (
    id uuid primary key,
    kind text not null check (kind in ('wallet', 'outside', 'revenue', 'closed')),
    username text unique check (char_length(username) between 1 and 128),
    currency text not null,
    balance_minor bigint check (balance_minor between 0 and 900000000000000),
    refundable_minor bigint not null default 0 check (refundable_minor >= 0),
    entries bigint not null default 0 check (entries >= 0),
    created_at timestamptz not null default now(),
    check ((kind = 'wallet') = (username is not null)),
    check ((kind = 'wallet') = (balance_minor is not null))
  ) with (fillfactor = 50)`,
  `create unique index accounts_of_system on accounts (kind, currency)
    where kind in ('outside', 'revenue')`,
  // Zero-sum by construction: one row is both entries. No foreign keys: each would lock the system
  // account's row, shared, for every transfer, and the functions post only to rows they hold.
  `create table transfers (
    id uuid primary key,
    type text not null check (type in ('DEPOSIT', 'WITHDRAW', 'PAYMENT', 'REFUND')),
    from_account uuid not null,
    to_account uuid not null,
    amount_minor bigint not null check (amount_minor between 1 and 900000000000000),
    currency text not null,
    order_id text check (char_length(order_id) between 1 and 128),
    key text,
    created_at timestamptz not null default now(),
    check (from_account <> to_account)
  )`,
  // A payment's key is unique by the charge that it belongs to.
  `create unique index transfers_refunded_once on transfers (key) where type = 'REFUND'`,
  `create index transfers_from on transfers (from_account, id)`,
  `create index transfers_to on transfers (to_account, id)`,
  `create view entries as
    select from_account as account_id, id as transfer_id, type, amount_minor, order_id, created_at,
      currency, -amount_minor as change_minor
    from transfers
    union all
    select to_account, id, type, amount_minor, order_id, created_at, currency, amount_minor
    from transfers`,
  // A key's final answer. A voided key is a tombstone: it can no longer be charged.
  `create table charges (
    key text primary key check (char_length(key) <= 255),
    order_id text not null,
    username text not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null,
    state text not null check (state in ('captured', 'declined', 'voided')),
    decline_code text,
    transfer_id uuid,
    refunded_minor bigint not null default 0,
    created_at timestamptz not null default now(),
    check ((state = 'captured') = (transfer_id is not null)),
    check ((state = 'declined') = (decline_code is not null)),
    check (refunded_minor between 0 and case state when 'captured' then amount_minor else 0 end)
  ) with (fillfactor = 90)`,
  // No order is charged twice, under whatever keys.
  `create unique index charges_captured_once on charges (order_id) where state = 'captured'`,
];

const GUARDS = [
  `create function refuse_change() returns trigger language plpgsql as $$
  begin
    raise exception '% are never changed', tg_table_name using errcode = 'restrict_violation';
  end $$`,
  `create trigger transfers_stay before update or delete or truncate on transfers
    for each statement execute function refuse_change()`,
  `create trigger charges_stay before delete or truncate on charges
    for each statement execute function refuse_change()`,
  `create trigger charges_are_final before update on charges for each row
    when ((old.key, old.order_id, old.username, old.amount_minor, old.currency, old.state,
        old.decline_code, old.transfer_id, old.created_at)
      is distinct from (new.key, new.order_id, new.username, new.amount_minor, new.currency,
        new.state, new.decline_code, new.transfer_id, new.created_at)
      or new.refunded_minor < old.refunded_minor)
    execute function refuse_change()`,
];

const ACCOUNTS = [
  // Known without a look at the table.
  `create function system_account(kind text, currency text) returns uuid
    language sql immutable strict return md5(kind || ':' || currency)::uuid`,
  `create function open_account(new_id uuid, owner text, money text)
  returns table (id uuid, currency text, opened boolean)
  language plpgsql ${AS_OWNER} as $$
  #variable_conflict use_column
  begin
    insert into accounts (id, kind, currency)
      select system_account(kind, money), kind, money from unnest('{outside,revenue}'::text[]) kind
      on conflict do nothing;
    insert into accounts (id, kind, username, currency, balance_minor)
      values (new_id, 'wallet', owner, money, 0) on conflict (username) do nothing;
    return query select a.id, a.currency, a.id = new_id from accounts a where a.username = owner;
  end $$`,
  // The row lock decides: a later transfer finds no wallet, an earlier one keeps it open. The row
  // stays, without its owner, whose next wallet is another one.
  `create function close_account(owner text)
  returns table (outcome text, id uuid, currency text)
  language plpgsql ${AS_OWNER} as $$
  #variable_conflict use_column
  begin
    return query update accounts a set kind = 'closed', username = null, balance_minor = null
      where a.username = owner and a.entries = 0
      returning 'closed', a.id, a.currency;
    if not found then
      return query select 'account_in_use', a.id, a.currency from accounts a
        where a.username = owner;
    end if;
  end $$`,
];

const CHARGES = [
  // The checkout's hot path, in one statement: the wallet's row is held from the second step to the
  // commit, and no other row that anybody else needs.
  `create function charge(new_key text, for_order text, payer text, amount bigint, money text,
    transfer uuid)
  returns charges language plpgsql ${AS_OWNER} as $$
  declare
    wallet uuid;
    answer charges;
    code text := 'already_charged';
  begin
    select * into answer from charges where key = new_key;
    if found then
      return answer;
    end if;
    update accounts set balance_minor = balance_minor - amount, entries = entries + 1
      where username = payer and currency = money and balance_minor >= amount
      returning id into wallet;
    if found then
      insert into charges (key, order_id, username, amount_minor, currency, state, transfer_id)
        values (new_key, for_order, payer, amount, money, 'captured', transfer)
        on conflict do nothing returning * into answer;
      if found then
        insert into transfers
            (id, type, from_account, to_account, amount_minor, currency, order_id, key)
          values (transfer, 'PAYMENT', wallet, system_account('revenue', money), amount, money,
            for_order, new_key);
        return answer;
      end if;
      -- A twin or a void of the same key was faster, or another key of the same order.
      update accounts set balance_minor = balance_minor + amount, entries = entries - 1
        where id = wallet;
    elsif not exists (select from charges where order_id = for_order and state = 'captured') then
      code := why_not(payer, money);
    end if;
    insert into charges (key, order_id, username, amount_minor, currency, state, decline_code)
      values (new_key, for_order, payer, amount, money, 'declined', code)
      on conflict (key) do nothing;
    select * into answer from charges where key = new_key;
    return answer;
  end $$`,
  // Why a wallet could not be debited.
  `create function why_not(payer text, money text) returns text
    language sql stable ${AS_OWNER}
    return coalesce((select case when currency = money then 'insufficient_funds'
      else 'currency_mismatch' end from accounts where username = payer), 'account_not_found')`,
  `create function void_charge(new_key text, for_order text, payer text, amount bigint, money text)
  returns charges language plpgsql ${AS_OWNER} as $$
  declare
    answer charges;
  begin
    insert into charges (key, order_id, username, amount_minor, currency, state)
      values (new_key, for_order, payer, amount, money, 'voided')
      on conflict (key) do nothing;
    select * into answer from charges where key = new_key;
    return answer;
  end $$`,
  // The charge's row is held, so refunds of one charge follow each other and see the last sum.
  `create function refund_charge(new_key text, of_transfer uuid, amount bigint, money text,
    transfer uuid)
  returns table (outcome text, reference uuid)
  language plpgsql ${AS_OWNER} as $$
  declare
    charged charges;
    wallet uuid;
    earlier transfers;
  begin
    select t.from_account into wallet from transfers t
      where t.id = of_transfer and t.type = 'PAYMENT';
    select c.* into charged from transfers t join charges c on c.key = t.key
      where t.id = of_transfer and t.type = 'PAYMENT' for update of c;
    if not found then
      return query select 'charge_not_found', null::uuid;
      return;
    end if;
    select * into earlier from transfers t where t.key = new_key and t.type = 'REFUND';
    if found then
      return query select case when (earlier.order_id, earlier.amount_minor, earlier.currency)
          = (charged.order_id, amount, money)
        then 'refunded' else 'key_reused' end, earlier.id;
      return;
    end if;
    if charged.currency <> money then
      return query select 'currency_mismatch', null::uuid;
      return;
    end if;
    if charged.refunded_minor + amount > charged.amount_minor then
      return query select 'refund_exceeds_capture', null::uuid;
      return;
    end if;
    update accounts set balance_minor = balance_minor + amount, entries = entries + 1
      where id = wallet and balance_minor + amount <= 900000000000000;
    if not found then
      return query select 'balance_too_large', null::uuid;
      return;
    end if;
    update charges c set refunded_minor = c.refunded_minor + amount where c.key = charged.key;
    insert into transfers
        (id, type, from_account, to_account, amount_minor, currency, order_id, key)
      values (transfer, 'REFUND', system_account('revenue', money), wallet, amount, money,
        charged.order_id, new_key);
    return query select 'refunded', transfer;
  exception when unique_violation then
    return query select 'key_reused', null::uuid;
  end $$`,
];

// What people and programs ask a wallet for directly. Whatever it answers but "posted" is a
// refusal, and the caller rolls back.
const OPERATE = `create function operate(op text, payer text, amount bigint, money text,
    for_order text, transfer uuid)
  returns table (outcome text, account_id uuid, created_at timestamptz)
  language plpgsql ${AS_OWNER} as $$
  #variable_conflict use_column
  declare
    wallet uuid;
    code text;
    direction integer := case when op in ('DEPOSIT', 'REFUND') then 1 else -1 end;
    counter uuid := system_account(
      case when op in ('DEPOSIT', 'WITHDRAW') then 'outside' else 'revenue' end, money);
    -- What was paid without naming an order, and may so be refunded.
    loose bigint := case op when 'PAYMENT' then amount when 'REFUND' then -amount else 0 end;
  begin
    if for_order is not null and op in ('PAYMENT', 'REFUND') then
      if op = 'PAYMENT' then
        select coalesce(c.decline_code, 'posted') into code
          from charge('operation:' || transfer, for_order, payer, amount, money, transfer) c;
      else
        select r.outcome into code from charges c,
            refund_charge('operation:' || transfer, c.transfer_id, amount, money, transfer) r
          where c.order_id = for_order and c.state = 'captured' and c.username = payer;
        code := case coalesce(code, 'order_not_paid') when 'refunded' then 'posted'
          else coalesce(code, 'order_not_paid') end;
      end if;
      return query select code, a.id, now() from accounts a where a.username = payer;
      if not found then
        return query select 'account_not_found', null::uuid, now();
      end if;
      return;
    end if;
    update accounts a set balance_minor = balance_minor + direction * amount,
        refundable_minor = refundable_minor + loose, entries = entries + 1
      where a.username = payer and a.currency = money
        and balance_minor + direction * amount between 0 and 900000000000000
        and refundable_minor + loose >= 0
      returning a.id into wallet;
    if not found then
      code := why_not(payer, money);
      if code = 'insufficient_funds' and direction = 1 then
        code := case op when 'REFUND' then 'refund_exceeds_capture' else 'balance_too_large' end;
      end if;
      return query select code, null::uuid, now();
      return;
    end if;
    insert into transfers (id, type, from_account, to_account, amount_minor, currency, order_id)
      values (transfer, op, case direction when 1 then counter else wallet end,
        case direction when 1 then wallet else counter end, amount, money, for_order);
    return query select 'posted', wallet, now();
  end $$`;
