/** `waybill verify`: the invariants, judged on what is in the database. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment, Platform } from '@waybill/kit/config.ts';
import { readOrCreateSecret } from '@waybill/kit/secrets.ts';
import { withDatabase } from '../own-database.ts';
import { readPlatform } from '../platform.ts';
import { sandboxControlSecret } from '../sandbox-process.ts';
import { UsageFault } from '../services.ts';
import { verifyDatabase } from '../verify/database.ts';
import { readRemoteJournal } from '../verify/remote-journal.ts';
import { renderReport } from '../verify/report.ts';

export interface VerifyCommand {
  readonly journal?: string;
  readonly client?: string;
  readonly databaseUrl?: string;
  readonly wait: number;
  readonly json?: boolean;
}

/** Judges and prints; exit code 1 when anything is violated. */
export async function verify(options: VerifyCommand): Promise<void> {
  const { environment, platform } = readPlatform();
  const skipped: Record<string, string> = {};
  const journal = journalOf(options.journal, environment, platform, skipped);
  if (options.client !== undefined && !existsSync(options.client))
    throw new UsageFault(`There is no file ${options.client}.`);
  const choice = { platform, url: options.databaseUrl, create: false };
  const report = await withDatabase(choice, (databaseUrl) =>
    verifyDatabase({
      databaseUrl,
      waitSeconds: options.wait,
      ...(journal === undefined ? {} : { journal }),
      ...(options.client === undefined ? {} : { client: options.client }),
    }),
  );
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(report, undefined, 2)}\n`
      : renderReport(report, skipped),
  );
  if (!report.ok) process.exitCode = 1;
}

/** The second witness: where it was said to be, or where `waybill serve` puts it. */
function journalOf(
  named: string | undefined,
  environment: Environment,
  platform: Platform,
  skipped: Record<string, string>,
): string | AsyncIterable<object> | undefined {
  if (named !== undefined && /^https?:\/\//.test(named)) {
    const secret =
      environment['SANDBOX_SECRET'] ??
      sandboxControlSecret(platform.secret ?? readOrCreateSecret(platform.dataDir));
    return readRemoteJournal(named, secret);
  }
  const folder = environment['SANDBOX_DATA_DIR'] ?? join(platform.dataDir, 'sandbox');
  const file = named ?? join(folder, 'journal.jsonl');
  if (existsSync(file)) return file;
  if (named !== undefined) throw new UsageFault(`There is no journal ${named}.`);
  skipped['journal'] =
    `The provider's journal was not asked: there is none at ${file}. --journal names one.`;
  return undefined;
}
