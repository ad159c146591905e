/** What inventory does later: rebuild its counts, and give back what was reserved for too long. */
import type { Sweep } from '@waybill/kit/service.ts';
import type { TaskHandler } from '@waybill/kit/tasks.ts';
import { expireReservations, REBUILD, rebuildPetCounts } from './commands.ts';
import type { InventoryContext } from './context.ts';

export const rebuildTask: TaskHandler<InventoryContext> = {
  kind: REBUILD,
  room: (running) => 1 - running,
  timeoutMs: 600_000,
  maxAttempts: 5,
  run: (_task, context) => rebuildPetCounts(context),
};

export const expirySweep: Sweep<InventoryContext> = {
  name: 'expired stock reservations',
  everyMs: 1000,
  run: expireReservations,
};
