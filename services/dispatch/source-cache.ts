/** Where answers of sources are kept: in this process, or in a Redis that several share. */
import { openMemoryCache } from './providers/memory.ts';
import { openRedisCache } from './providers/redis.ts';
import type { CacheEntry } from './source-settings.ts';

/** An engine that is away knows nothing and keeps nothing; it never fails a request. */
export interface SourceCache {
  get(key: string): Promise<CacheEntry | undefined>;
  set(key: string, entry: CacheEntry, lifetimeMs: number): Promise<void>;
  /** Forgets what has turned out not to exist. */
  drop(key: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens the engine that the URL names. */
export function openSourceCache(url: string, warn: (reason: string) => void): SourceCache {
  return url.startsWith('memory:') ? openMemoryCache() : openRedisCache(url, warn);
}
