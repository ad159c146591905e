/** What the bench asks a database itself. */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

/** A connection as the owner, ended with the stack. */
export async function connect(stack: AsyncDisposableStack, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  stack.defer(() => client.end());
  return client;
}

/** The single number that a statement returns. */
export async function askNumber(
  client: pg.Client,
  text: string,
  values: readonly unknown[] = [],
): Promise<number> {
  const result = await client.query<Record<string, unknown>>(text, [...values]);
  return Number(Object.values(result.rows[0] ?? {})[0]);
}

/** Waits until the statement returns 0. */
export async function untilNone(
  client: pg.Client,
  what: string,
  text: string,
  timeoutMs: number,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const left = await askNumber(client, text);
    if (left === 0) return;
    if (performance.now() > deadline)
      throw new Error(`${left} ${what} are left after ${Math.round(timeoutMs / 1000)} s`);
    await pause(100);
  }
}

/** Waits until the relay has published all that was accepted, so that the next has the machine. */
export async function untilPublished(client: pg.Client): Promise<void> {
  await untilNone(
    client,
    'events',
    `select (select count(*) from orders.log where position is null)
       + (select position - published from orders.log_head)`,
    120_000,
  );
}
