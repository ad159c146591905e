/** Faults in what people were told, and in what is left of those who were erased. */
import { told } from '../clean-notices.ts';
import { people } from '../clean-users.ts';
import { unguard, type Plant } from './plant.ts';

const sending = (set: string, id: string) =>
  `${unguard('notifications.sendings')}
   update notifications.sendings set ${set} where notification_id = '${id}';`;

export const noticeFaults: readonly Plant[] = [
  {
    check: 'profile-not-empty',
    name: 'an address was left in it',
    sql: `${unguard('customers.profiles')} update customers.profiles
      set addresses = '[{"line1":"x"}]' where username = '${people.erased.username}'`,
  },
  {
    check: 'person-not-forgotten',
    name: 'their notifications were left',
    sql: `update notifications.notifications
      set username = '${people.erased.username}', created_at = now() - interval '1 minute'`,
  },
  {
    check: 'sending-lost',
    name: 'its task is gone',
    sql: sending("state = 'WAITING', address = 'anna@example.com'", told.failed),
  },
  {
    check: 'sending-keeps-contact',
    name: 'the address',
    sql: sending("address = 'anna@example.com'", told.sent),
  },
  {
    check: 'sending-keeps-contact',
    name: 'the link',
    sql: `update notifications.notifications set data = '{"link":"https://x"}'
      where id = '${told.sent}'`,
  },
];
