/** The orders service. */
import { defineService } from '@waybill/kit/service.ts';
import { checkoutRoutes } from './checkout-routes.ts';
import { carryingNews, paymentNews } from './consumers.ts';
import { createContext } from './context.ts';
import { ordersService } from './contract.ts';
import { internalRoutes } from './internal-routes.ts';
import { createOrders } from './migrations/0001_orders.ts';
import { addCheckout } from './migrations/0002_checkout.ts';
import { addPetstore } from './migrations/0003_petstore.ts';
import { noticeTask } from './notices.ts';
import { ownerRoutes } from './owner-routes.ts';
import { petNews } from './pet-news.ts';
import { petstoreRoutes } from './petstore-routes.ts';
import { routes } from './routes.ts';
import { checkSettings, settings } from './settings.ts';
import { claimSweep, overdueSweep } from './tasks.ts';

export const orders = defineService({
  ...ordersService,
  description: 'Accepts orders, and knows where each of them stands.',
  settings,
  check: checkSettings,
  migrations: {
    '0001_orders': createOrders,
    '0002_checkout': addCheckout,
    '0003_petstore': addPetstore,
  },
  create: createContext,
  routes: [...routes, ...internalRoutes, ...checkoutRoutes, ...petstoreRoutes, ...ownerRoutes],
  consumers: [paymentNews, petNews, carryingNews],
  tasks: [noticeTask],
  sweeps: [overdueSweep, claimSweep],
});
