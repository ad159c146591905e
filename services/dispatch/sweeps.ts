/** Upkeep: what ended goes to the past, so that a table of live assignments is what polls read. */
import type { Sweep } from '@waybill/kit/service.ts';
import type { DispatchContext } from './context.ts';
import { movePast, trimEndedOrders } from './store.ts';

export const sweeps: readonly Sweep<DispatchContext>[] = [
  {
    name: 'past assignments',
    everyMs: 1000,
    run: ({ db }) => db.transaction(movePast),
  },
  {
    name: 'ended orders',
    everyMs: 10_000,
    run: ({ db }) => trimEndedOrders(db),
  },
];
