/** Users, their sessions, the keys that tokens are signed with, and what was taken back. */
import { sql, type Kysely } from 'kysely';

export const createUsers = {
  async up(db: Kysely<never>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  // Above what the petstore's clients usually give by themselves; nobody is looked up by it.
  `create sequence user_numbers start 1000000000`,
  // name_key and email_key are what is compared: two names that differ in case would be two people
  // who look like one. An erased user keeps the name, as the pseudonym that the books know.
  `create table users (
    id uuid primary key,
    number bigint not null,
    username text not null,
    name_key text not null constraint users_name unique,
    email text,
    email_key text constraint users_email unique,
    email_verified_at timestamptz,
    password_hash text,
    roles text[] not null check (roles <@ array['customer', 'executor', 'operator', 'admin',
      'service']),
    executor_id text,
    user_status integer not null default 0,
    state text not null check (state in ('registering', 'undoing', 'active', 'disabled',
      'erased')),
    tokens_from bigint not null default 0,
    version integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check ((email is null) = (email_key is null)),
    check ('executor' = any(roles) or executor_id is null)
  ) with (fillfactor = 80)`,
  // A session's refresh tokens are its family; only their hashes are kept.
  `create table sessions (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
  ) with (fillfactor = 80)`,
  `create index sessions_alive on sessions (user_id, created_at desc) where revoked_at is null`,
  `create index sessions_expiry on sessions (expires_at)`,
  `create table refresh_tokens (
    hash bytea primary key,
    session_id uuid not null references sessions on delete cascade,
    expires_at timestamptz not null,
    used_at timestamptz
  ) with (fillfactor = 80)`,
  `create index refresh_tokens_session on refresh_tokens (session_id)`,
  `create index refresh_tokens_expiry on refresh_tokens (expires_at)`,
  `create table mailed_links (
    hash bytea primary key,
    user_id uuid not null references users on delete cascade,
    purpose text not null check (purpose in ('verify', 'reset')),
    email_key text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
  )`,
  `create index mailed_links_user on mailed_links (user_id, purpose, created_at)`,
  `create index mailed_links_expiry on mailed_links (expires_at)`,
  // Positions are given under the head's row lock, which is held until the commit: whoever reads
  // after a position misses nothing.
  `create table revocations (
    position bigint primary key,
    kind text not null check (kind in ('session', 'user')),
    session_id uuid,
    username text,
    issued_before timestamptz not null,
    created_at timestamptz not null default now()
  )`,
  `create index revocations_created_at on revocations (created_at)`,
  `create table revocation_head (
    only_row boolean primary key default true check (only_row),
    position bigint not null default 0
  )`,
  `insert into revocation_head default values`,
  // The private half is encrypted under a key derived from the installation's secret.
  `create table signing_keys (
    generation integer primary key,
    kid text not null unique,
    public_key json not null,
    private_key bytea not null,
    signs_from timestamptz not null,
    created_at timestamptz not null default now()
  )`,
  // One moment per address or name that guesses come from or are made about (GCRA).
  `create table guesses (
    bucket bytea primary key,
    arrival timestamptz not null
  ) with (fillfactor = 70)`,
  `create index guesses_arrival on guesses (arrival)`,
  `create table known_origins (
    user_id uuid not null references users on delete cascade,
    origin bytea not null,
    seen_at timestamptz not null default now(),
    primary key (user_id, origin)
  )`,
];
