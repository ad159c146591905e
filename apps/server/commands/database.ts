/** `waybill database`: the embedded PostgreSQL alone, for other processes to point at. */
import { openLogger } from '@waybill/kit/logger.ts';
import { startEmbeddedDatabase, superviseDatabase } from '../embedded-database.ts';
import { endInOrder } from '../grace.ts';
import { readPlatform } from '../platform.ts';

export interface DatabaseOptions {
  readonly port?: number;
  readonly showUrl?: boolean;
}

/** Starts it and stays until Ctrl-C. Where another process runs it already, only tells so. */
export async function runDatabase(options: DatabaseOptions): Promise<void> {
  const { platform } = readPlatform();
  const starting = startEmbeddedDatabase(platform.dataDir, options.port);
  let unwatch = async () => {};
  endInOrder(async () => {
    await unwatch();
    await (await starting).stop();
  }, 35_000);
  const database = await starting;
  const { notice, shared } = database;
  const url = overTcp(database.url);
  if (notice !== undefined) process.stderr.write(`${notice}\n`);
  if (options.showUrl === true) process.stdout.write(`${url}\n`);
  const hidden = url.replace(/:[^:@/]+@/, ':••••••@');
  process.stderr.write(
    shared
      ? `PostgreSQL runs already at ${hidden}, in another process's care.\n`
      : `PostgreSQL is ready at ${hidden}; Ctrl-C stops it.\n`,
  );
  if (options.showUrl !== true)
    process.stderr.write('--show-url prints the address with its password, for DATABASE_URL.\n');
  if (shared) process.exit(0);
  unwatch = superviseDatabase(database, openLogger(platform.logLevel));
}

/** The address that every tool takes, also one that knows no sockets. */
function overTcp(url: string): string {
  const address = new URL(url);
  address.searchParams.delete('host');
  return address.href;
}
