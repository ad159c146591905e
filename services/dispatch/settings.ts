/** The settings of dispatch. */
import { integer, text, url, type Values } from '@waybill/kit/config.ts';
import { parseSources } from './source-settings.ts';

export const settings = {
  pollSeconds: integer(
    {
      env: 'DISPATCH_POLL_SECONDS',
      help: 'How long an executor who got nothing is asked to stay away, give or take a fifth.',
      fallback: '60',
    },
    { min: 1, max: 3600 },
  ),
  sources: text({
    env: 'DISPATCH_SOURCES',
    help:
      'What is different about the sources, as JSON: {"zone_info":{"url":"http://…/{zone_id}",' +
      '"timeout_ms":500,"ttl_seconds":600,"max_stale_seconds":3600,"default":{…}}}.',
  }),
  cacheUrl: url(
    {
      env: 'DISPATCH_CACHE_URL',
      help: 'Where what sources said is kept: memory: or redis://host:port.',
      fallback: 'memory:',
      secret: true,
    },
    ['memory', 'redis', 'rediss'],
  ),
} as const;

export type DispatchSettings = Values<typeof settings>;

export function checkSettings(values: DispatchSettings): readonly string[] {
  const faults: string[] = [];
  parseSources(values.sources, faults);
  return faults.map((fault) => `DISPATCH_SOURCES: ${fault}`);
}
