import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Sandbox } from './gateway.ts';
import { createClient, startQuick } from './testing.ts';
import type { Client } from './testing.ts';

let sandbox: Sandbox;
let client: Client;

beforeAll(async () => {
  sandbox = await startQuick();
  client = createClient(sandbox);
});
afterAll(() => sandbox.close());

async function kindsOf(key: string) {
  return (await client.journal()).filter((entry) => entry.key === key).map(({ kind }) => kind);
}

describe('a charge key', () => {
  test('is replayed', async () => {
    const first = await client.charge('replayed');
    expect(await client.charge('replayed')).toEqual({
      status: 200,
      replayed: true,
      body: first.body,
    });
    expect(await client.byKey('replayed')).toEqual({
      status: 200,
      replayed: false,
      body: first.body,
    });
    expect(await kindsOf('replayed')).toEqual(['charge']);
  });

  test.each([{ amount_minor: 999 }, { currency: 'EUR' }, { order_id: 'another' }])(
    'refuses another request: %o',
    async (other) => {
      const key = `reused/${Object.keys(other)[0]}`;
      await client.charge(key);
      expect(await client.charge(key, other)).toMatchObject({
        status: 422,
        body: { code: 'idempotency_key_reused' },
      });
      expect(await kindsOf(key)).toEqual(['charge']);
    },
  );

  test('charges once however many ask at the same time', async () => {
    await client.setControl({ latency_min_ms: 50, latency_max_ms: 50 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client.charge('crowd', { amount_minor: 5 })),
    );
    await client.setControl({ latency_min_ms: 0, latency_max_ms: 0 });
    expect(answers.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([
      ...Array(19).fill(200),
      201,
    ]);
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(await kindsOf('crowd')).toEqual(['charge']);
  });

  test('asked for while it is processed, waits for the outcome', async () => {
    await client.setControl({ latency_min_ms: 400, latency_max_ms: 400 });
    const before = (await client.getControl()).body;
    const charge = client.charge('in-flight');
    await waitForCalls(before, 1);
    const found = await client.byKey('in-flight');
    await client.setControl({ latency_min_ms: 0, latency_max_ms: 0 });
    expect(found).toMatchObject({ status: 200, body: { status: 'captured' } });
    expect(found.body).toEqual((await charge).body);
  });
});

async function waitForCalls(before: Record<string, unknown>, more: number): Promise<void> {
  const count = (view: Record<string, unknown>) =>
    (view['counters'] as { requests: Record<string, number> }).requests['charge'] ?? 0;
  await expect
    .poll(async () => count((await client.getControl()).body), { interval: 10 })
    .toBe(count(before) + more);
}

describe('a void', () => {
  test('ends an unused key for good', async () => {
    const first = await client.void('tombstone');
    expect(first).toMatchObject({ status: 200, body: { key: 'tombstone', status: 'voided' } });
    expect(await client.void('tombstone')).toEqual(first);
    expect(await client.charge('tombstone')).toMatchObject({
      status: 409,
      body: { code: 'key_voided' },
    });
    expect((await client.byKey('tombstone')).body).toEqual(first.body);
    expect(await kindsOf('tombstone')).toEqual(['void']);
  });

  test('changes nothing about a captured charge', async () => {
    const charge = await client.charge('captured');
    expect(await client.void('captured')).toEqual({
      status: 200,
      replayed: false,
      body: charge.body,
    });
    expect(await client.charge('captured')).toMatchObject({ status: 200, body: charge.body });
    expect(await kindsOf('captured')).toEqual(['charge']);
  });

  test('ends a declined key too', async () => {
    await client.charge('declined', { token: 'tok_decline' });
    expect((await client.void('declined')).body).toMatchObject({ status: 'voided' });
    expect((await client.charge('declined')).status).toBe(409);
    expect(await kindsOf('declined')).toEqual(['decline', 'void']);
  });

  test('for another order is refused', async () => {
    await client.charge('mine');
    expect(await client.void('mine', 'somebody else’s order')).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused' },
    });
  });

  test('and a charge that race agree on who won', async () => {
    await client.setControl({ latency_min_ms: 0, latency_max_ms: 8 });
    const rounds = Array.from({ length: 100 }, async (_, index) => {
      const key = `race-${index}`;
      // Alternating, so that each is the first to arrive now and then.
      const asked = [() => client.charge(key), () => client.void(key)] as const;
      const second = index % 2 === 0 ? asked[1] : asked[0];
      const first = index % 2 === 0 ? asked[0] : asked[1];
      const answers = await Promise.all([first(), second()]);
      const [charge, voided] = index % 2 === 0 ? answers : [answers[1], answers[0]];
      const kinds = await kindsOf(key);
      const seen = [charge.status, voided.body['status'], ...kinds];
      return { seen: seen.join(' '), same: voided.body['id'] === charge.body['id'] };
    });
    const outcomes = await Promise.all(rounds);
    await client.setControl({ latency_max_ms: 0 });
    // Nothing but these two, and both of them happened.
    expect(new Set(outcomes.map(({ seen }) => seen))).toEqual(
      new Set(['201 captured charge', '409 voided void']),
    );
    expect(outcomes.every(({ same }) => same)).toBe(true);
  });
});

describe('a refund', () => {
  test('is made once per key', async () => {
    const charge = await client.charge('paid', { amount_minor: 100 });
    const id = charge.body['id'];
    const first = await client.refund('refund-1', id, 60);
    expect(first).toMatchObject({ status: 201, replayed: false });
    expect(first.body).toMatchObject({
      id: expect.stringMatching(/^re_/),
      charge_id: id,
      amount_minor: 60,
      currency: 'USD',
      status: 'succeeded',
    });
    const again = await client.refund('refund-1', id, 60);
    expect(again).toEqual({ status: 200, replayed: true, body: first.body });
    expect(await client.refund('refund-1', id, 61)).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused' },
    });
    expect(await kindsOf('refund-1')).toEqual(['refund']);
  });

  test('never exceeds the charge, whatever runs at once', async () => {
    const charge = await client.charge('rich', { amount_minor: 100 });
    // The same delay for all, so that they would look at the sum in the same moment.
    await client.setControl({ latency_min_ms: 20, latency_max_ms: 20 });
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        client.refund(`rich-${index}`, charge.body['id'], 30),
      ),
    );
    await client.setControl({ latency_min_ms: 0, latency_max_ms: 0 });
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
    const refused = answers.filter(({ status }) => status === 422);
    expect(refused).toHaveLength(7);
    for (const { body } of refused) expect(body['code']).toBe('refund_exceeds_charge');
    expect((await client.refund('rich-last', charge.body['id'], 10)).status).toBe(201);
  });

  test('wants a charge that was captured', async () => {
    expect(await client.refund('lost', 'ch_unknown', 1)).toMatchObject({
      status: 404,
      body: { code: 'unknown_charge' },
    });
    await client.charge('no-money', { token: 'tok_decline' });
    const id = (await client.byKey('no-money')).body['id'];
    expect((await client.refund('lost', id, 1)).status).toBe(404);
  });
});
