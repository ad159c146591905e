/** Every statement on photos, their owners and the albums of pets. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import { isUuid } from '@waybill/kit/ids.ts';
import { MEDIA_TYPE, type PhotoReply, type RegisterPhotos } from './contract.ts';

export interface PhotoRow {
  id: string;
  width: number;
  height: number;
  bytes: number;
  tag: string;
  thumbnail_bytes: number;
  thumbnail_tag: string;
}

const COLUMNS = 'id, width, height, bytes, tag, thumbnail_bytes, thumbnail_tag';

export async function findPhoto(db: Queryable, id: string): Promise<PhotoRow | undefined> {
  const rows = await db.query<PhotoRow>(
    `select ${COLUMNS} from photos where id = $1 and lost_at is null`,
    [id],
  );
  return rows[0];
}

export async function findUpload(db: Queryable, uploadKey: string): Promise<PhotoRow | undefined> {
  const rows = await db.query<PhotoRow>(`select ${COLUMNS} from photos where upload_key = $1`, [
    uploadKey,
  ]);
  return rows[0];
}

export interface NewPhoto {
  readonly id: string;
  readonly uploadKey: string;
  readonly owner: string;
  readonly metadata: string | undefined;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly tag: string;
  readonly thumbnailBytes: number;
  readonly thumbnailTag: string;
}

/** Inserts a photo that no pet shows yet; undefined when its upload was stored before. */
export async function insertPhoto(tx: Tx, photo: NewPhoto): Promise<PhotoRow | undefined> {
  const rows = await tx.query<PhotoRow>(
    `insert into photos (id, upload_key, owner, metadata, width, height, bytes, tag,
       thumbnail_bytes, thumbnail_tag)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     on conflict (upload_key) do nothing returning ${COLUMNS}`,
    [
      photo.id,
      photo.uploadKey,
      photo.owner,
      photo.metadata ?? null,
      photo.width,
      photo.height,
      photo.bytes,
      photo.tag,
      photo.thumbnailBytes,
      photo.thumbnailTag,
    ],
  );
  return rows[0];
}

export interface Quota {
  readonly photos: number;
  readonly bytes: number;
}

/** Counts a photo to its owner; false when that would be more than the quota. */
export async function chargeOwner(
  tx: Tx,
  owner: string,
  bytes: number,
  quota: Quota,
): Promise<boolean> {
  const rows = await tx.query(
    `insert into owners as old (owner, photos, bytes)
     select $1, 1, $2 where $3::integer >= 1 and $4::bigint >= $2
     on conflict (owner) do update set photos = old.photos + 1, bytes = old.bytes + excluded.bytes
     where old.photos + 1 <= $3 and old.bytes + excluded.bytes <= $4
     returning owner`,
    [owner, bytes, quota.photos, quota.bytes],
  );
  return rows.length === 1;
}

/** Whether an owner has no room for even one photo more. */
export async function isFull(db: Queryable, owner: string, quota: Quota): Promise<boolean> {
  const rows = await db.query(
    'select from owners where owner = $1 and (photos >= $2 or bytes >= $3)',
    [owner, quota.photos, quota.bytes],
  );
  return rows.length > 0 || quota.photos === 0;
}

/** Replaces what a pet shows, unless newer news came before; returns the addresses of before. */
export async function replaceAlbum(
  tx: Tx,
  { pet_id, pet_version, urls }: RegisterPhotos,
): Promise<string[] | undefined> {
  const newer = await tx.query(
    `insert into albums as old (pet_id, pet_version) values ($1, $2)
     on conflict (pet_id) do update set pet_version = excluded.pet_version
     where old.pet_version < excluded.pet_version returning pet_id`,
    [pet_id, pet_version],
  );
  if (newer.length === 0) return undefined;
  const before = await tx.query<{ url: string }>(
    'delete from photo_urls where pet_id = $1 returning url',
    [pet_id],
  );
  await tx.query(
    `insert into photo_urls (pet_id, place, url)
     select $1, place, url from unnest($2::text[]) with ordinality as shown(url, place)`,
    [pet_id, urls],
  );
  return before.map(({ url }) => url);
}

/** What a pet shows, in its order. */
export async function readAlbum(db: Queryable, petId: number) {
  const [album] = await db.query<{ pet_version: number; urls: string[] }>(
    `select pet_version, array(
       select url from photo_urls where photo_urls.pet_id = albums.pet_id order by place) as urls
     from albums where pet_id = $1`,
    [petId],
  );
  return album;
}

/** Where a photo is served: the address by which pets show it. */
const PREFIX = '/api/v1/photos/';
const SHOWN = `exists (
  select from photo_urls where photo_urls.url = '${PREFIX}' || photos.id::text)`;

/** Notes of these photos whether any pet shows them, and since when none does. */
export async function noteShown(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.query(
    `update photos set
       unshown_since = case when ${SHOWN} then null else coalesce(unshown_since, now()) end
     where id = any($1::uuid[])`,
    [ids],
  );
}

/** Deletes photos that no pet has shown for so many seconds; returns their ids. */
export async function deleteUnshown(tx: Tx, seconds: number, limit: number): Promise<string[]> {
  const rows = await tx.query<{ id: string; owner: string; bytes: number; shown: boolean }>(
    `select id, owner, bytes, ${SHOWN} as shown from photos
     where unshown_since <= now() - make_interval(secs => $1)
     order by unshown_since limit $2 for update skip locked`,
    [seconds, limit],
  );
  // Two pets that changed at the same time may have noted of a photo what the first one saw.
  const wrong = rows.filter((row) => row.shown).map((row) => row.id);
  if (wrong.length > 0) await noteShown(tx, wrong);
  const gone = rows.filter((row) => !row.shown);
  const ids = gone.map((row) => row.id);
  if (ids.length === 0) return [];
  await tx.query(
    `update owners set photos = owners.photos - gone.photos, bytes = owners.bytes - gone.bytes
     from (select owner, count(*)::integer as photos, sum(bytes) as bytes
           from photos where id = any($1::uuid[]) group by owner) gone
     where owners.owner = gone.owner`,
    [ids],
  );
  await tx.query('delete from photos where id = any($1::uuid[])', [ids]);
  return ids;
}

/** Of these ids, those that have a row. */
export async function existing(db: Queryable, ids: readonly string[]): Promise<Set<string>> {
  const rows = await db.query<{ id: string }>('select id from photos where id = any($1::uuid[])', [
    ids,
  ]);
  return new Set(rows.map(({ id }) => id));
}

/** Ids of one shard after another one, in order; those alone that are older than so much. */
export async function idsOfShard(
  db: Queryable,
  shard: string,
  after: string,
  seconds: number,
  limit: number,
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `select id from photos
     where right(id::text, 2) = $1 and id > $2 and lost_at is null
       and created_at <= now() - make_interval(secs => $3)
     order by id limit $4`,
    [shard, after, seconds, limit],
  );
  return rows.map(({ id }) => id);
}

/** Notes that the bytes of these photos are gone. */
export async function noteLost(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.query('update photos set lost_at = now() where id = any($1::uuid[])', [ids]);
}

/** The ids of photos among addresses. */
export function photosAmong(urls: readonly string[]): string[] {
  const ids = urls
    .filter((url) => url.startsWith(PREFIX))
    .map((url) => url.slice(PREFIX.length))
    .filter(isUuid);
  return [...new Set(ids)];
}

export function renderPhoto(row: PhotoRow): PhotoReply {
  const url = PREFIX + row.id;
  return {
    id: row.id,
    url,
    thumbnail_url: `${url}/thumbnail`,
    media_type: MEDIA_TYPE,
    width: row.width,
    height: row.height,
    bytes: row.bytes,
  };
}
