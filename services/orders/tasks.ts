/** What orders looks after regularly: pets that are held for too long, and claims without order. */
import type { Sweep } from '@waybill/kit/service.ts';
import type { OrdersContext } from './context.ts';
import { cancelOverdue, settleClaims } from './petstore.ts';

export const overdueSweep: Sweep<OrdersContext> = {
  name: 'orders not approved in time',
  everyMs: 1000,
  run: cancelOverdue,
};

export const claimSweep: Sweep<OrdersContext> = {
  name: 'claims without an order',
  everyMs: 5000,
  run: settleClaims,
};
