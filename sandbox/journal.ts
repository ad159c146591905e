import { createReadStream } from 'node:fs';
import { mkdir, open, realpath } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { nowMs, toTimestamp } from './clock.ts';
import { lockFolder } from './folder-lock.ts';

export type JournalKind = 'charge' | 'decline' | 'void' | 'refund';

/** One line of the journal: something that took effect. A void has no charge and amount 0. */
export interface JournalEntry {
  /** Dense, from 1. */
  readonly seq: number;
  readonly at: string;
  readonly kind: JournalKind;
  readonly key: string;
  readonly order_id: string;
  readonly charge_id: string | null;
  readonly amount_minor: number;
  readonly currency: string | null;
  readonly refund_id?: string;
  readonly decline_code?: string;
  readonly callback_url?: string;
}

export type NewEntry = Omit<JournalEntry, 'seq' | 'at'>;

export interface Journal {
  /** Every entry that is on the disk, by seq - 1. */
  readonly entries: readonly JournalEntry[];
  /** Set for good once a write failed: what lies on the disk is then no longer known. */
  readonly brokenBy: Error | undefined;
  /** Resolves when the entry is on the disk. */
  append(entry: NewEntry): Promise<JournalEntry>;
  close(): Promise<void>;
}

/** The outcome is not known: the entry may or may not be on the disk. */
class JournalUnavailable extends Error {
  override readonly name = 'JournalUnavailable';
  readonly statusCode = 503;
}

export const JOURNAL_FILE = 'journal.jsonl';

const LINE_END = 10;
const LOCK_PATIENCE_MS = 10_000;

/**
 * Reads a journal from the first entry to the last, holding one line at a time. It may be read
 * while it is written: an unfinished last line was never answered for, and is left out.
 */
export async function* readJournal(path: string): AsyncGenerator<JournalEntry, void, void> {
  for await (const line of readLines(path)) yield line.entry;
}

/** Opens `<folder>/journal.jsonl` for this process alone and loads what it holds. */
export async function openJournal(
  folder: string,
  onBroken: (error: Error) => void,
): Promise<Journal> {
  await mkdir(folder, { recursive: true });
  const lock = await lockFolder(await realpath(folder), LOCK_PATIENCE_MS);
  try {
    const path = join(folder, JOURNAL_FILE);
    const file = await open(path, 'a');
    const entries: JournalEntry[] = [];
    let size = 0;
    for await (const { entry, end } of readLines(path)) {
      entries.push(entry);
      size = end;
    }
    await file.truncate(size);
    await file.sync();
    await syncFolder(folder);
    const writer = createWriter(file, entries, onBroken);
    return {
      entries,
      get brokenBy() {
        return writer.brokenBy();
      },
      append: (entry) => writer.append(entry),
      async close() {
        await writer.end();
        await file.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Waiting {
  readonly entry: JournalEntry;
  readonly resolve: (entry: JournalEntry) => void;
  readonly reject: (error: Error) => void;
}

/** Entries that arrive while the disk is busy share its next write. */
function createWriter(file: FileHandle, entries: JournalEntry[], onBroken: (error: Error) => void) {
  let waiting: Waiting[] = [];
  let running: Promise<void> | undefined;
  let broken: Error | undefined;
  let ended = false;
  let nextSeq = entries.length + 1;

  async function run(): Promise<void> {
    // One turn of the microtask queue, so that `running` is set before this can end.
    await Promise.resolve();
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        if (broken !== undefined) throw broken;
        await writeBatch(file, batch);
      } catch (cause) {
        // After a failed fsync the kernel may have dropped the pages, so trying again proves
        // nothing; only a restart, which reads the file, knows what was kept.
        if (broken === undefined) {
          broken = new JournalUnavailable('The journal cannot be written', { cause });
          onBroken(broken);
        }
        for (const item of batch) item.reject(broken);
        continue;
      }
      for (const item of batch) entries.push(item.entry);
      for (const item of batch) item.resolve(item.entry);
    }
    running = undefined;
  }

  return {
    brokenBy: () => broken,
    /** Waits for what is under way; later entries are refused, and so are never answered for. */
    async end(): Promise<void> {
      ended = true;
      await running;
    },
    append(entry: NewEntry): Promise<JournalEntry> {
      if (ended) return Promise.reject(new JournalUnavailable('The journal is closed'));
      return new Promise((resolve, reject) => {
        const stamped = { seq: nextSeq, at: toTimestamp(nowMs()), ...entry };
        nextSeq += 1;
        waiting.push({ entry: stamped, resolve, reject });
        running ??= run();
      });
    },
  };
}

async function writeBatch(file: FileHandle, batch: readonly Waiting[]): Promise<void> {
  let text = '';
  for (const item of batch) text += `${JSON.stringify(item.entry)}\n`;
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten;
  }
  await file.datasync();
}

/** A new file is durable only when the folder that names it is. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function* readLines(path: string): AsyncGenerator<{ entry: JournalEntry; end: number }> {
  let rest: Buffer = Buffer.alloc(0);
  let end = 0;
  let seq = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
    const bytes: Buffer = Buffer.concat([rest, chunk as Buffer]);
    let start = 0;
    for (
      let stop = bytes.indexOf(LINE_END, start);
      stop >= 0;
      stop = bytes.indexOf(LINE_END, start)
    ) {
      seq += 1;
      end += stop + 1 - start;
      yield { entry: parseLine(bytes.toString('utf8', start, stop), seq, path), end };
      start = stop + 1;
    }
    rest = bytes.subarray(start);
  }
}

/** Only an unfinished last line is forgiven: a hole before it means that a witness is missing. */
function parseLine(line: string, seq: number, path: string): JournalEntry {
  let entry: JournalEntry;
  try {
    entry = JSON.parse(line) as JournalEntry;
  } catch (cause) {
    throw new Error(`${path}: line ${seq} is damaged`, { cause });
  }
  if (entry.seq !== seq) throw new Error(`${path}: line ${seq} holds entry ${entry.seq}`);
  return entry;
}
