/** Storing uploads, and writing down what pets show. */
import { createHash } from 'node:crypto';
import { Refusal } from '@waybill/kit/errors.ts';
import { newId } from '@waybill/kit/ids.ts';
import type { PhotosContext } from './context.ts';
import type { PhotoReply, RegisterPhotos } from './contract.ts';
import { keyOf } from './photo-store.ts';
import { judgePicture } from './rules.ts';
import {
  chargeOwner,
  findUpload,
  insertPhoto,
  isFull,
  noteShown,
  photosAmong,
  renderPhoto,
  replaceAlbum,
  type NewPhoto,
  type PhotoRow,
} from './store.ts';

export interface NewUpload {
  readonly owner: string;
  readonly uploadKey: string;
  readonly metadata: string | undefined;
  readonly bytes: Buffer;
}

/** Stores an upload; the same one again is stored once. */
export async function storePhoto(context: PhotosContext, upload: NewUpload): Promise<PhotoReply> {
  const { db, settings, photoStore } = context;
  const known = await findUpload(db, upload.uploadKey);
  if (known !== undefined) return renderPhoto(known);
  const picture = judgePicture(upload.bytes, settings);
  if (await isFull(db, upload.owner, quotaOf(context))) throw overQuota();
  const encoded = await context.encode(upload.bytes, picture);
  const id = newId();
  const forget = async () => {
    await photoStore.remove(keyOf(id, 'photo'));
    await photoStore.remove(keyOf(id, 'thumbnail'));
  };
  try {
    // The files first: a row without them would be a photo that nobody can see. Files without a
    // row, which a death in between leaves, are swept away.
    await photoStore.put(keyOf(id, 'photo'), encoded.photo);
    await photoStore.put(keyOf(id, 'thumbnail'), encoded.thumbnail);
    const row = await record(context, {
      id,
      owner: upload.owner,
      uploadKey: upload.uploadKey,
      metadata: upload.metadata,
      width: encoded.width,
      height: encoded.height,
      bytes: encoded.photo.length,
      tag: tagOf(encoded.photo),
      thumbnailBytes: encoded.thumbnail.length,
      thumbnailTag: tagOf(encoded.thumbnail),
    });
    if (row.id !== id) await forget();
    return renderPhoto(row);
  } catch (error) {
    await forget();
    throw error;
  }
}

/** The photo's row; that of its twin when the same upload came twice at once. */
function record(context: PhotosContext, photo: NewPhoto): Promise<PhotoRow> {
  return context.db.transaction(async (tx) => {
    const row = await insertPhoto(tx, photo);
    if (row === undefined) {
      const twin = await findUpload(tx, photo.uploadKey);
      if (twin === undefined) throw new Error('the row of an upload is gone');
      return twin;
    }
    if (!(await chargeOwner(tx, photo.owner, row.bytes, quotaOf(context)))) throw overQuota();
    return row;
  });
}

function quotaOf({ settings }: PhotosContext) {
  return { photos: settings.quotaPhotos, bytes: settings.quotaBytes };
}

function overQuota(): Refusal {
  return new Refusal(413, 'photo_quota_exceeded', 'You have stored as many photos as you may.');
}

/** A strong entity tag: equal bytes have equal tags. */
function tagOf(bytes: Buffer): string {
  return `"${createHash('sha256').update(bytes).digest('base64url')}"`;
}

/** Writes down what a pet shows; false when newer news of it came before. */
export function registerPhotos(context: PhotosContext, news: RegisterPhotos): Promise<boolean> {
  return context.db.transaction(async (tx) => {
    const before = await replaceAlbum(tx, news);
    if (before === undefined) return false;
    await noteShown(tx, photosAmong([...before, ...news.urls]));
    return true;
  });
}
