/** What people were told on the faultless day: one notice that was sent, and one that could not. */
import type pg from 'pg';
import { people } from './clean-users.ts';

/** The notifications by what became of them. */
export const told = {
  sent: '01980000-0000-7000-8000-00000000f001',
  failed: '01980000-0000-7000-8000-00000000f002',
} as const;

/** Writes the notifications with their sendings. */
export async function writeNotices(client: pg.Client): Promise<void> {
  for (const id of Object.values(told)) {
    await client.query(
      `insert into notifications.notifications
         (id, type, parent_type, username, text, template, created_at)
       values ($1, 'INFO', 'USER', $2, 'Hello.', 'verify_email', now())`,
      [id, people.anna.username],
    );
    await client.query(
      `insert into notifications.sendings (notification_id, channel, state, attempts, deadline_at)
       values ($1, 'email', $2, 1, now() + interval '3 days')`,
      [id, id === told.sent ? 'SENT' : 'FAILED'],
    );
  }
}
