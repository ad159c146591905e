/** The payments service. */
import { defineService } from '@waybill/kit/service.ts';
import { orderNews } from './consumers.ts';
import { checkSettings, createContext, settings } from './context.ts';
import { paymentsService } from './contract.ts';
import { createPayments } from './migrations/0001_payments.ts';
import { routes } from './routes.ts';
import { addCustomers } from './migrations/0002_wallet.ts';
import { tasks } from './tasks.ts';

export const payments = defineService({
  ...paymentsService,
  description: 'Charges orders at a payment provider, once each.',
  settings,
  check: checkSettings,
  migrations: { '0001_payments': createPayments, '0002_wallet': addCustomers },
  create: createContext,
  routes,
  consumers: [orderNews],
  tasks,
  sweeps: [],
  close: ({ card }) => card.provider.close(),
});
