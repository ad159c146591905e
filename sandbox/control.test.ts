import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createControl, isLoopback } from './control.ts';
import type { Sandbox } from './gateway.ts';
import type { Journal } from './journal.ts';
import { createMisbehaviour } from './misbehaviour.ts';
import { SECRET, call, createClient, startQuick } from './testing.ts';
import type { Client } from './testing.ts';

let sandbox: Sandbox;
let client: Client;

beforeAll(async () => {
  sandbox = await startQuick({ seed: 7 });
  client = createClient(sandbox);
});
afterAll(() => sandbox.close());

describe('who may ask', () => {
  test.each([undefined, '', 'wrong', `${SECRET} `, SECRET.toUpperCase()])(
    'the secret %o opens nothing',
    async (secret) => {
      const headers = secret === undefined ? {} : { 'x-sandbox-secret': secret };
      // A blank at the end of a header is not part of it; written out, it would be the secret.
      if (secret === `${SECRET} `) headers['x-sandbox-secret'] = `${SECRET}.`;
      for (const path of ['/control', '/journal', '/anything']) {
        expect(await call(sandbox.controlUrl + path, { headers })).toMatchObject({
          status: 401,
          body: { code: 'wrong_secret' },
        });
      }
      const change = await call(`${sandbox.controlUrl}/control`, {
        body: { mode: 'down' },
        headers,
      });
      expect(change.status).toBe(401);
      expect((await client.healthz()).status).toBe(200);
    },
  );

  test('the charge API has neither', async () => {
    for (const path of ['/control', '/journal']) {
      const headers = { 'x-sandbox-secret': SECRET };
      expect((await call(sandbox.url + path, { headers })).status).toBe(404);
    }
  });

  test.each([
    ['127.0.0.1', false, 200],
    ['::1', false, 200],
    ['10.0.0.9', false, 403],
    ['10.0.0.9', true, 200],
  ])('from %s, others let in: %o', async (remoteAddress, allowRemote, status) => {
    const journal: Journal = {
      entries: [],
      brokenBy: undefined,
      append: () => Promise.reject(new Error('not wanted')),
      close: () => Promise.resolve(),
    };
    const { settings } = createMisbehaviour({ successRate: 1, latencyMinMs: 0, latencyMaxMs: 0 });
    const app = createControl({
      journal,
      secret: SECRET,
      allowRemote,
      settings: () => settings,
      change: () => Promise.resolve(),
      show: () => ({}),
    });
    const headers = { 'x-sandbox-secret': SECRET };
    const forwarded = { ...headers, 'x-forwarded-for': '127.0.0.1' };
    for (const url of ['/control', '/journal']) {
      expect((await app.inject({ url, remoteAddress, headers })).statusCode).toBe(status);
      const claimed = await app.inject({ url, remoteAddress, headers: forwarded });
      expect(claimed.statusCode).toBe(status);
    }
    await app.close();
  });

  test('loopback is told from look-alikes', () => {
    const inside = ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1'];
    const outside = [
      '',
      '10.0.0.1',
      '128.0.0.1',
      '::',
      '::ffff:10.0.0.1',
      '1.127.0.0.1',
      '127.0.0.1.example',
    ];
    expect(inside.filter((address) => !isLoopback(address))).toEqual([]);
    expect(outside.filter(isLoopback)).toEqual([]);
  });
});

describe('settings', () => {
  test('are shown, and changed one by one', async () => {
    const { body } = await client.getControl();
    expect(body).toMatchObject({
      mode: 'up',
      listening: true,
      success_rate: 1,
      latency_min_ms: 0,
      latency_max_ms: 0,
      seed: 7,
      hostile: { error: 0, late_callback: 0 },
    });
    await client.setControl({ success_rate: 0.5, hostile: { error: 0.25 } });
    const changed = await client.setControl({ latency_max_ms: 10, hostile: { late_callback: 1 } });
    expect(changed.body).toMatchObject({
      success_rate: 0.5,
      latency_max_ms: 10,
      hostile: { error: 0, late_callback: 1 },
    });
    await client.setControl({ mode: 'up', success_rate: 1, latency_max_ms: 0 });
    expect((await client.getControl()).body['hostile']).toMatchObject({ late_callback: 0 });
  });

  test.each([
    [{ mode: 'sideways' }],
    [{ success_rate: 1.1 }],
    [{ success_rate: '1' }],
    [{ latency_min_ms: 10, latency_max_ms: 5 }],
    [{ hostile: { error: 0.6, timeout_before_charge: 0.6 } }],
    [{ hostile: { error_after_charge: 0.6, reset_after_charge: 0.6 } }],
    [{ hostile: { explode: 1 } }],
    [{ modes: 'down' }],
  ])('%j is refused and changes nothing', async (body) => {
    const before = (await client.getControl()).body;
    expect(await client.setControl(body)).toMatchObject({
      status: 422,
      body: { code: 'validation_failed' },
    });
    const { counters: _then, ...settings } = before;
    expect((await client.getControl()).body).toMatchObject(settings);
  });

  test('a seed starts the dice over', async () => {
    const play = async (name: string) => {
      const statuses: number[] = [];
      for (let index = 0; index < 30; index += 1) {
        statuses.push((await client.charge(`${name}-${index}`)).status);
      }
      return statuses;
    };
    await client.setControl({ seed: 100, success_rate: 0.5 });
    const first = await play('first');
    await client.setControl({ seed: 100 });
    expect(await play('second')).toEqual(first);
    await client.setControl({ success_rate: 1 });
  });
});

describe('counters', () => {
  test('tell calls by kind, outcomes and rates', async () => {
    const quiet = await startQuick();
    const asker = createClient(quiet);
    expect((await asker.getControl()).body).toMatchObject({
      counters: { requests: {}, outcomes: {}, first_call_at: null, last_call_at: null },
    });
    const began = Date.now();
    await asker.charge('a');
    await asker.charge('a');
    await asker.charge('b', { token: 'tok_500' });
    await asker.charge('c', { token: 'tok_decline' });
    await asker.byKey('a');
    await asker.byKey('b');
    await asker.void('d');
    const { counters } = (await asker.getControl()).body as {
      counters: Record<string, unknown> & {
        calls_per_second: number[];
        charges_per_second: number[];
        present_second: number;
      };
    };
    expect(counters).toMatchObject({
      requests: { charge: 4, by_key: 2, void: 1 },
      outcomes: {
        captured: 1,
        captured_replayed: 1,
        missed: 1,
        declined: 1,
        found: 1,
        not_found: 1,
        void_voided: 1,
      },
    });
    const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);
    expect(counters.calls_per_second).toHaveLength(900);
    expect(sum(counters.calls_per_second)).toBe(7);
    expect(sum(counters.charges_per_second)).toBe(4);
    // They lie in the seconds in which the calls were made, which are the last of the window.
    const seconds = counters.present_second - Math.floor(began / 1000) + 1;
    expect(sum(counters.calls_per_second.slice(-seconds))).toBe(7);
    const first = Date.parse(counters['first_call_at'] as string);
    const last = Date.parse(counters['last_call_at'] as string);
    expect(first).toBeGreaterThanOrEqual(began);
    expect(last).toBeGreaterThanOrEqual(first);
    await quiet.close();
  });
});

describe('the journal by page', () => {
  test('is complete and in order', async () => {
    const paged = await startQuick();
    const reader = createClient(paged);
    for (let index = 1; index <= 25; index += 1) await reader.charge(`k${index}`);
    const keys: string[] = [];
    const sizes: number[] = [];
    let after = 0;
    for (let page = 0; page < 4; page += 1) {
      const { body } = await call(`${paged.controlUrl}/journal?after=${after}&limit=10`, {
        headers: { 'x-sandbox-secret': SECRET },
      });
      const entries = body['entries'] as { key: string }[];
      keys.push(...entries.map(({ key }) => key));
      sizes.push(entries.length);
      after = body['next_after'] as number;
    }
    expect(sizes).toEqual([10, 10, 5, 0]);
    expect(after).toBe(25);
    expect(keys).toEqual(Array.from({ length: 25 }, (_, index) => `k${index + 1}`));
    expect(await reader.journal('?after=24')).toMatchObject([{ seq: 25, key: 'k25' }]);
    await paged.close();
  });

  test.each(['?after=-1', '?after=x', '?limit=1e3', '?before=1'])(
    '%s is refused',
    async (query) => {
      const headers = { 'x-sandbox-secret': SECRET };
      const answer = await call(`${sandbox.controlUrl}/journal${query}`, { headers });
      expect(answer.status).toBe(422);
    },
  );
});
