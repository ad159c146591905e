/** Answers of sources in Redis, shared by all processes. */
import { Redis } from 'ioredis';
import { isStorable, type CacheEntry } from '../source-settings.ts';

const PREFIX = 'waybill:source:';
/** A cache that takes longer than this is no help. */
const COMMAND_MS = 100;

/** Opens a connection that comes back by itself; while it is away there is nothing kept. */
export function openRedisCache(url: string, warn: (reason: string) => void) {
  const redis = new Redis(url, {
    commandTimeout: COMMAND_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: (times) => Math.min(2000, 50 * 2 ** Math.min(times, 6)),
  });
  let told = '';
  const note = (error: Error) => {
    if (error.message !== told) warn(error.message);
    told = error.message;
  };
  redis.on('error', note);
  redis.on('ready', () => (told = ''));
  return {
    async get(key: string): Promise<CacheEntry | undefined> {
      try {
        const text = await redis.get(PREFIX + key);
        return text === null ? undefined : entryOf(JSON.parse(text));
      } catch (error) {
        note(error as Error);
        return undefined;
      }
    },
    async set(key: string, entry: CacheEntry, lifetimeMs: number): Promise<void> {
      const text = JSON.stringify(entry);
      await redis.set(PREFIX + key, text, 'PX', Math.max(1, Math.ceil(lifetimeMs))).catch(note);
    },
    async drop(key: string): Promise<void> {
      await redis.del(PREFIX + key).catch(note);
    },
    async close(): Promise<void> {
      redis.disconnect();
    },
  };
}

/** Others may write here too; what is not of this shape is not there. */
function entryOf(value: unknown): CacheEntry | undefined {
  const entry = value as CacheEntry | null;
  return typeof entry?.at === 'number' && isStorable(entry.data) ? entry : undefined;
}
