/** One embedded PostgreSQL for the whole run; each test file gets databases of its own from it. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedDatabase } from '../../apps/server/embedded-database.ts';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The owner's URL of the run's PostgreSQL server. */
    databaseUrl: string;
  }
}

let stop: (() => Promise<void>) | undefined;

export async function setup(project: TestProject): Promise<void> {
  // Shared by the vitest projects of a run: the first one starts it.
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-test-'));
  chmodSync(dataDir, 0o755);
  const database = await startEmbeddedDatabase(dataDir);
  project.provide('databaseUrl', database.url);
  stop = async () => {
    await database.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
}

export async function teardown(): Promise<void> {
  await stop?.();
}
