import { describe } from 'vitest';
import { deliveryScenarios } from './delivery.ts';
import { startTogether } from './topologies.ts';

describe('all in one process', () => {
  deliveryScenarios(() => startTogether());
});
