/** Photos in a folder: written beside, synced, then moved into place. */
import { mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { epochMs } from '@waybill/kit/clock.ts';
import { newToken } from '@waybill/kit/ids.ts';
import type { PhotoStore } from '../photo-store.ts';

const BEGUN = 'begun';

/** Opens the folder, which is made if need be. */
export async function openDiskStore(folder: string): Promise<PhotoStore> {
  const begun = path.join(folder, BEGUN);
  await mkdir(begun, { recursive: true, mode: 0o700 });
  const fileOf = (key: string) => path.join(folder, key);
  return {
    async put(key, bytes) {
      const part = path.join(begun, newToken());
      const file = fileOf(key);
      try {
        await writeDurably(part, bytes);
        if ((await mkdir(path.dirname(file), { recursive: true })) !== undefined)
          await syncFolder(folder);
        await rename(part, file);
        await syncFolder(path.dirname(file));
      } catch (error) {
        await rm(part, { force: true });
        throw error;
      }
    },
    async read(key, start, end) {
      const handle = await absent(open(fileOf(key), 'r'));
      if (handle === undefined) return undefined;
      try {
        const bytes = Buffer.alloc(end - start);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
        return bytesRead === bytes.length ? bytes : undefined;
      } finally {
        await handle.close();
      }
    },
    async remove(key) {
      await absent(unlink(fileOf(key)));
    },
    async list(shard, olderThanSeconds) {
      const names = await olderThan(path.join(folder, shard), olderThanSeconds);
      return names.map((name) => `${shard}/${name}`);
    },
    async clear(olderThanSeconds) {
      for (const name of await olderThan(begun, olderThanSeconds))
        await absent(unlink(path.join(begun, name)));
    },
  };
}

async function writeDurably(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A name is durable when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function olderThan(folder: string, seconds: number): Promise<string[]> {
  const names = (await absent(readdir(folder))) ?? [];
  const before = epochMs() - seconds * 1000;
  const old: string[] = [];
  for (const name of names) {
    const about = await absent(stat(path.join(folder, name)));
    if (about !== undefined && about.mtimeMs <= before) old.push(name);
  }
  return old;
}

/** What is not there is no failure. */
async function absent<Result>(work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
