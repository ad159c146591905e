import { appendFile, open, readFile, truncate, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, describe, expect, test, vi } from 'vitest';

import { JOURNAL_FILE, openJournal, readJournal } from './journal.ts';
import type { Journal, JournalEntry, NewEntry } from './journal.ts';
import { createFolder } from './testing.ts';

const entry = (key: string): NewEntry => ({
  kind: 'charge',
  key,
  order_id: 'an order with\na line end and ünïcödé',
  charge_id: `ch_${key}`,
  amount_minor: 1,
  currency: 'USD',
});

let journal: Journal | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  await journal?.close();
  journal = undefined;
});

async function reopen(folder: string): Promise<Journal> {
  await journal?.close();
  journal = undefined;
  journal = await openJournal(folder, () => {});
  return journal;
}

async function readAll(folder: string): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for await (const each of readJournal(join(folder, JOURNAL_FILE))) entries.push(each);
  return entries;
}

/** Puts the tests in the place of the disk. */
async function spyOnDisk(folder: string) {
  const handle = await open(folder, 'r');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  return vi.spyOn(prototype, 'datasync');
}

describe('the journal', () => {
  test('keeps entries in order, across restarts', async () => {
    const folder = await createFolder();
    const first = await reopen(folder);
    const written = await Promise.all(['a', 'b', 'c'].map((key) => first.append(entry(key))));
    expect(written.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    const second = await reopen(folder);
    expect(second.entries).toEqual(written);
    await second.append(entry('d'));
    const all = await readAll(folder);
    expect(all.map(({ seq, key }) => [seq, key])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
      [4, 'd'],
    ]);
    expect(all[0]).toMatchObject(entry('a'));
  });

  test('is read over many chunks', async () => {
    const folder = await createFolder();
    const writer = await reopen(folder);
    await Promise.all(
      Array.from({ length: 5_000 }, (_, index) => writer.append(entry(`${index}`))),
    );
    const all = await readAll(folder);
    expect(all.map(({ key }) => Number(key))).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
  });

  test('answers after the disk did, and those who come meanwhile share the next turn', async () => {
    const folder = await createFolder();
    const writer = await reopen(folder);
    const disk = await spyOnDisk(folder);
    const turns: (() => void)[] = [];
    disk.mockImplementation(() => new Promise((resolve) => turns.push(resolve)));
    const answered: string[] = [];
    const append = (key: string) => writer.append(entry(key)).then(() => answered.push(key));

    const all = [append('first')];
    await vi.waitFor(() => expect(turns).toHaveLength(1));
    all.push(append('second'), append('third'), append('fourth'));
    // Written and visible in the file, but not yet durable: nobody may be told.
    await expect.poll(async () => (await readAll(folder)).length).toBe(1);
    expect([answered, writer.entries]).toEqual([[], []]);
    turns[0]!();
    await vi.waitFor(() => expect(turns).toHaveLength(2));
    expect(answered).toEqual(['first']);
    turns[1]!();
    await Promise.all(all);
    expect(answered).toEqual(['first', 'second', 'third', 'fourth']);
    expect(disk).toHaveBeenCalledTimes(2);
  });

  test('a failing disk ends it: nothing is answered for until a restart', async () => {
    const folder = await createFolder();
    const reasons: Error[] = [];
    journal = await openJournal(folder, (error) => reasons.push(error));
    const disk = await spyOnDisk(folder);
    disk.mockRejectedValueOnce(new Error('EIO'));
    const refusal = { name: 'JournalUnavailable', statusCode: 503 };
    await expect(journal.append(entry('lost'))).rejects.toMatchObject(refusal);
    await expect(journal.append(entry('later'))).rejects.toMatchObject(refusal);
    expect(reasons).toHaveLength(1);
    expect(journal.brokenBy).toBe(reasons[0]);
    expect(journal.entries).toEqual([]);
    // The file knows better than the process: the line was kept after all.
    expect((await reopen(folder)).entries.map(({ key }) => key)).toEqual(['lost']);
  });
});

describe('a damaged journal', () => {
  async function createDamaged(damage: (path: string) => Promise<void>): Promise<string> {
    const folder = await createFolder();
    const writer = await reopen(folder);
    for (const key of ['a', 'b', 'c']) await writer.append(entry(key));
    await writer.close();
    journal = undefined;
    await damage(join(folder, JOURNAL_FILE));
    return folder;
  }

  test.each([
    ['half a line', '{"seq":4,"at":"20', ['a', 'b', 'c']],
    ['a whole line without its end', JSON.stringify({ seq: 4, key: 'd' }), ['a', 'b', 'c']],
    ['zeros', '\0'.repeat(4096), ['a', 'b', 'c']],
  ])('%s at the end is cut off', async (_name, tail, keys) => {
    const folder = await createDamaged((path) => appendFile(path, tail));
    expect((await readAll(folder)).map(({ key }) => key)).toEqual(keys);
    const repaired = await reopen(folder);
    await repaired.append(entry('next'));
    expect((await readAll(folder)).map(({ seq, key }) => `${seq}${key}`)).toEqual([
      '1a',
      '2b',
      '3c',
      '4next',
    ]);
  });

  test('cut anywhere, it keeps every whole line', async () => {
    const folder = await createDamaged(async () => {});
    const path = join(folder, JOURNAL_FILE);
    const whole = await readFile(path);
    for (let size = whole.length; size >= 0; size -= 7) {
      await truncate(path, size);
      const lines = whole.subarray(0, size).filter((byte) => byte === 10).length;
      expect((await readAll(folder)).length).toBe(lines);
    }
  });

  test.each([
    ['a damaged line', (text: string) => text.replace('"key":"b"', '"key":b'), 'line 2 is damaged'],
    [
      'a missing line',
      (text: string) => text.replace(/.*"key":"b".*\n/, ''),
      'line 2 holds entry 3',
    ],
  ])('%s before the end is not forgiven', async (_name, change, message) => {
    const folder = await createDamaged(async (path) => {
      await writeFile(path, change(await readFile(path, 'utf8')));
    });
    await expect(readAll(folder)).rejects.toThrow(message);
    await expect(openJournal(folder, () => {})).rejects.toThrow(message);
  });
});
