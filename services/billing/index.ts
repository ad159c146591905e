/** The billing service. */
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { billingService } from './contract.ts';
import { createLedger } from './migrations/0001_ledger.ts';
import { routes } from './routes.ts';
import { checkSettings, settings, type BillingSettings } from './settings.ts';

export const billing = defineService({
  ...billingService,
  description: 'Wallets on a double-entry ledger that the database itself keeps right.',
  settings,
  check: checkSettings,
  migrations: { '0001_ledger': createLedger },
  readOnly: ['accounts', 'transfers', 'charges', 'entries'],
  create: (base: ServiceContext<BillingSettings>) => base,
  routes,
  consumers: [],
  tasks: [],
  sweeps: [],
});
