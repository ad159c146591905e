/** Upkeep: photos that nobody shows, files without a row, rows without a file. */
import type { Sweep } from '@waybill/kit/service.ts';
import type { PhotosContext } from './context.ts';
import { idOf, keyOf, SHARDS } from './photo-store.ts';
import { deleteUnshown, existing, idsOfShard, noteLost } from './store.ts';

const BITE = 100;
const PAGE = 1000;
const FIRST = '00000000-0000-0000-0000-000000000000';

/** Deletes what no pet shows any more, or never came to show. */
export const unshownSweep: Sweep<PhotosContext> = {
  name: 'unshown photos',
  everyMs: 60_000,
  async run({ db, photoStore, settings, log }) {
    const ids = await db.transaction((tx) => deleteUnshown(tx, settings.orphanSeconds, BITE));
    for (const id of ids) {
      await photoStore.remove(keyOf(id, 'photo'));
      await photoStore.remove(keyOf(id, 'thumbnail'));
    }
    if (ids.length > 0) log.info({ photos: ids.length }, 'photos that no pet shows are deleted');
    return ids.length === BITE;
  },
};

/** Compares files and rows, a shard at a time. What is young may be on its way. */
export const filesSweep: Sweep<PhotosContext> = {
  name: 'photo files',
  everyMs: 3_600_000,
  async run(context) {
    const { photoStore, settings } = context;
    await photoStore.clear(settings.orphanSeconds);
    for (const shard of SHARDS) {
      const keys = await photoStore.list(shard, 0);
      await removeStrays(context, await photoStore.list(shard, settings.orphanSeconds));
      await noteMissing(context, shard, new Set(keys));
    }
  },
};

async function removeStrays({ db, photoStore, log }: PhotosContext, keys: readonly string[]) {
  for (let start = 0; start < keys.length; start += PAGE) {
    const some = keys.slice(start, start + PAGE);
    const known = await existing(
      db,
      some.flatMap((key) => idOf(key) ?? []),
    );
    const strays = some.filter((key) => !known.has(idOf(key) ?? ''));
    for (const key of strays) await photoStore.remove(key);
    if (strays.length > 0) log.info({ files: strays.length }, 'files without a photo are deleted');
  }
}

async function noteMissing(
  { db, settings, log }: PhotosContext,
  shard: string,
  keys: ReadonlySet<string>,
): Promise<void> {
  for (let after = FIRST; ;) {
    const ids = await idsOfShard(db, shard, after, settings.orphanSeconds, PAGE);
    const missing = ids.filter((id) => !keys.has(keyOf(id, 'photo')));
    if (missing.length > 0) {
      await noteLost(db, missing);
      log.warn({ photos: missing }, 'the files of photos are gone');
    }
    const last = ids.at(-1);
    if (last === undefined || ids.length < PAGE) return;
    after = last;
  }
}
