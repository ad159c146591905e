/** Photos of pets: handed to the photo service, which keeps them. */
import { createHash } from 'node:crypto';
import type { Deadline } from '@waybill/kit/deadline.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { newId } from '@waybill/kit/ids.ts';
import type { TaskHandler } from '@waybill/kit/tasks.ts';
import type { PhotoReply, RegisterPhotos } from '@waybill/photos/contract.ts';
import { addPhotoUrl, REGISTER_PHOTOS } from './commands.ts';
import type { PetsContext } from './context.ts';
import { MAX_PHOTO_URLS, type UploadReply } from './contract.ts';
import { unknownPet } from './reservations.ts';
import { findPet, lockPet, readShownPhotos } from './store.ts';

export interface PhotoUpload {
  readonly bytes: Buffer;
  readonly metadata: string | undefined;
  /** Whose quota it uses. */
  readonly identity: Identity;
}

const STORE_MS = 20_000;

/**
 * Stores a photo and adds its address to the pet. The photo comes first: what no pet comes to show
 * is swept away by the photo service after a while.
 */
export async function uploadPhoto(
  context: PetsContext,
  id: number,
  { bytes, metadata, identity }: PhotoUpload,
  idempotency: IdempotencyKey | undefined,
  deadline: Deadline,
): Promise<{ answer: string; replayed: boolean }> {
  if (bytes.length === 0) throw new Refusal(400, 'no_file', 'No file was sent.');
  const { db, client } = context;
  if ((await findPet(db, id)) === undefined) throw unknownPet();
  const photo = await client.call<PhotoReply>(
    'photos',
    {
      method: 'POST',
      path: '/internal/photos/uploads',
      query: {
        owner: identity.subject,
        upload_key: uploadKey(idempotency),
        ...(metadata === undefined ? {} : { metadata }),
      },
      bytes,
      idempotent: true,
      timeoutMs: STORE_MS,
    },
    deadline,
  );
  return db.transaction(async (tx) => {
    const kept = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (kept !== undefined) return { answer: kept.response, replayed: true };
    const row = await lockPet(tx, id);
    if (row === undefined) throw unknownPet();
    if (row.photo_urls.length >= MAX_PHOTO_URLS)
      throw new Refusal(409, 'too_many_photos', `A pet has at most ${MAX_PHOTO_URLS} photos.`);
    await addPhotoUrl(tx, row, photo.url);
    const told: UploadReply = { code: 200, type: photo.media_type, message: photo.url };
    const answer = JSON.stringify(told);
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 200, response: answer });
    return { answer, replayed: false };
  });
}

/** The same for a repeated request, so that its photo is stored once. */
function uploadKey(idempotency: IdempotencyKey | undefined): string {
  if (idempotency === undefined) return newId();
  const { scope, key } = idempotency;
  return createHash('sha256').update(`${scope}\n${key}`).digest('hex');
}

/** Tells the photo service which photos a pet shows now; older news is ignored there. */
export const registerPhotosTask: TaskHandler<PetsContext> = {
  kind: REGISTER_PHOTOS,
  room: (running) => 8 - running,
  timeoutMs: 30_000,
  maxAttempts: 20,
  async run(task, { db, client }) {
    const { id } = task.payload as { id: number };
    const shown = await readShownPhotos(db, id);
    if (shown === undefined) return;
    const body: RegisterPhotos = {
      pet_id: id,
      pet_version: shown.version,
      urls: shown.photo_urls,
    };
    await client.call(
      'photos',
      { method: 'POST', path: '/internal/photos/register', body, idempotent: true },
      deadlineIn(10_000),
    );
  },
};
