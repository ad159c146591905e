/** `waybill config`: every setting with its value in effect and where that comes from. */
import {
  isLoopback,
  originOf,
  parseSettings,
  platformSettings,
  readEnvironment,
  type Environment,
} from '@waybill/kit/config.ts';
import { configure } from '@waybill/kit/settings.ts';
import { sandboxFaults, sandboxSettings, wantsSandbox } from '../sandbox-process.ts';
import { loadServices } from '../services.ts';
import { renderTable } from '../text-table.ts';

interface Shown {
  readonly name: string;
  readonly value: string;
  readonly from: string;
}

/** Prints the settings by owner; rejects with every fault at once. */
export async function showConfiguration(): Promise<void> {
  const environment = readEnvironment();
  const services = await loadServices([]);
  const faults: string[] = [];
  const platform = parseSettings(platformSettings, environment, faults);
  const loopback = platform.host === undefined || isLoopback(platform.host);
  const derived: Readonly<Record<string, string>> = {
    AUTH_MODE: loopback ? 'open' : 'jwt',
    DATABASE_URL: `(the embedded database in ${platform.dataDir}/postgres)`,
    BUS_URL: '(the database)',
    WAYBILL_SECRET: `(a file in ${platform.dataDir})`,
    ...(loopback ? { PAYMENT_PROVIDER: 'sandbox' } : {}),
  };
  const show = (owner: string, settings: readonly Told[]) => {
    const rows = settings.map((setting) => {
      const { name, value, from } = describe(setting, environment, derived);
      return [name, value, from];
    });
    process.stdout.write(`${owner}\n${indent(renderTable(['name', 'value', 'from'], rows))}\n\n`);
  };
  show('platform', [
    ...Object.values(platformSettings),
    ...services
      .filter((service) => service.migrations !== undefined)
      .map(({ name }) => ({
        ...platformSettings.databaseUrl,
        env: `${name.toUpperCase()}_DATABASE_URL`,
      })),
  ]);
  for (const { name, settings } of services)
    if (Object.keys(settings).length > 0) show(name, Object.values(settings));
  const bringsSandbox = wantsSandbox(environment);
  if (bringsSandbox) show('sandbox', sandboxSettings(platform.dataDir));
  // As `waybill serve` would judge them; the secret is given, so that none is made by looking.
  const given = { SANDBOX_URL: 'http://127.0.0.1', WAYBILL_SECRET: 'only to be looked at' };
  const faultsAlong = bringsSandbox ? sandboxFaults(environment) : [];
  configure(services, { ...given, ...environment }, 'postgres://127.0.0.1/waybill', faultsAlong);
}

interface Told {
  readonly env: string;
  readonly fallback?: string | undefined;
  readonly secret?: boolean;
}

function describe(
  setting: Told,
  environment: Environment,
  derived: Readonly<Record<string, string>>,
): Shown {
  const { env, secret } = setting;
  const given = environment[env]?.trim() ?? '';
  if (given !== '')
    return { name: env, value: secret === true ? hide(given) : given, from: originOf(env) ?? '' };
  const file = environment[`${env}_FILE`]?.trim() ?? '';
  if (file !== '') return { name: env, value: '••••••', from: `${env}_FILE (${file})` };
  const value = setting.fallback ?? derived[env];
  return { name: env, value: value ?? '–', from: value === undefined ? 'not set' : 'default' };
}

/** Of a URL all but its password and parameters is shown; of anything else nothing. */
function hide(value: string): string {
  if (!URL.canParse(value) || !value.includes('://')) return '••••••';
  const url = new URL(value);
  const user = url.username === '' ? '' : `${url.username}${url.password === '' ? '' : ':••••••'}@`;
  const parameters = url.search === '' ? '' : '?••••••';
  return `${url.protocol}//${user}${url.host}${url.pathname}${parameters}`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
