/**
 * A program of its own: a service that answers a constant, alone or behind the gateway, as
 * `constant-service.ts alone|together|front`. `front` is the gateway alone, which proxies.
 */
import { gateway } from '@waybill/gateway/index.ts';
import { readEnvironment } from '@waybill/kit/config.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { route } from '@waybill/kit/route.ts';
import { runServices } from '@waybill/kit/run.ts';
import { Type } from '@waybill/kit/schema.ts';
import { defineService } from '@waybill/kit/service.ts';
import { configure } from '@waybill/kit/settings.ts';
import { CONSTANT_PATH, CONSTANT_SERVICE } from './gateway-subjects.ts';

const constant = defineService({
  name: CONSTANT_SERVICE,
  description: 'Answers a constant.',
  paths: ['/api/v1/orders'],
  settings: {},
  create: (base) => base,
  routes: [
    route({
      method: 'GET',
      path: CONSTANT_PATH,
      access: ['customer'],
      summary: 'A constant.',
      replies: { 200: Type.Object({ status: Type.String() }) },
      handle: async () => ({ status: 200, body: { status: 'ok' } }),
    }),
  ],
  consumers: [],
  tasks: [],
  sweeps: [],
});

const all = { alone: [constant], together: [gateway, constant], front: [gateway] };
const services = all[process.argv[2] as keyof typeof all];
const configuration = configure(services, readEnvironment());
const running = await runServices({ services, configuration, log: openLogger('warn') });
process.once('SIGTERM', () => void running.stop().then(() => process.exit(0)));
