/** Where the bytes of photos are. Keys are made here from generated ids, never from names. */

export interface PhotoStore {
  /** Durable and whole when it resolves; nothing is left of what fails. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Bytes from `start` to before `end`; undefined when there is no such photo. */
  read(key: string, start: number, end: number): Promise<Buffer | undefined>;
  /** Succeeds too when there is nothing. */
  remove(key: string): Promise<void>;
  /** Keys of one shard that are older than so many seconds. */
  list(shard: string, olderThanSeconds: number): Promise<string[]>;
  /** Removes what an interrupted `put` may have left, older than so many seconds. */
  clear(olderThanSeconds: number): Promise<void>;
}

/** The shards that keys are spread over: the last two digits of an id are random. */
export const SHARDS: readonly string[] = Array.from({ length: 256 }, (_, index) =>
  index.toString(16).padStart(2, '0'),
);

export type Size = 'photo' | 'thumbnail';

function shardOf(id: string): string {
  return id.slice(-2);
}

export function keyOf(id: string, size: Size): string {
  return `${shardOf(id)}/${id}${size === 'photo' ? '' : '.thumbnail'}.webp`;
}

/** The id of a key; undefined when no photo has such a key. */
export function idOf(key: string): string | undefined {
  return /^[\da-f]{2}\/([\da-f-]{36})(?:\.thumbnail)?\.webp$/.exec(key)?.[1];
}
