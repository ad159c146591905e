/** The configuration of one process: platform and services, judged together. */
import {
  ConfigurationFault,
  isLoopback,
  parseSettings,
  platformSettings,
  type Environment,
  type Platform,
} from './config.ts';
import { readOrCreateSecret } from './secrets.ts';
import type { Service } from './service.ts';

export interface Configuration {
  readonly platform: Platform & {
    readonly authMode: 'open' | 'jwt';
    readonly secret: string;
  };
  /** Each service's settings, by its name. */
  readonly settings: ReadonlyMap<string, unknown>;
  /** Each service's owner database URL, by its name. */
  readonly databaseUrls: ReadonlyMap<string, string>;
  readonly busUrl: string;
}

/**
 * Parses everything, or throws one ConfigurationFault with every fault.
 * @param databaseUrl used where DATABASE_URL is not set (the embedded database)
 * @param otherFaults what is wrong with settings of programs that are started along
 */
export function configure(
  services: readonly Service[],
  environment: Environment,
  databaseUrl?: string,
  otherFaults: readonly string[] = [],
): Configuration {
  const faults: string[] = [];
  const given = parseSettings(platformSettings, environment, faults);
  const readable = faults.length === 0;
  const platform = {
    ...given,
    authMode: given.authMode ?? (isLoopback(given.host) ? 'open' : 'jwt'),
    secret: '',
  } as Configuration['platform'];
  if (platform.authMode === 'open' && !isLoopback(platform.host) && !platform.allowOpen)
    faults.push(
      `AUTH_MODE=open: refused on HOST=${platform.host}, which others can reach; ` +
        'use AUTH_MODE=jwt, or ALLOW_OPEN=1 where a network you trust is in front.',
    );
  const settings = new Map<string, unknown>();
  for (const service of services) {
    const before = faults.length;
    const values = parseSettings(service.settings, environment, faults);
    settings.set(service.name, values);
    // Judged together only where each of them could be read.
    if (readable && faults.length === before)
      faults.push(...(service.check?.(values, platform) ?? []));
  }
  const urls = databaseUrlsOf(services, environment, platform.databaseUrl ?? databaseUrl, faults);
  faults.push(...otherFaults);
  if (faults.length > 0) throw new ConfigurationFault(faults);
  const secret =
    platform.secret === '' ? secretOf(given.secret, platform.dataDir) : platform.secret;
  const main = platform.databaseUrl ?? databaseUrl ?? [...urls.values()][0] ?? '';
  return {
    platform: { ...platform, secret },
    settings,
    databaseUrls: urls,
    busUrl: platform.busUrl ?? main,
  };
}

function secretOf(given: string | undefined, dataDir: string): string {
  return given ?? readOrCreateSecret(dataDir);
}

function databaseUrlsOf(
  services: readonly Service[],
  environment: Environment,
  main: string | undefined,
  faults: string[],
): Map<string, string> {
  const urls = new Map<string, string>();
  for (const { name, migrations } of services) {
    if (migrations === undefined) continue;
    const env = `${name.toUpperCase()}_DATABASE_URL`;
    const { own } = parseSettings(
      { own: { ...platformSettings.databaseUrl, env } },
      environment,
      faults,
    );
    const url = own ?? main;
    if (url === undefined)
      faults.push(
        `DATABASE_URL: is needed to run ${name} on its own; "waybill serve" without names brings ` +
          'its own database, and "waybill database" starts one to point at.',
      );
    else urls.set(name, url);
  }
  return urls;
}
