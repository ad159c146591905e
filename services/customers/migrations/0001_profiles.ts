/** Profiles, and the registrations that made them. */
import { sql, type Kysely } from 'kysely';

export const createProfiles = {
  async up(db: Kysely<never>): Promise<void> {
    // A row outlives its profile: the name of an erased one is taken for ever, and events of a name
    // that is free again go on from the version at which the last one ended.
    await sql`
      create table profiles (
        username text primary key,
        state text not null check (state in ('ACTIVE', 'WITHDRAWN', 'ERASED')),
        email text,
        phone text,
        first_name text,
        last_name text,
        addresses json not null default '[]',
        registration_id text,
        version integer not null check (version > 0),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        check (state = 'ACTIVE' or (email is null and phone is null and first_name is null
          and last_name is null and addresses::text = '[]'))
      )`.execute(db);
    // A registration that was undone stays undone, also when its own request comes in afterwards.
    await sql`
      create table registrations (
        registration_id text primary key,
        withdrawn boolean not null,
        created_at timestamptz not null default now()
      )`.execute(db);
    await sql`
      create index registrations_created_at on registrations using brin (created_at)
    `.execute(db);
  },
};
