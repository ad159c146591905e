/** Where answers of sources are kept: in this process, or in a Redis that several share. */
import { openMemoryCache } from './providers/memory.ts';
import { openRedisCache } from './providers/redis.ts';
import type { SourceData } from './source-settings.ts';

export interface CacheEntry {
  readonly data: SourceData;
  /** When it was answered, in epoch milliseconds. */
  readonly at: number;
}

/** An engine that is away knows nothing and keeps nothing; it never fails a request. */
export interface SourceCache {
  get(key: string): Promise<CacheEntry | undefined>;
  set(key: string, entry: CacheEntry, lifetimeMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens the engine that the URL names. */
export function openSourceCache(url: string, warn: (reason: string) => void): SourceCache {
  return url.startsWith('memory:') ? openMemoryCache() : openRedisCache(url, warn);
}
