import { describe, expect, test } from 'vitest';
import { parseSources, placeholdersOf } from './source-settings.ts';

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
    const text = JSON.stringify({
      zone_info: { url, timeout_ms: 50, ttl_seconds: 1, max_stale_seconds: 2, needs: [] },
    });
    const { zone_info: zone, toll_roads_info: tolls } = parseSources(text, []);
    expect(zone).toMatchObject({ url, timeoutMs: 50, ttlMs: 1000, maxStaleMs: 2000, needs: [] });
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
    ['{"general_order_info":{"needs":["zone_info"]}}', 'which has no end'],
  ])('cannot be %s', (text, fault) => {
    expect(faultsOf(text).join('\n')).toContain(fault);
  });
});
