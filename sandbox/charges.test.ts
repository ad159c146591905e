import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Sandbox } from './gateway.ts';
import { call, createClient, reasonOf, startQuick } from './testing.ts';
import type { Client } from './testing.ts';

let sandbox: Sandbox;
let client: Client;

beforeAll(async () => {
  sandbox = await startQuick();
  client = createClient(sandbox);
});
afterAll(() => sandbox.close());

async function entriesOf(key: string) {
  return (await client.journal()).filter((entry) => entry.key === key);
}

describe('tokens', () => {
  test('tok_ok and no token at all charge', async () => {
    const plain = await client.charge('plain', { amount_minor: 1_234, order_id: 'order-1' });
    expect(plain).toMatchObject({ status: 201, replayed: false });
    expect(plain.body).toEqual({
      id: expect.stringMatching(/^ch_[0-9a-f]{32}$/),
      key: 'plain',
      order_id: 'order-1',
      amount_minor: 1_234,
      currency: 'USD',
      status: 'captured',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect((await client.charge('tok-ok', { token: 'tok_ok' })).status).toBe(201);
    expect(await entriesOf('plain')).toEqual([
      {
        seq: expect.any(Number),
        at: plain.body['created_at'],
        kind: 'charge',
        key: 'plain',
        order_id: 'order-1',
        charge_id: plain.body['id'],
        amount_minor: 1_234,
        currency: 'USD',
      },
    ]);
  });

  test.each([
    ['tok_decline', 'card_declined'],
    ['tok_insufficient_funds', 'insufficient_funds'],
    ['tok_nobody_knows', 'unknown_token'],
    ['toString', 'unknown_token'],
  ])('%s is declined for good, and the decline is kept', async (token, code) => {
    const first = await client.charge(token, { token });
    expect(first).toMatchObject({ status: 402, replayed: false, body: { code } });
    expect(Object.keys(first.body)).toEqual(['code', 'message']);
    // The key is settled: not even a good card changes it.
    const again = await client.charge(token, { token: 'tok_ok' });
    expect(again).toEqual({ ...first, replayed: true });
    expect((await client.byKey(token)).body).toMatchObject({ status: 'declined', code });
    expect((await entriesOf(token)).map(({ kind }) => kind)).toEqual(['decline']);
  });

  test('tok_500 always fails, charges nothing and is not kept', async () => {
    for (let time = 0; time < 3; time += 1) {
      expect(await client.charge('k500', { token: 'tok_500' })).toMatchObject({
        status: 500,
        replayed: false,
      });
    }
    expect((await client.byKey('k500')).status).toBe(404);
    expect(await entriesOf('k500')).toEqual([]);
    expect((await client.charge('k500')).status).toBe(201);
  });

  test('tok_timeout_after_charge charges and never answers; a repeat is answered', async () => {
    const token = 'tok_timeout_after_charge';
    expect(await reasonOf(client.charge('slow', { token }, 300))).toBe('TimeoutError');
    const known = await client.byKey('slow');
    expect(known).toMatchObject({ status: 200, body: { status: 'captured' } });
    const repeat = await client.charge('slow', { token }, 5_000);
    expect(repeat).toEqual({ status: 200, replayed: true, body: known.body });
    expect(await entriesOf('slow')).toHaveLength(1);
  });

  test('tok_reset_after_charge charges and resets; a repeat is answered', async () => {
    const token = 'tok_reset_after_charge';
    expect(await reasonOf(client.charge('cut', { token }))).toMatch(/ECONNRESET|UND_ERR_SOCKET/);
    expect(await client.charge('cut', { token })).toMatchObject({ status: 200, replayed: true });
    expect(await entriesOf('cut')).toHaveLength(1);
  });
});

describe('chance', () => {
  test('the success rate decides, and the same seed decides the same', async () => {
    const run = async (seed: number) => {
      const lottery = await startQuick({ successRate: 0.7, seed });
      const player = createClient(lottery);
      const statuses: number[] = [];
      for (let index = 0; index < 200; index += 1) {
        statuses.push((await player.charge(`k${index}`)).status);
      }
      const journal = await player.journal();
      await lottery.close();
      // What was answered with 500 was not charged, and what was charged was answered with 201.
      expect(journal).toHaveLength(statuses.filter((status) => status === 201).length);
      return statuses;
    };
    const first = await run(42);
    expect(await run(42)).toEqual(first);
    expect(await run(43)).not.toEqual(first);
    const misses = first.filter((status) => status === 500).length;
    expect(misses).toBeGreaterThan(30);
    expect(misses).toBeLessThan(90);
  });

  test('a miss is not kept: the key can succeed later', async () => {
    const lottery = await startQuick({ successRate: 0 });
    const player = createClient(lottery);
    expect((await player.charge('k')).status).toBe(500);
    await player.setControl({ success_rate: 1 });
    expect((await player.charge('k')).status).toBe(201);
    await lottery.close();
  });

  test('latency delays one charge and not the others', async () => {
    const slow = await startQuick({ latencyMinMs: 200, latencyMaxMs: 300 });
    const player = createClient(slow);
    const began = performance.now();
    await Promise.all(Array.from({ length: 50 }, (_, index) => player.charge(`k${index}`)));
    const took = performance.now() - began;
    expect(took).toBeGreaterThanOrEqual(195);
    // One after the other they would need ten seconds at least.
    expect(took).toBeLessThan(5_000);
    await slow.close();
  });
});

describe('what is malformed', () => {
  const url = () => `${sandbox.url}/v1/charges`;
  const good = { amount_minor: 1, currency: 'USD', order_id: 'o' };

  test('a key is demanded', async () => {
    const keys: Record<string, string>[] = [
      {},
      { 'idempotency-key': '' },
      { 'idempotency-key': 'x'.repeat(256) },
    ];
    for (const headers of keys) {
      const answer = await call(url(), { body: good, headers });
      expect(answer).toMatchObject({ status: 400, body: { code: 'idempotency_key_required' } });
    }
  });

  test.each([
    ['amount 0', { ...good, amount_minor: 0 }, '/amount_minor'],
    ['a fraction', { ...good, amount_minor: 1.5 }, '/amount_minor'],
    ['a text', { ...good, amount_minor: '1' }, '/amount_minor'],
    ['a lower-case currency', { ...good, currency: 'usd' }, '/currency'],
    ['no order', { amount_minor: 1, currency: 'USD' }, '/order_id'],
    ['an unknown field', { ...good, amount: 1 }, '/amount'],
    ['a strange callback', { ...good, callback_url: 'file:///etc' }, '/callback_url'],
  ])('%s is refused, naming the field', async (_name, body, pointer) => {
    const answer = await call(url(), { body, headers: { 'idempotency-key': 'malformed' } });
    expect(answer).toMatchObject({ status: 422, body: { code: 'validation_failed' } });
    expect(answer.body['faults']).toMatchObject([{ pointer }]);
    expect((await client.byKey('malformed')).status).toBe(404);
  });

  test('a wrong path cannot be taken for an unused key', async () => {
    const answer = await call(`${sandbox.url}/v2/charges/by-key/plain`, {});
    expect(answer).toMatchObject({ status: 404, body: { code: 'no_such_route' } });
    expect((await client.byKey('nobody used this')).body).toMatchObject({ code: 'not_found' });
  });
});
