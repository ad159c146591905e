import { describe } from 'vitest';
import { checkoutScenarios } from './checkout.ts';
import { deliveryScenarios } from './delivery.ts';
import { startTogether } from './topologies.ts';

describe('all in one process', () => {
  deliveryScenarios(() => startTogether());
});

describe('all in one process, with access tokens', () => {
  checkoutScenarios(() => startTogether({ AUTH_MODE: 'jwt' }));
});
