/** `waybill migrate`: brings schemas and roles up to date, and ends. */
import { openLogger } from '@waybill/kit/logger.ts';
import { migrate } from '@waybill/kit/run.ts';
import { configure } from '@waybill/kit/settings.ts';
import { withDatabase } from '../own-database.ts';
import { readPlatform } from '../platform.ts';
import { loadServices } from '../services.ts';

/** Migrates the services named, or all; prints what was done. */
export async function migrateDatabase(names: readonly string[]): Promise<void> {
  const { environment, platform } = readPlatform();
  const services = (await loadServices(names))
    .filter((service) => service.migrations !== undefined)
    // What a service needs to run (a payment provider, say) it does not need for its tables.
    .map(({ check: _, ...service }) => service);
  await withDatabase({ platform, create: true }, async (url) => {
    const configuration = configure(services, environment, url);
    const done = await migrate(services, configuration, openLogger('silent'));
    for (const { name } of services) {
      const carriedOut = done.filter(({ service }) => service === name);
      const told = carriedOut.map(({ migration }) => migration).join(', ');
      process.stdout.write(`${name}: ${told === '' ? 'up to date' : `carried out ${told}`}\n`);
    }
  });
}
