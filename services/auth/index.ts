/** The auth service. */
import { defineService } from '@waybill/kit/service.ts';
import { profileNews } from './consumers.ts';
import { createContext } from './context.ts';
import { authService } from './contract.ts';
import { createUsers } from './migrations/0001_users.ts';
import { routes } from './routes.ts';
import { settings } from './settings.ts';
import { sweeps, tasks } from './tasks.ts';
export { changeUser, createUser, overridePassword, type Rights } from './administration.ts';
export { openKeyRing } from './keys.ts';
export { openPasswords } from './passwords.ts';
export { listUsers } from './views.ts';

export const auth = defineService({
  ...authService,
  description: 'Knows who may enter, and as what.',
  settings,
  migrations: { '0001_users': createUsers },
  create: createContext,
  routes,
  consumers: [profileNews],
  tasks,
  sweeps,
});
