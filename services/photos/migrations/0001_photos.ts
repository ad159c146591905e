/** Uploads, who sent how much, and what every pet shows. */
import { sql, type Kysely } from 'kysely';

export const createPhotos = {
  async up(db: Kysely<never>): Promise<void> {
    await sql`
      create table photos (
        id uuid primary key,
        upload_key text not null unique,
        owner text not null,
        metadata text,
        width integer not null check (width > 0),
        height integer not null check (height > 0),
        bytes integer not null check (bytes > 0),
        tag text not null,
        thumbnail_bytes integer not null check (thumbnail_bytes > 0),
        thumbnail_tag text not null,
        unshown_since timestamptz default now(),
        lost_at timestamptz,
        created_at timestamptz not null default now()
      )`.execute(db);
    await sql`
      create index photos_unshown on photos (unshown_since)
      where unshown_since is not null`.execute(db);
    await sql`create index photos_shard on photos (right(id::text, 2), id)`.execute(db);
    await sql`
      create table owners (
        owner text primary key,
        photos integer not null check (photos >= 0),
        bytes bigint not null check (bytes >= 0)
      ) with (fillfactor = 70)`.execute(db);
    // The version of the pet that its rows in photo_urls are of: older news comes to nothing.
    await sql`
      create table albums (
        pet_id bigint primary key,
        pet_version integer not null
      )`.execute(db);
    await sql`
      create table photo_urls (
        pet_id bigint not null references albums on delete cascade,
        place integer not null,
        url text not null,
        primary key (pet_id, place)
      )`.execute(db);
    await sql`create index photo_urls_url on photo_urls using hash (url)`.execute(db);
  },
};
