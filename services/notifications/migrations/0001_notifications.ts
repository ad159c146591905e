/** Notifications, their sendings, and what the channels answered. */
import { sql, type Kysely } from 'kysely';

export const createNotifications = {
  async up(db: Kysely<never>): Promise<void> {
    // Waiting counts the sendings that are not over: of two that end at the same time, the later
    // one is the last.
    await sql`
      create table notifications (
        id uuid primary key,
        dedupe_key text unique,
        type text not null
          check (type in ('INFO', 'WARNING', 'ERROR', 'SUCCESS', 'FAIL', 'DEFAULT')),
        parent_type text not null check (parent_type in ('ORDER', 'PAYMENT', 'USER')),
        parent_id text,
        username text not null,
        text text not null,
        template text not null,
        data json,
        waiting smallint not null default 0 check (waiting >= 0),
        created_at timestamptz not null
      )`.execute(db);
    // The id is a UUIDv7 made when it was stored and created_at is its time, so the id orders by
    // creation, and a range of times is a range of ids: no index on created_at.
    await sql`create index notifications_username on notifications (username, id)`.execute(db);
    await sql`
      create index notifications_parent on notifications (parent_id, id)
      where parent_id is not null`.execute(db);
    await sql`create index notifications_parent_type on notifications (parent_type, id)`.execute(
      db,
    );
    await sql`create index notifications_type on notifications (type, id)`.execute(db);
    // The address is kept for as long as it is needed, and no longer.
    await sql`
      create table sendings (
        notification_id uuid not null references notifications on delete cascade,
        channel text not null check (channel in ('email', 'phone')),
        address text,
        state text not null default 'WAITING' check (state in ('WAITING', 'SENT', 'FAILED')),
        attempts integer not null default 0,
        outages integer not null default 0,
        waiting_for text,
        deadline_at timestamptz not null,
        updated_at timestamptz not null default now(),
        primary key (notification_id, channel),
        check ((state = 'WAITING') = (address is not null))
      ) with (fillfactor = 80)`.execute(db);
    await sql`
      create table sending_log (
        notification_id uuid not null,
        channel text not null,
        attempt integer not null,
        outcome text not null,
        detail text not null,
        at timestamptz not null default now(),
        primary key (notification_id, channel, attempt),
        foreign key (notification_id, channel) references sendings on delete cascade
      )`.execute(db);
  },
};
