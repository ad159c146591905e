/** The pets service. */
import { defineService } from '@waybill/kit/service.ts';
import { orderNews } from './consumers.ts';
import { settings, type PetsContext } from './context.ts';
import { petsService } from './contract.ts';
import { internalRoutes } from './internal-routes.ts';
import { createPets } from './migrations/0001_pets.ts';
import { routes } from './routes.ts';
import { registerPhotosTask } from './uploads.ts';

export const pets = defineService({
  ...petsService,
  description: 'Pets: unique things for sale, which orders reserve.',
  settings,
  migrations: { '0001_pets': createPets },
  create: (base: PetsContext) => base,
  routes: [...routes, ...internalRoutes],
  consumers: [orderNews],
  tasks: [registerPhotosTask],
  sweeps: [],
});
