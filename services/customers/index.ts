/** The customers service. */
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { customersService } from './contract.ts';
import { createProfiles } from './migrations/0001_profiles.ts';
import { routes } from './routes.ts';
import { trimRegistrations } from './store.ts';

export const customers = defineService({
  ...customersService,
  description: 'Keeps the profiles of persons, exports them, and erases them.',
  settings: {},
  migrations: { '0001_profiles': createProfiles },
  create: (base): ServiceContext => base,
  routes,
  consumers: [],
  tasks: [],
  sweeps: [
    { name: 'trim registrations', everyMs: 3_600_000, run: ({ db }) => trimRegistrations(db) },
  ],
});
