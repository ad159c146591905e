/** The gateway: the entrance in front of every service, wherever it runs. */
import { integer, text, url } from '@waybill/kit/config.ts';
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { gatewayService } from './contract.ts';
import { setUpEntrance, type GatewaySettings } from './entrance.ts';
export { createDevelopmentKey, mintToken, readDevelopmentKey } from './dev-key.ts';

const settings = {
  jwksUrl: url(
    {
      env: 'AUTH_JWKS_URL',
      help:
        'Where the keys of a token issuer of your own are published (JWKS). None: the auth ' +
        'service is trusted.',
    },
    ['https', 'http'],
  ),
  issuer: text({ env: 'AUTH_ISSUER', help: 'The `iss` of accepted tokens.', fallback: 'waybill' }),
  audience: text({
    env: 'AUTH_AUDIENCE',
    help: 'The `aud` of accepted tokens.',
    fallback: 'waybill',
  }),
  pollLimit: integer(
    {
      env: 'RATE_LIMIT_POLLS',
      help: 'Polls a minute and executor (jwt mode), apart from RATE_LIMIT; 0 = none.',
      fallback: '120',
    },
    { min: 0, max: 10_000_000 },
  ),
  tokenMemoryMb: integer(
    {
      env: 'TOKEN_MEMORY_MB',
      help:
        'Memory for access tokens that were verified, in MB: 1,300 tokens each. What is ' +
        'forgotten is verified again, at 0.3 ms each.',
      fallback: '256',
    },
    { min: 1, max: 65_536 },
  ),
  inboxUrl: url(
    {
      env: 'SANDBOX_INBOX_URL',
      help: "Where the sandbox shows e-mails, for the start page's link; `serve` fills it in.",
    },
    ['http', 'https'],
  ),
} as const;

export const gateway = defineService({
  ...gatewayService,
  description: 'The entrance: authentication, rate limits, proxies and pages.',
  settings,
  create: (base): ServiceContext<GatewaySettings> => base,
  routes: [],
  consumers: [],
  tasks: [],
  sweeps: [],
  entrance: setUpEntrance,
});
