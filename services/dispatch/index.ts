/** The dispatch service. */
import { defineService } from '@waybill/kit/service.ts';
import { orderNews } from './consumers.ts';
import { createContext } from './context.ts';
import { dispatchService } from './contract.ts';
import { createDispatch } from './migrations/0001_dispatch.ts';
import { emptyPolls } from './polls.ts';
import { routes } from './routes.ts';
import { checkSettings, settings } from './settings.ts';
import { sweeps } from './sweeps.ts';
import { repriceTask } from './tasks.ts';

export const dispatch = defineService({
  ...dispatchService,
  description: 'Gives orders to executors, who poll for them.',
  settings,
  check: checkSettings,
  migrations: { '0001_dispatch': createDispatch },
  create: createContext,
  routes,
  consumers: [orderNews],
  tasks: [repriceTask],
  sweeps,
  shortcuts: [emptyPolls],
  release: ({ waiting }) => waiting.release(),
  close: ({ closeSources }) => closeSources(),
});
