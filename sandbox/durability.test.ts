import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import { JOURNAL_FILE, readJournal } from './journal.ts';
import type { JournalEntry } from './journal.ts';
import {
  CALLBACK_SECRET,
  SECRET,
  createClient,
  createFolder,
  forkSandbox,
  startQuick,
} from './testing.ts';
import type { Fork } from './testing.ts';

const forks: Fork[] = [];

afterEach(() => {
  for (const each of forks.splice(0)) each.child.kill('SIGKILL');
});

async function start(dataDir: string, settings: Record<string, string> = {}): Promise<Fork> {
  const started = await forkSandbox({ SANDBOX_DATA_DIR: dataDir, ...settings });
  forks.push(started);
  return started;
}

async function readAll(dataDir: string): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for await (const entry of readJournal(join(dataDir, JOURNAL_FILE))) entries.push(entry);
  return entries;
}

describe('after kill -9', () => {
  test('what was answered holds: charges, declines, voids, refunds', async () => {
    const dataDir = await createFolder();
    const first = await start(dataDir);
    const before = createClient(first);
    const charge = await before.charge('paid', { amount_minor: 100 });
    const decline = await before.charge('declined', { token: 'tok_decline' });
    const voided = await before.void('voided');
    const refund = await before.refund('refunded', charge.body['id'], 70);
    await first.kill('SIGKILL');

    const after = createClient(await start(dataDir));
    const paid = { amount_minor: 100 };
    expect(await after.charge('paid', paid)).toEqual({ ...charge, status: 200, replayed: true });
    expect(await after.charge('declined')).toEqual({ ...decline, replayed: true });
    expect(await after.void('voided')).toEqual(voided);
    expect((await after.charge('voided')).status).toBe(409);
    const id = charge.body['id'];
    const again = await after.refund('refunded', id, 70);
    expect(again).toEqual({ ...refund, status: 200, replayed: true });
    expect((await after.refund('more', id, 31)).status).toBe(422);
    expect((await after.charge('paid', { amount_minor: 101 })).status).toBe(422);
    const kinds = (await readAll(dataDir)).map(({ kind }) => kind);
    expect(kinds).toEqual(['charge', 'decline', 'void', 'refund']);
  });

  test('in the middle of load every answered charge is in the journal exactly once', async () => {
    const dataDir = await createFolder();
    const answered = new Map<string, unknown>();
    let next = 0;
    for (let round = 0; round < 3; round += 1) {
      const running = await start(dataDir);
      const client = createClient(running);
      const enough = answered.size + 150;
      const work = async () => {
        for (;;) {
          const key = `k${(next += 1)}`;
          const answer = await client.charge(key).catch(() => undefined);
          if (answer === undefined) return;
          expect(answer.status).toBe(201);
          answered.set(key, answer.body['id']);
        }
      };
      const workers = Array.from({ length: 16 }, work);
      await expect.poll(() => answered.size, { interval: 5 }).toBeGreaterThan(enough);
      await running.kill('SIGKILL');
      await Promise.all(workers);
    }

    const journal = await readAll(dataDir);
    const byKey = new Map(journal.map((entry) => [entry.key, entry.charge_id]));
    expect(byKey.size).toBe(journal.length);
    expect(journal.map(({ seq }) => seq)).toEqual(journal.map((_, index) => index + 1));
    expect([...answered].filter(([key, id]) => byKey.get(key) !== id)).toEqual([]);

    const client = createClient(await start(dataDir));
    for (const [key, id] of [...answered].slice(-20)) {
      expect(await client.charge(key)).toMatchObject({ status: 200, replayed: true, body: { id } });
    }
    expect(await client.journal()).toEqual(journal);
  });
});

describe('the process', () => {
  const secrets = { SANDBOX_SECRET: SECRET, SANDBOX_CALLBACK_SECRET: CALLBACK_SECRET };
  const entry = new URL('main.ts', import.meta.url);

  test('stops on SIGTERM, and answers what is under way first', async () => {
    const latency = { PAYMENT_MOCK_LATENCY_MIN: '60000', PAYMENT_MOCK_LATENCY_MAX: '60000' };
    const running = await start(await createFolder(), latency);
    const client = createClient(running);
    const charge = client.charge('last');
    const held = client
      .charge('held', { token: 'tok_timeout_after_charge' })
      .catch(() => 'dropped');
    await expect
      .poll(async () => (await client.getControl()).body)
      .toMatchObject({ counters: { requests: { charge: 2 } } });
    const exited = once(running.child, 'exit');
    running.child.kill('SIGTERM');
    expect((await charge).status).toBe(201);
    expect(await held).toBe('dropped');
    expect(await exited).toEqual([0, null]);
  });

  test('ends with whoever forked it', async () => {
    const running = await start(await createFolder());
    const exited = once(running.child, 'exit');
    running.child.disconnect();
    expect(await exited).toEqual([0, null]);
  });

  test('says where it is when nobody forked it', async () => {
    const child = spawn(process.execPath, [entry.pathname], {
      env: { ...secrets, SANDBOX_DATA_DIR: await createFolder() },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { type, smtpPort, ...ports } = JSON.parse(line.toString()) as Record<string, number>;
    expect(type).toBe('ready');
    expect(Object.keys(ports)).toEqual(['port', 'controlPort', 'inboxPort', 'sourcesPort']);
    for (const port of [smtpPort, ...Object.values(ports)]) {
      expect(port).toBeGreaterThanOrEqual(20_000);
      expect(port).toBeLessThan(30_000);
      if (port === smtpPort) continue;
      expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    }
    const exited = once(child, 'exit');
    child.kill('SIGINT');
    expect(await exited).toEqual([0, null]);
  });

  test('lists every fault of its settings and exits with 1', async () => {
    const env = { SANDBOX_PORT: 'eighty', PAYMENT_MOCK_SUCCESS_RATE: '95' };
    const child = fork(entry, { env, execArgv: [], silent: true });
    let said = '';
    child.stderr!.on('data', (text: Buffer) => (said += text.toString()));
    expect(await once(child, 'close')).toEqual([1, null]);
    for (const name of [...Object.keys(env), ...Object.keys(secrets)]) expect(said).toContain(name);
  });

  test('has its folder to itself, and a successor waits for it', async () => {
    const dataDir = await createFolder();
    const first = await startQuick({ dataDir });
    await createClient(first).charge('k');
    let started = false;
    const second = startQuick({ dataDir }).then((sandbox) => {
      started = true;
      return sandbox;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(started).toBe(false);
    await first.close();
    const successor = await second;
    expect((await createClient(successor).charge('k')).replayed).toBe(true);
    await successor.close();
  });
});
