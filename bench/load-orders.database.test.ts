import { openLogger } from '@waybill/kit/logger.ts';
import { migrate } from '@waybill/kit/run.ts';
import { configure } from '@waybill/kit/settings.ts';
import { loadServices } from '@waybill/server/services.ts';
import { verifyDatabase } from '@waybill/server/verify/database.ts';
import { expect, test } from 'vitest';
import { createTestDatabase, queryRows } from '../tests/support/database.ts';
import { loadOrders } from './load-orders.ts';

async function migratedDatabase(): Promise<string> {
  const url = await createTestDatabase();
  const services = await loadServices([]);
  const environment = {
    DATABASE_URL: url,
    WAYBILL_SECRET: 'a-secret-of-the-loader-test',
    SANDBOX_URL: 'http://127.0.0.1',
    DATABASE_ROLE_PREFIX: 'loader_test',
  };
  await migrate(services, configure(services, environment), openLogger('silent'));
  return url;
}

test('loaded orders are in order: verified, and nothing is left to do', async () => {
  const url = await migratedDatabase();
  await loadOrders(url, 200, () => {});
  await loadOrders(url, 100, () => {});
  const report = await verifyDatabase({ databaseUrl: url });
  expect(report.verdicts.filter(({ state }) => state === 'violated')).toEqual([]);
  expect(report.quiescent).toBe(true);
  const [found] = await queryRows<object>(
    url,
    `select count(*)::integer as orders, count(distinct status)::integer as statuses,
       bool_and(id::text < coalesce(next::text, 'g')) as ordered,
       (select position::integer from payments.cursors
         where topic = 'orders' and partition = -1) as seen
     from (select *, lead(id) over (partition by number < 1000000200 order by number) as next
       from orders.orders) o`,
  );
  expect(found).toEqual({ orders: 300, statuses: 3, ordered: true, seen: 900 });
});

test('a database without tables, or with a Waybill on it, is left alone', async () => {
  await expect(loadOrders(await createTestDatabase(), 1, () => {})).rejects.toThrow('migrate');
  const url = await migratedDatabase();
  await queryRows(
    url,
    `insert into orders.leases values ('relay orders', 'somebody', now() + interval '1 minute')`,
  );
  await expect(loadOrders(url, 1, () => {})).rejects.toThrow('stop it first');
  expect(await queryRows(url, 'select 1 from orders.orders')).toEqual([]);
});
