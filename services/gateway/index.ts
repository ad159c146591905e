/** The gateway: the entrance in front of every service, wherever it runs. */
import { text, url } from '@waybill/kit/config.ts';
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { gatewayService } from './contract.ts';
import { setUpEntrance, type GatewaySettings } from './entrance.ts';
export { createDevelopmentKey, mintToken, readDevelopmentKey } from './dev-key.ts';

const settings = {
  jwksUrl: url(
    {
      env: 'AUTH_JWKS_URL',
      help: 'Where the keys of the token issuer are published (JWKS). None: development keys only.',
    },
    ['https', 'http'],
  ),
  issuer: text({ env: 'AUTH_ISSUER', help: 'The `iss` of accepted tokens.', fallback: 'waybill' }),
  audience: text({
    env: 'AUTH_AUDIENCE',
    help: 'The `aud` of accepted tokens.',
    fallback: 'waybill',
  }),
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
