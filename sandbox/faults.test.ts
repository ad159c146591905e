import { afterEach, describe, expect, test } from 'vitest';

import type { Sandbox } from './gateway.ts';
import { createClient, reasonOf, startQuick } from './testing.ts';
import type { Answer, Client } from './testing.ts';

let sandbox: Sandbox | undefined;

afterEach(async () => {
  await sandbox?.close();
  sandbox = undefined;
});

async function start(): Promise<Client> {
  sandbox = await startQuick();
  return createClient(sandbox);
}

describe('modes', () => {
  test('down refuses connections, and the control side stays', async () => {
    const client = await start();
    expect((await client.charge('before')).status).toBe(201);
    expect((await client.setControl({ mode: 'down' })).body).toMatchObject({ listening: false });
    expect(await reasonOf(client.charge('during'))).toBe('ECONNREFUSED');
    expect(await reasonOf(client.healthz())).toBe('ECONNREFUSED');
    expect(await client.journal()).toHaveLength(1);
    // Twice is as good as once.
    await client.setControl({ mode: 'down' });
    expect((await client.setControl({ mode: 'up' })).body).toMatchObject({ listening: true });
    expect((await client.charge('during')).status).toBe(201);
    expect((await client.charge('before')).replayed).toBe(true);
  });

  test('down drops what is under way, which may still take effect', async () => {
    const client = await start();
    await client.setControl({ latency_min_ms: 800, latency_max_ms: 800 });
    const cut = reasonOf(client.charge('cut'));
    await expect
      .poll(async () => (await client.getControl()).body, { interval: 10 })
      .toMatchObject({ counters: { requests: { charge: 1 } } });
    await client.setControl({ mode: 'down' });
    expect(await cut).toMatch(/ECONNRESET|UND_ERR_SOCKET/);
    await client.setControl({ mode: 'up' });
    expect((await client.byKey('cut')).body).toMatchObject({ status: 'captured' });
  });

  test('reset accepts and resets', async () => {
    const client = await start();
    await client.charge('before');
    await client.setControl({ mode: 'reset' });
    expect(await reasonOf(client.charge('during'))).toMatch(/ECONNRESET|UND_ERR_SOCKET/);
    const { counters } = (await client.getControl()).body as { counters: { requests: object } };
    expect(counters.requests).toMatchObject({ connection_reset: expect.any(Number), charge: 1 });
    await client.setControl({ mode: 'up' });
    expect((await client.byKey('during')).status).toBe(404);
    expect((await client.charge('during')).status).toBe(201);
  });

  test('reset after down listens again', async () => {
    const client = await start();
    await client.setControl({ mode: 'down' });
    await client.setControl({ mode: 'reset' });
    expect(await reasonOf(client.healthz())).toMatch(/ECONNRESET|UND_ERR_SOCKET/);
  });

  test('error answers 503 and charges nothing', async () => {
    const client = await start();
    await client.setControl({ mode: 'error' });
    for (const answer of [
      await client.charge('k'),
      await client.byKey('k'),
      await client.void('k'),
    ])
      expect(answer).toMatchObject({ status: 503, body: { code: 'service_unavailable' } });
    expect(await client.journal()).toEqual([]);
    await client.setControl({ mode: 'up' });
    expect((await client.charge('k')).status).toBe(201);
  });

  test('slow delays every answer, and up ends the wait', async () => {
    const client = await start();
    await client.charge('known');
    const { body } = await client.setControl({ mode: 'slow' });
    expect(body).toMatchObject({ mode: 'slow', latency_ms: 30_000 });
    let answered = 0;
    const asked: Promise<Answer>[] = [
      client.charge('k'),
      client.charge('known'),
      client.byKey('known'),
    ];
    for (const answer of asked) void answer.then(() => (answered += 1));
    await expect
      .poll(async () => (await client.getControl()).body, { interval: 10 })
      .toMatchObject({ counters: { requests: { charge: 3, by_key: 1 } } });
    expect(answered).toBe(0);
    await client.setControl({ mode: 'up' });
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([201, 200, 200]);
  });

  test('slow with a latency of its own', async () => {
    const client = await start();
    await client.setControl({ mode: 'slow', latency_ms: 150 });
    const began = performance.now();
    expect((await client.charge('k')).status).toBe(201);
    expect(performance.now() - began).toBeGreaterThanOrEqual(145);
  });

  test('a charge whose client gave up while it was slow is found by its key', async () => {
    const client = await start();
    await client.setControl({ mode: 'slow', latency_ms: 1_200 });
    expect(await reasonOf(client.charge('gone', {}, 200))).toBe('TimeoutError');
    await client.setControl({ latency_ms: 0 });
    expect((await client.byKey('gone')).body).toMatchObject({ status: 'captured' });
  });
});

describe('hostile', () => {
  test('faults before the charge leave no trace', async () => {
    const client = await start();
    await client.setControl({ hostile: { error: 1 } });
    expect((await client.charge('k')).status).toBe(500);
    await client.setControl({ hostile: { timeout_before_charge: 1 } });
    expect(await reasonOf(client.charge('k', {}, 200))).toBe('TimeoutError');
    expect(await client.journal()).toEqual([]);
    expect((await client.setControl({ mode: 'up' })).body).toMatchObject({
      hostile: { error: 0, timeout_before_charge: 0 },
    });
    expect((await client.charge('k')).status).toBe(201);
  });

  test.each([
    ['error_after_charge', (answer: Promise<Answer>) => answer.then(({ status }) => status), 500],
    ['timeout_after_charge', reasonOf, 'TimeoutError'],
    ['reset_after_charge', reasonOf, expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET/)],
  ])('%s strikes once per key, when it was charged', async (fault, lookAt, expected) => {
    const client = await start();
    await client.setControl({ hostile: { [fault]: 1 } });
    const patienceMs = expected === 'TimeoutError' ? 300 : 10_000;
    expect(await lookAt(client.charge('k', {}, patienceMs))).toEqual(expected);
    expect(await client.charge('k')).toMatchObject({ status: 200, replayed: true });
    expect(await client.journal()).toHaveLength(1);
  });

  test('a mix of everything never charges a key twice, and repeats get through', async () => {
    const client = await start();
    const hostile = {
      error: 0.2,
      timeout_before_charge: 0.05,
      error_after_charge: 0.2,
      timeout_after_charge: 0.1,
      reset_after_charge: 0.2,
    };
    await client.setControl({ hostile, success_rate: 0.8, latency_max_ms: 5 });
    const keys = Array.from({ length: 200 }, (_, index) => `k${index}`);
    const pay = async (key: string): Promise<unknown> => {
      for (;;) {
        const answer = await client.charge(key, {}, 400).catch(() => undefined);
        if (answer !== undefined && answer.status < 300) return answer.body['id'];
      }
    };
    // Two workers per key, as when a lease ran out while its holder was still alive.
    const paid = await Promise.all(keys.map((key) => Promise.all([pay(key), pay(key)])));
    const journal = await client.journal();
    expect(journal.map(({ key }) => key).toSorted()).toEqual(keys.toSorted());
    const charged = new Map(journal.map((entry) => [entry.key, entry.charge_id]));
    paid.forEach(([one, other], index) => {
      expect([one, other]).toEqual(Array(2).fill(charged.get(`k${index}`)));
    });
    const { outcomes } = ((await client.getControl()).body as { counters: { outcomes: object } })
      .counters;
    for (const fault of Object.keys(hostile)) {
      const name = fault === 'error' ? 'error_before_charge' : fault;
      expect(outcomes, name).toHaveProperty(name);
    }
  });
});
