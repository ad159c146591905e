/** The photos service. */
import { defineService } from '@waybill/kit/service.ts';
import { createContext, settings } from './context.ts';
import { photosService } from './contract.ts';
import { createPhotos } from './migrations/0001_photos.ts';
import { routes } from './routes.ts';
import { filesSweep, unshownSweep } from './sweeps.ts';

export const photos = defineService({
  ...photosService,
  description: 'Keeps photos of pets, and shows them.',
  settings,
  migrations: { '0001_photos': createPhotos },
  create: createContext,
  routes,
  consumers: [],
  tasks: [],
  sweeps: [unshownSweep, filesSweep],
});
