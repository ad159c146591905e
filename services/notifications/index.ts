/** The notifications service. */
import { epochMs } from '@waybill/kit/clock.ts';
import { firstIdAt } from '@waybill/kit/moments.ts';
import { defineService } from '@waybill/kit/service.ts';
import { profileNews } from './consumers.ts';
import { createContext, settings, type NotificationsContext } from './context.ts';
import { notificationsService } from './contract.ts';
import { createNotifications } from './migrations/0001_notifications.ts';
import { routes } from './routes.ts';
import { BITE, deleteBefore } from './store.ts';
import { tasks } from './tasks.ts';

const DAY_MS = 86_400_000;
/** A minute's upkeep; more than anybody stores in one. */

export const notifications = defineService({
  ...notificationsService,
  description: 'Tells people what happened, and remembers what they were told.',
  settings,
  migrations: { '0001_notifications': createNotifications },
  create: createContext,
  routes,
  consumers: [profileNews],
  tasks,
  sweeps: [
    {
      name: 'trim notifications',
      everyMs: 60_000,
      async run({ db, settings: { retentionDays } }: NotificationsContext) {
        const before = firstIdAt(epochMs() - retentionDays * DAY_MS);
        return (await deleteBefore(db, before)) === BITE;
      },
    },
  ],
  close: async ({ channels }) => {
    await Promise.all(Object.values(channels).map((channel) => channel.close()));
  },
});
