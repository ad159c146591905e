/** The database that a command works on: DATABASE_URL's, or else the embedded one. */
import type { Platform } from '@waybill/kit/config.ts';
import { hasEmbeddedDatabase, startEmbeddedDatabase } from './embedded-database.ts';
import { UsageFault } from './services.ts';

export interface DatabaseChoice {
  readonly platform: Platform;
  /** Named on the command line. */
  readonly url?: string | undefined;
  /** Makes the embedded database if there is none yet; otherwise that is the caller's mistake. */
  readonly create: boolean;
}

/**
 * Runs the work on the database. The embedded one is started for it and stopped afterwards, unless
 * it runs already.
 */
export async function withDatabase<Result>(
  { platform, url, create }: DatabaseChoice,
  work: (url: string) => Promise<Result>,
): Promise<Result> {
  const named = url ?? platform.databaseUrl;
  if (named !== undefined) return work(named);
  if (!create && !hasEmbeddedDatabase(platform.dataDir))
    throw new UsageFault(
      `There is no database in ${platform.dataDir} yet: start "waybill serve" first, or name one ` +
        'by DATABASE_URL.',
    );
  const database = await startEmbeddedDatabase(platform.dataDir, undefined, 'borrow');
  try {
    return await work(database.url);
  } finally {
    await database.stop();
  }
}
