/** The sources by themselves: what is asked, kept, made up or refused, with a stand-in for HTTP. */
import { describe, expect, test } from 'vitest';
import { epochMs } from '@waybill/kit/clock.ts';
import { openMemoryCache } from './providers/memory.ts';
import type { HttpReply } from './providers/http.ts';
import type { OwnSource } from './providers/own.ts';
import type { SourceCache } from './source-cache.ts';
import { parseSources, type SourceName } from './source-settings.ts';
import { createSources, Nothing } from './sources.ts';

const ORDER = { order_id: 'o-1', base_amount: 4.4, currency: 'USD' };

interface Scene {
  readonly settings?: Readonly<Partial<Record<SourceName, object>>>;
  readonly own?: Partial<Record<SourceName, OwnSource>>;
  readonly http?: (url: string) => Promise<HttpReply> | HttpReply;
  readonly cache?: SourceCache;
}

/** Sources that know everything unless told otherwise, and what was asked of the outside. */
function open({ settings = {}, own = {}, http, cache = openMemoryCache() }: Scene) {
  const faults: string[] = [];
  const sources = parseSources(JSON.stringify(settings), faults);
  expect(faults).toEqual([]);
  const asked: string[] = [];
  const reader = createSources({
    sources,
    cache,
    own: {
      general_order_info: async () => ORDER,
      executor_profile: async () => ({ executor_id: 'e-1' }),
      assign_order_configs: async () => ({ max_coin_coeff: null }),
      zone_info: async ({ zone_id }) => ({ zone_id, display_name: 'Z', coin_coeff: 2 }),
      toll_roads_info: async () => ({ bonus_amount: 7 }),
      ...own,
    },
    http: {
      async get(url) {
        asked.push(url);
        return (await http?.(url)) ?? { status: 500, body: undefined };
      },
      close: async () => {},
    },
  });
  return { asked, fetch: (fresh = false) => reader.fetchSources('o-1', 'e-1', { fresh }) };
}

const found = (body: unknown): HttpReply => ({ status: 200, body });
const url = 'http://outside/{zone_id}';
const inZone = { general_order_info: async () => ({ ...ORDER, zone_id: 'z' }) };

describe('a zone', () => {
  test('is known from the order also where zone_info does not tell it', async () => {
    const { fetch, asked } = open({
      settings: { zone_info: { url }, toll_roads_info: { url: 'http://tolls/{zone_id}' } },
      own: inZone,
      http: (at) => found(at.includes('tolls') ? { bonus_amount: 9 } : { coin_coeff: 2 }),
    });
    const { toll_roads_info: tolls } = await fetch();
    expect([tolls.origin, tolls.data]).toEqual(['call', { bonus_amount: 9 }]);
    expect(asked).toEqual(['http://outside/z', 'http://tolls/z']);
  });

  test('whose name nobody tells is not without tolls: they are not made up', async () => {
    const tolls = { url: 'http://tolls/{zone_name}' };
    const http = () => found({ coin_coeff: 2 });
    const strict = open({
      settings: { zone_info: { url }, toll_roads_info: tolls },
      own: inZone,
      http,
    });
    await expect(strict.fetch()).rejects.toMatchObject({
      target: 'source toll_roads_info',
      message: 'what it is asked by is not known',
    });
    expect(strict.asked).toEqual(['http://outside/z']);
    const lenient = { ...tolls, critical: false, default: { bonus_amount: 1 } };
    const settings = { zone_info: { url }, toll_roads_info: lenient };
    const { toll_roads_info: made } = await open({ settings, own: inZone, http }).fetch();
    expect([made.origin, made.data]).toEqual(['default', { bonus_amount: 1 }]);
  });

  test('that neither order nor executor has costs nothing more', async () => {
    const { fetch, asked } = open({ settings: { zone_info: { url }, toll_roads_info: { url } } });
    const { zone_info: zone, toll_roads_info: tolls } = await fetch();
    expect([zone.origin, zone.data['coin_coeff']]).toEqual(['none', 1]);
    expect([tolls.origin, tolls.data]).toEqual(['none', { bonus_amount: 0 }]);
    expect(asked).toEqual([]);
  });
});

describe('what is kept', () => {
  test('is so once it comes, also when nobody waits for it any more', async () => {
    let answer = (_reply: HttpReply): void => {};
    const coming = new Promise<HttpReply>((resolve) => (answer = resolve));
    const settings = { zone_info: { url, timeout_ms: 20 } };
    const { fetch, asked } = open({ settings, own: inZone, http: () => coming });
    await expect(fetch()).rejects.toMatchObject({ message: 'no answer in time' });
    answer(found({ coin_coeff: 3 }));
    await coming;
    await expect.poll(async () => (await fetch()).zone_info.origin).toBe('cache');
    expect(asked).toHaveLength(1);
  });

  test('is kept once for all who asked together, and nobody waits for that', async () => {
    let kept = 0;
    const cache: SourceCache = {
      ...openMemoryCache(),
      set() {
        kept++;
        return new Promise(() => {});
      },
    };
    const http = () => found({ coin_coeff: 3 });
    const { fetch } = open({ settings: { zone_info: { url } }, own: inZone, http, cache });
    const all = await Promise.all([fetch(), fetch(), fetch()]);
    expect(all.map(({ zone_info: zone }) => zone.origin)).toEqual(['call', 'call', 'call']);
    expect(kept).toBe(1);
  });

  test.each([400, 404, 410, 422])('is forgotten when the answer is %d', async (status) => {
    const replies = [found({ coin_coeff: 3 }), { status, body: {} }, { status: 503, body: {} }];
    const settings = { zone_info: { url, ttl_seconds: 0, max_stale_seconds: 60 } };
    const http = () => replies.shift() as HttpReply;
    const { fetch } = open({ settings, own: inZone, http });
    expect((await fetch()).zone_info.data).toEqual({ coin_coeff: 3 });
    await expect(fetch()).rejects.toMatchObject({ message: 'it knows nothing of it' });
    await expect(fetch()).rejects.toMatchObject({ message: 'answered 503' });
  });

  test('is served for a failure, under its own URL alone', async () => {
    const cache = openMemoryCache();
    let coefficient = 3;
    const http = () => (coefficient === 0 ? { status: 500, body: {} } : found({ coin_coeff: 3 }));
    const kept = { ttl_seconds: 0, max_stale_seconds: 60 };
    const first = open({ settings: { zone_info: { ...kept, url } }, own: inZone, http, cache });
    expect((await first.fetch()).zone_info.origin).toBe('call');
    coefficient = 0;
    expect((await first.fetch()).zone_info.origin).toBe('stale');
    const other = { ...kept, url: 'http://elsewhere/{zone_id}' };
    const moved = open({ settings: { zone_info: other }, own: inZone, http, cache });
    await expect(moved.fetch()).rejects.toMatchObject({ message: 'answered 500' });
  });

  test('and is no answer of the source is not there', async () => {
    const cache = { ...openMemoryCache(), get: async () => ({ at: epochMs(), data: {} }) };
    const http = () => found({ coin_coeff: 3 });
    const { fetch } = open({ settings: { zone_info: { url } }, own: inZone, http, cache });
    const { zone_info: zone } = await fetch();
    expect([zone.origin, zone.data]).toEqual(['call', { coin_coeff: 3 }]);
  });
});

describe('the configuration over HTTP', () => {
  const configs = { url: 'http://configs/', ttl_seconds: 60, max_stale_seconds: 60 };

  test('is kept for its minute, then served only while a call fails', async () => {
    let isUp = true;
    let agedMs = 0;
    const memory = openMemoryCache();
    const cache: SourceCache = {
      ...memory,
      async get(key) {
        const entry = await memory.get(key);
        return entry && { ...entry, at: entry.at - agedMs };
      },
    };
    const http = () => (isUp ? found({ max_coin_coeff: 1.8 }) : { status: 500, body: {} });
    const { fetch, asked } = open({ settings: { assign_order_configs: configs }, http, cache });
    const origin = async () => (await fetch()).assign_order_configs.origin;
    expect([await origin(), await origin()]).toEqual(['call', 'cache']);
    expect(asked).toHaveLength(1);
    agedMs = 61_000;
    isUp = false;
    expect(await origin()).toBe('stale');
    agedMs = 121_000;
    await expect(origin()).rejects.toMatchObject({ target: 'source assign_order_configs' });
  });

  test('is what its default says when there is no other', async () => {
    const settings = { assign_order_configs: { ...configs, default: { max_coin_coeff: 5 } } };
    const { assign_order_configs: made } = await open({ settings }).fetch();
    expect([made.origin, made.data]).toEqual(['default', { max_coin_coeff: 5 }]);
  });
});

describe('a call', () => {
  test('that is under way is joined, unless what it tells must be of now', async () => {
    const answers: (() => void)[] = [];
    let total = 1;
    const own: OwnSource = async () => {
      const base_amount = total;
      await new Promise<void>((resolve) => answers.push(resolve));
      return { ...ORDER, base_amount };
    };
    const { fetch } = open({ own: { general_order_info: own } });
    const before = [fetch(), fetch()];
    await expect.poll(() => answers.length).toBe(1);
    total = 2;
    const fresh = fetch(true);
    await expect.poll(() => answers.length).toBe(2);
    for (const answer of answers) answer();
    const all = await Promise.all([...before, fresh]);
    const told = all.map(({ general_order_info: order }) => order.data['base_amount']);
    expect(told).toEqual([1, 1, 2]);
  });

  test('outside is not made for a while after five failures; Waybill’s own always is', async () => {
    const settings = { executor_profile: { url: 'http://outside/{executor_id}' } };
    const outside = open({ settings });
    for (let turn = 0; turn < 5; turn++)
      await expect(outside.fetch()).rejects.toThrow('answered 500');
    for (let turn = 0; turn < 2; turn++)
      await expect(outside.fetch()).rejects.toThrow('its breaker is open');
    expect(outside.asked).toHaveLength(5);
    let calls = 0;
    const own: OwnSource = async () => {
      calls++;
      throw new Error('down');
    };
    const inside = open({ own: { executor_profile: own } });
    for (let turn = 0; turn < 7; turn++) await expect(inside.fetch()).rejects.toThrow('down');
    expect(calls).toBe(7);
  });

  test.each([400, 404, 410, 422])('answered with %d says that there is none', async (status) => {
    const settings = { executor_profile: { url: 'http://outside/{executor_id}' } };
    const { fetch, asked } = open({ settings, http: () => ({ status, body: {} }) });
    for (let turn = 0; turn < 7; turn++) await expect(fetch()).rejects.toBeInstanceOf(Nothing);
    expect(asked).toHaveLength(7);
  });
});
