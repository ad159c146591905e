/** The inventory service. */
import { defineService } from '@waybill/kit/service.ts';
import { orderNews, petNews } from './consumers.ts';
import { createContext } from './context.ts';
import { inventoryService } from './contract.ts';
import { createInventory } from './migrations/0001_inventory.ts';
import { routes } from './routes.ts';
import { expirySweep, rebuildTask } from './tasks.ts';

export const inventory = defineService({
  ...inventoryService,
  description: 'Knows how many pets have which status, and how much there is of everything else.',
  settings: {},
  migrations: { '0001_inventory': createInventory },
  create: createContext,
  routes,
  consumers: [petNews, orderNews],
  tasks: [rebuildTask],
  sweeps: [expirySweep],
});
