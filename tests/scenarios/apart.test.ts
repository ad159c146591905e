import { afterAll, describe } from 'vitest';
import { canRun, findRabbit, startPrivateRabbit, type PrivateServer } from '../bus/servers.ts';
import { checkoutScenarios } from './checkout.ts';
import { deliveryScenarios } from './delivery.ts';
import { petstoreScenarios } from './petstore.ts';
import { startApart } from './topologies.ts';

describe.skipIf(!canRun('separate processes', findRabbit(), 'rabbitmq-server'))(
  'each service in a process of its own, over RabbitMQ',
  () => {
    let broker: PrivateServer;
    afterAll(() => broker?.stop());
    deliveryScenarios(async () => {
      broker = await startPrivateRabbit();
      return startApart({ broker });
    });
    describe('the petstore', () => {
      petstoreScenarios(() =>
        startApart({
          broker,
          services: ['orders', 'payments', 'pets', 'photos', 'inventory'],
          settings: { DEMO_DATA: '0' },
        }),
      );
    });
    describe('with access tokens', () => {
      checkoutScenarios(() =>
        startApart({
          broker,
          services: ['orders', 'payments', 'auth', 'billing', 'customers', 'notifications'],
          settings: { AUTH_MODE: 'jwt' },
        }),
      );
    });
  },
);
