/** Answers of sources in this process's memory. */
import { epochMs } from '@waybill/kit/clock.ts';
import type { CacheEntry } from '../source-settings.ts';

const MAX_ENTRIES = 10_000;

/** Keeps at most so many answers; the longest kept go first. */
export function openMemoryCache(maxEntries = MAX_ENTRIES) {
  const entries = new Map<string, CacheEntry & { until: number }>();
  return {
    async get(key: string): Promise<CacheEntry | undefined> {
      const entry = entries.get(key);
      if (entry !== undefined && entry.until > epochMs()) return { data: entry.data, at: entry.at };
      entries.delete(key);
      return undefined;
    },
    async set(key: string, { data, at }: CacheEntry, lifetimeMs: number): Promise<void> {
      entries.delete(key);
      const [oldest] = entries.keys();
      if (entries.size >= maxEntries && oldest !== undefined) entries.delete(oldest);
      entries.set(key, { data, at, until: at + lifetimeMs });
    },
    async drop(key: string): Promise<void> {
      entries.delete(key);
    },
    async close(): Promise<void> {
      entries.clear();
    },
  };
}
