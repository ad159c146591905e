/**
 * Fills a database with orders of the past weeks, as they would lie there had they been accepted
 * and charged: orders and payments, the attempts, both logs with their positions, what each
 * consumer has seen. Nothing is left for anybody to do, so a Waybill started on it finds peace.
 */
import pg from 'pg';
import { askNumber } from './database.ts';
import { COMMIT_CHUNK, MAKE_CHUNK } from './load-statements.ts';

const CHUNK = 20_000;
/** Over how long a time the orders are spread; less than the log is kept. */
const DAYS = 20;

/** Adds orders to a database that was migrated and on which no Waybill runs. */
export async function loadOrders(
  databaseUrl: string,
  count: number,
  say: (text: string) => void,
): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => {});
  await client.connect();
  try {
    await refuseUnfit(client);
    await client.query('set synchronous_commit = off');
    await client.query(`set timezone = 'UTC'`);
    const already = await askNumber(client, 'select count(*) from orders.orders');
    const begun = performance.now();
    for (let done = 0; done < count; done += CHUNK) {
      const until = Math.min(done + CHUNK, count);
      await loadChunk(client, already, done, until, count);
      const rate = Math.round((until / (performance.now() - begun)) * 1000);
      if (until === count || until % (CHUNK * 10) === 0)
        say(`load: ${until} of ${count} orders, ${rate}/s`);
    }
    // What autovacuum would have done long ago on a database that has grown by itself.
    await client.query('vacuum (analyze)');
    await client.query('checkpoint');
  } finally {
    await client.end();
  }
}

async function refuseUnfit(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ orders: string | null; payments: string | null }>(
    `select to_regclass('orders.orders') as orders, to_regclass('payments.payments') as payments`,
  );
  if (rows[0]?.orders == null || rows[0].payments == null)
    throw new Error('The tables are not there yet: run "waybill migrate" on this database first.');
  const busy = await askNumber(
    client,
    `select count(*) from (select until from orders.leases union all
       select until from payments.leases) l where until > now()`,
  );
  if (busy > 0) throw new Error('A Waybill runs on this database; stop it first.');
  const open = await askNumber(
    client,
    `select (select count(*) from orders.log where position is null)
       + (select count(*) from payments.log where position is null)
       + (select position - published from orders.log_head)
       + (select position - published from payments.log_head)`,
  );
  if (open > 0)
    throw new Error('Events wait to be published here; start Waybill and let it do so.');
}

async function loadChunk(
  client: pg.Client,
  already: number,
  from: number,
  until: number,
  count: number,
): Promise<void> {
  await client.query('begin');
  await client.query(MAKE_CHUNK, [already, from, until, count, DAYS]);
  for (const statement of COMMIT_CHUNK) await client.query(statement);
  await client.query('commit');
}
