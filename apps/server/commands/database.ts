/** `waybill database`: the embedded PostgreSQL alone, for other processes to point at. */
import closeWithGrace from 'close-with-grace';
import { openLogger } from '@waybill/kit/logger.ts';
import { startEmbeddedDatabase, superviseDatabase } from '../embedded-database.ts';
import { readPlatform } from '../platform.ts';

export interface DatabaseOptions {
  readonly port?: number;
  readonly showUrl?: boolean;
}

/** Starts it and stays until Ctrl-C. Where another process runs it already, only tells so. */
export async function runDatabase(options: DatabaseOptions): Promise<void> {
  const { platform } = readPlatform();
  const database = await startEmbeddedDatabase(platform.dataDir, options.port);
  const { url, notice, shared } = database;
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
  if (shared) return;
  const unwatch = superviseDatabase(database, openLogger(platform.logLevel));
  closeWithGrace({ delay: 35_000, logger: false }, async () => {
    await unwatch();
    await database.stop();
  });
}
