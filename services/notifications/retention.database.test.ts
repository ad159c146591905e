/** What is older than the retention goes, on PostgreSQL. */
import { expect, test } from 'vitest';
import { createTestDatabase, queryRows } from '../../tests/support/database.ts';
import { startServices } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { notifications } from './index.ts';

const DAY_MS = 86_400_000;

test('what is too old goes at the next sweep, and nothing else', async () => {
  const databaseUrl = await createTestDatabase();
  const settings = { DATABASE_URL: databaseUrl, NOTIFICATION_RETENTION_DAYS: '30' };
  const first = await startServices([notifications], settings);
  await first.stop();
  const insert = (days: number, count: number) => {
    const time = (Date.now() - days * DAY_MS).toString(16).padStart(12, '0');
    return queryRows(
      databaseUrl,
      `with stored as (
         insert into notifications.notifications
           (id, type, parent_type, username, text, template, created_at)
         select ($1 || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'INFO', 'USER',
           'ada', $2, 'plain', now()
         from generate_series(1, $3) n returning id)
       insert into notifications.sendings (notification_id, channel, state, deadline_at)
       select id, 'email', 'SENT', now() from stored`,
      [`${time.slice(0, 8)}-${time.slice(8)}`, `${days} days`, count],
    );
  };
  await insert(31, 2500);
  await insert(29, 10);
  await startServices([notifications], settings);
  const left = () =>
    queryRows<{ text: string; count: string }>(
      databaseUrl,
      `select n.text, count(*) from notifications.sendings s
       join notifications.notifications n on n.id = s.notification_id group by 1`,
    );
  await until(async () => (await left()).length === 1);
  expect(await left()).toEqual([{ text: '29 days', count: '10' }]);
});
