import { describe } from 'vitest';
import { checkoutScenarios } from './checkout.ts';
import { deliveryScenarios } from './delivery.ts';
import { petstoreScenarios } from './petstore.ts';
import { startTogether } from './topologies.ts';

describe('all in one process', () => {
  deliveryScenarios(() => startTogether());
});

describe('the petstore, all in one process', () => {
  petstoreScenarios(() => startTogether({ DEMO_DATA: '0' }));
});

describe('all in one process, with access tokens', () => {
  checkoutScenarios(() => startTogether({ AUTH_MODE: 'jwt' }));
});
