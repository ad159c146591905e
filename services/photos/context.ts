/** What the photos service works with. */
import { integer, type Values } from '@waybill/kit/config.ts';
import { MAX_UPLOAD_BYTES } from '@waybill/kit/route.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import { createEncoder, type Encoder } from './encoder.ts';
import type { PhotoStore } from './photo-store.ts';
import { openDiskStore } from './providers/disk.ts';

export const settings = {
  maxBytes: integer(
    { env: 'PHOTO_MAX_BYTES', help: 'Bytes of an uploaded photo.', fallback: '8388608' },
    { min: 1, max: MAX_UPLOAD_BYTES },
  ),
  maxPixels: integer(
    {
      env: 'PHOTO_MAX_PIXELS',
      help: 'Pixels of an uploaded photo; decoding takes 4 to 8 bytes of memory for each.',
      fallback: '25000000',
    },
    { min: 1, max: 200_000_000 },
  ),
  quotaPhotos: integer(
    { env: 'PHOTO_QUOTA_COUNT', help: 'Photos that one caller may store.', fallback: '1000' },
    { min: 0, max: 1_000_000_000 },
  ),
  quotaBytes: integer(
    { env: 'PHOTO_QUOTA_BYTES', help: 'Bytes that one caller may store.', fallback: '268435456' },
    { min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  orphanSeconds: integer(
    {
      env: 'PHOTO_ORPHAN_SECONDS',
      help: 'How long a photo that no pet shows is kept.',
      fallback: '3600',
    },
    // An upload under way is no orphan: its files come before its row, its row before its pet.
    { min: 60, max: 31_536_000 },
  ),
} as const;

export type PhotosSettings = Values<typeof settings>;

export interface PhotosContext extends ServiceContext<PhotosSettings> {
  readonly photoStore: PhotoStore;
  readonly encode: Encoder;
}

export async function createContext(base: ServiceContext<PhotosSettings>): Promise<PhotosContext> {
  const photoStore = await openDiskStore(`${base.platform.dataDir}/photos`);
  return { ...base, photoStore, encode: createEncoder() };
}
