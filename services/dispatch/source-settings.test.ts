import { describe, expect, test } from 'vitest';
import {
  allNeedsOf,
  faultIn,
  isStorable,
  parseSources,
  placeholdersOf,
} from './source-settings.ts';

function faultsOf(text: string): string[] {
  const faults: string[] = [];
  parseSources(text, faults);
  return faults;
}

describe('the sources', () => {
  test('are as the design says when nothing is said', () => {
    const faults: string[] = [];
    const sources = parseSources(undefined, faults);
    expect(faults).toEqual([]);
    const critical = Object.values(sources).filter((source) => source.critical);
    expect(new Set(critical.map(({ name }) => name))).toEqual(
      new Set(['general_order_info', 'executor_profile', 'toll_roads_info']),
    );
    expect([sources.zone_info.ttlMs, sources.assign_order_configs.ttlMs]).toEqual([
      600_000, 60_000,
    ]);
  });

  test('are changed one by one', () => {
    const url = 'http://zones:8080/{zone_id}?of={executor_id}';
    const needs = ['general_order_info'];
    const text = JSON.stringify({
      zone_info: { url, timeout_ms: 50, ttl_seconds: 1, max_stale_seconds: 2, needs },
    });
    const { zone_info: zone, toll_roads_info: tolls } = parseSources(text, []);
    expect(zone).toMatchObject({ url, timeoutMs: 50, ttlMs: 1000, maxStaleMs: 2000, needs });
    expect(placeholdersOf(zone)).toEqual(['zone_id', 'executor_id']);
    expect(tolls.url).toBeUndefined();
  });

  test.each([
    ['[]', 'must be a JSON object'],
    ['{"weather":{}}', 'there is no source "weather"'],
    ['{"zone_info":[]}', 'must be an object'],
    ['{"zone_info":{"url":"ftp://x"}}', 'url must be http(s)'],
    ['{"zone_info":{"url":"http://x/{zone}"}}', 'no placeholders but'],
    ['{"zone_info":{"ttl_seconds":"1"}}', 'ttl_seconds must be a number'],
    ['{"zone_info":{"timeout_ms":-1}}', 'timeout_ms must be a number'],
    ['{"zone_info":{"critical":1}}', 'critical must be true or false'],
    ['{"zone_info":{"needs":["weather"]}}', 'needs must be a list of sources'],
    ['{"zone_info":{"colour":"red"}}', 'knows no "colour"'],
    ['{"zone_info":{"default":{"coin_coeff":-1}}}', 'its default has no usable coin_coeff'],
    ['{"zone_info":{"default":{"coin_coeff":1,"a":"\\u0000"}}}', 'holds what cannot be stored'],
    ['{"general_order_info":{"needs":["zone_info"]}}', 'which has no end'],
    ['{"zone_info":{"needs":[]}}', 'zone_info: nothing that it needs tells {zone_id}'],
    ['{"executor_profile":{"url":"http://x/{zone_id}"}}', 'nothing that it needs tells {zone_id}'],
    [
      '{"toll_roads_info":{"url":"http://x/{zone_name}","needs":["executor_profile"]}}',
      'nothing that it needs tells {zone_name}',
    ],
  ])('cannot be %s', (text, fault) => {
    expect(faultsOf(text).join('\n')).toContain(fault);
  });
});

test('what a source needs is also what that needs', () => {
  const sources = parseSources('{"toll_roads_info":{"needs":["zone_info"]}}', []);
  expect(new Set(allNeedsOf(sources, 'toll_roads_info'))).toEqual(
    new Set(['zone_info', 'general_order_info', 'executor_profile']),
  );
});

describe('an answer', () => {
  const order = { order_id: 'o', base_amount: 1, currency: 'USD' };

  test.each(['', ' o', 'a/b', '..', 'a\nb', 'e\u0301', 'x'.repeat(129), 5])(
    'that calls the order %j is none',
    (order_id) => {
      const fault = faultIn('general_order_info', { ...order, order_id });
      expect(fault).toBe('has no usable order_id');
    },
  );

  test.each(['o', '\u00e9', '😀'.repeat(128), 'a b', '%2F'])('may call it %j', (order_id) => {
    expect(faultIn('general_order_info', { ...order, order_id })).toBeUndefined();
  });

  test('names a zone by text, or none', () => {
    const faultOf = (zone_id: unknown) => faultIn('general_order_info', { ...order, zone_id });
    for (const zone of ['z', '', null, undefined]) expect(faultOf(zone)).toBeUndefined();
    for (const zone of [5, {}, true]) expect(faultOf(zone)).toBe('has no usable zone_id');
  });

  test('has amounts of at most six decimals', () => {
    const faultOf = (base_amount: unknown) =>
      faultIn('general_order_info', { ...order, base_amount });
    for (const amount of [1.123456, '1.1234560000', 1e-6, '0'])
      expect(faultOf(amount)).toBeUndefined();
    for (const amount of [1.1234567, '0.0000001', 1e-7, -1, '', null])
      expect(faultOf(amount)).toBe('has no usable base_amount');
  });

  test('holds only what can be stored', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 33; level++) deep = [deep];
    for (const value of [{ a: ['\u0000'] }, { '\u0000': 1 }, [{ b: '\ud800' }], deep])
      expect(isStorable(value)).toBe(false);
    for (const value of [{ a: ['x', '😀', null, 1, true] }, 'x', null])
      expect(isStorable(value)).toBe(true);
  });
});
