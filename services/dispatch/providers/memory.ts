/** Answers of sources in this process's memory. */
import { epochMs } from '@waybill/kit/clock.ts';

interface Kept {
  readonly data: Readonly<Record<string, unknown>>;
  readonly at: number;
}

const MAX_ENTRIES = 10_000;

/** Keeps at most so many answers; the longest kept go first. */
export function openMemoryCache(maxEntries = MAX_ENTRIES) {
  const entries = new Map<string, Kept & { until: number }>();
  return {
    async get(key: string): Promise<Kept | undefined> {
      const entry = entries.get(key);
      if (entry !== undefined && entry.until > epochMs()) return { data: entry.data, at: entry.at };
      entries.delete(key);
      return undefined;
    },
    async set(key: string, { data, at }: Kept, lifetimeMs: number): Promise<void> {
      entries.delete(key);
      const [oldest] = entries.keys();
      if (entries.size >= maxEntries && oldest !== undefined) entries.delete(oldest);
      entries.set(key, { data, at, until: at + lifetimeMs });
    },
    async close(): Promise<void> {
      entries.clear();
    },
  };
}
