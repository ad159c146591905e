/**
 * Settings: declared as tables, parsed once at start, every fault listed at once.
 * The only file that reads the environment.
 */
import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

export interface Setting<Value> {
  readonly env: string;
  readonly help: string;
  /** The default, as one would write it in the environment; none = the setting is optional. */
  readonly fallback?: string;
  /** Hidden by `waybill config`; may also be given as a file named by `<ENV>_FILE`. */
  readonly secret?: boolean;
  /** Returns the value, or throws an Error whose message completes "<ENV> …". */
  readonly parse: (text: string) => Value;
}

type Optional<Declared> = Declared extends { readonly fallback: string } ? never : undefined;
export type SettingsTable = Readonly<Record<string, Setting<unknown>>>;
export type Values<Table extends SettingsTable> = {
  readonly [Name in keyof Table]:
    | (Table[Name] extends Setting<infer Value> ? Value : never)
    | Optional<Table[Name]>;
};

type Declare = { env: string; help: string; secret?: boolean };
type WithFallback = Declare & { fallback: string };

function declare<Value, const D extends Declare | WithFallback>(
  declaration: D,
  parse: (text: string) => Value,
): D & Setting<Value> {
  return { ...declaration, parse } as D & Setting<Value>;
}

/** Any text. */
export function text<const D extends Declare | WithFallback>(declaration: D) {
  return declare(declaration, (value) => value);
}

/** A whole number within bounds. */
export function integer<const D extends Declare | WithFallback>(
  declaration: D,
  bounds: { min: number; max: number },
) {
  return declare(declaration, (value) => {
    const number = Number(value);
    if (!/^-?\d+$/.test(value) || number < bounds.min || number > bounds.max)
      throw new Error(`must be a whole number from ${bounds.min} to ${bounds.max}`);
    return number;
  });
}

/** A decimal number within bounds. */
export function decimal<const D extends Declare | WithFallback>(
  declaration: D,
  bounds: { min: number; max: number },
) {
  return declare(declaration, (value) => {
    const number = Number(value);
    if (!/^\d+(\.\d+)?$/.test(value) || number < bounds.min || number > bounds.max)
      throw new Error(`must be a number from ${bounds.min} to ${bounds.max}`);
    return number;
  });
}

/** One of a few words. */
export function choice<const Word extends string, const D extends Declare | WithFallback>(
  declaration: D,
  words: readonly Word[],
) {
  return declare(declaration, (value) => {
    if (!words.includes(value as Word)) throw new Error(`must be one of ${words.join(', ')}`);
    return value as Word;
  });
}

/** On or off: 1, true, yes, on / 0, false, no, off. */
export function flag<const D extends Declare | WithFallback>(declaration: D) {
  return declare(declaration, (value) => {
    if (/^(1|true|yes|on)$/i.test(value)) return true;
    if (/^(0|false|no|off)$/i.test(value)) return false;
    throw new Error('must be 1 or 0');
  });
}

/** A URL with one of the schemes. */
export function url<const D extends Declare | WithFallback>(
  declaration: D,
  schemes: readonly string[],
) {
  return declare(declaration, (value) => {
    if (!URL.canParse(value)) throw new Error('is not a URL');
    const { protocol } = new URL(value);
    if (!schemes.includes(protocol.slice(0, -1)))
      throw new Error(`must begin with ${schemes.map((scheme) => `${scheme}:`).join(' or ')}`);
    return value;
  });
}

/** A plain http(s) base URL or static list, host name or directory: trimmed text with a rule. */
export function matching<const D extends Declare | WithFallback>(
  declaration: D,
  pattern: RegExp,
  rule: string,
) {
  return declare(declaration, (value) => {
    if (!pattern.test(value)) throw new Error(rule);
    return value;
  });
}

const INSTANCES = String.raw`[a-z]+=https?:\/\/[^,|\s]+(\|https?:\/\/[^,|\s]+)*`;
const STATIC_LIST = new RegExp(`^static:${INSTANCES}(,${INSTANCES})*$`);

/** The settings of the platform itself; each service adds a table of its own. */
export const platformSettings = {
  port: integer(
    { env: 'PORT', help: 'Port of the entrance.', fallback: '8000' },
    { min: 0, max: 65535 },
  ),
  host: matching(
    { env: 'HOST', help: 'Address to listen on.', fallback: '127.0.0.1' },
    /^[0-9A-Za-z.:_-]{1,253}$/,
    'must be an address or a host name',
  ),
  dataDir: text({
    env: 'DATA_DIR',
    help: 'Folder of the embedded database, the secret and the sandbox journal.',
    fallback: './.waybill',
  }),
  databaseUrl: url(
    {
      env: 'DATABASE_URL',
      help: "The owner's connection to PostgreSQL 15 or newer.",
      secret: true,
    },
    ['postgres', 'postgresql'],
  ),
  databasePoolSize: integer(
    {
      env: 'DATABASE_POOL_SIZE',
      help: 'Connections of each service in each process.',
      fallback: '8',
    },
    { min: 2, max: 200 },
  ),
  databaseRolePrefix: matching(
    {
      env: 'DATABASE_ROLE_PREFIX',
      help: "Begins the name of each service's database role (<prefix>_orders).",
      fallback: 'waybill',
    },
    /^[a-z][a-z0-9_]{0,40}$/,
    'must be lower-case letters, digits and underscores',
  ),
  busUrl: url(
    {
      env: 'BUS_URL',
      help: 'Where events travel: postgres:, amqp: (RabbitMQ) or redis:. Default: the database.',
      secret: true,
    },
    ['postgres', 'postgresql', 'amqp', 'amqps', 'redis', 'rediss'],
  ),
  busPartitions: integer(
    { env: 'BUS_PARTITIONS', help: 'Partitions of a topic on a broker.', fallback: '4' },
    { min: 1, max: 64 },
  ),
  discoveryUrl: matching(
    {
      env: 'DISCOVERY_URL',
      help: 'Where services of other processes are: static:orders=http://…,payments=http://…|http://…',
    },
    STATIC_LIST,
    'must look like static:orders=http://host:port,payments=http://host:port|http://host:port',
  ),
  secret: matching(
    {
      env: 'WAYBILL_SECRET',
      help:
        'Shared by all processes: signs identities, cursors and hashes. ' +
        'Default: a file in DATA_DIR.',
      secret: true,
    },
    /^.{16,}$/s,
    'must have at least 16 characters',
  ),
  authMode: choice(
    {
      env: 'AUTH_MODE',
      help:
        'open: anonymous callers act as a demo admin (default on loopback); ' +
        'jwt: a token is needed (default elsewhere).',
    },
    ['open', 'jwt'],
  ),
  allowOpen: flag({
    env: 'ALLOW_OPEN',
    help: '1 lets AUTH_MODE=open listen on other addresses than loopback.',
    fallback: '0',
  }),
  rateLimit: integer(
    {
      env: 'RATE_LIMIT',
      help: 'Requests a minute and caller (jwt mode); 0 = none.',
      fallback: '600',
    },
    { min: 0, max: 10_000_000 },
  ),
  logLevel: choice({ env: 'LOG_LEVEL', help: 'How much is logged.', fallback: 'info' }, [
    'fatal',
    'error',
    'warn',
    'info',
    'debug',
    'trace',
    'silent',
  ]),
  metricsToken: text({
    env: 'METRICS_TOKEN',
    help: 'A bearer token that may read /metrics in jwt mode, for Prometheus.',
    secret: true,
  }),
  logRetentionDays: integer(
    { env: 'LOG_RETENTION_DAYS', help: 'How long the event log is kept.', fallback: '30' },
    { min: 1, max: 36_500 },
  ),
  otlpEndpoint: url(
    { env: 'OTEL_EXPORTER_OTLP_ENDPOINT', help: 'OTLP/HTTP collector for traces; none = off.' },
    ['http', 'https'],
  ),
  demoData: flag({
    env: 'DEMO_DATA',
    help: "Whether an unused Waybill gets the petstore's demo data; in open mode alone.",
    fallback: '1',
  }),
  failpoints: text({
    env: 'FAILPOINTS',
    help: 'For tests: where the process shall kill itself, throw, hang or repeat a step.',
  }),
} as const;

export type Platform = Values<typeof platformSettings>;

/** Every fault of a configuration, to be shown at once. */
export class ConfigurationFault extends Error {
  override readonly name = 'ConfigurationFault';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    // Services may share a setting, and then its fault.
    this.faults = [...new Set(faults)];
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment on top of `.env` in the working folder. */
export function readEnvironment(folder = process.cwd()): Environment {
  return { ...readDotEnv(folder), ...process.env };
}

/** Which of the two a variable comes from, if it is there at all. */
export function originOf(name: string, folder = process.cwd()): 'environment' | '.env' | undefined {
  if (process.env[name] !== undefined) return 'environment';
  return readDotEnv(folder)[name] === undefined ? undefined : '.env';
}

function readDotEnv(folder: string): Environment {
  const file = `${folder}/.env`;
  if (!existsSync(file)) return {};
  try {
    return parseEnv(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ConfigurationFault([`${file} cannot be read: ${(error as Error).message}.`]);
  }
}

/** Parses one table. Faults are collected, not thrown, so that the caller can list them all. */
export function parseSettings<Table extends SettingsTable>(
  table: Table,
  environment: Environment,
  faults: string[],
): Values<Table> {
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(table)) {
    const given = rawValue(setting, environment, faults);
    const value = given ?? setting.fallback;
    if (value === undefined) {
      values[name] = undefined;
      continue;
    }
    try {
      values[name] = setting.parse(value.trim());
    } catch (error) {
      const shown = setting.secret === true ? '' : `"${value}": `;
      faults.push(`${setting.env}: ${shown}${(error as Error).message}.`);
    }
  }
  return values as Values<Table>;
}

function rawValue(setting: Setting<unknown>, environment: Environment, faults: string[]) {
  const given = environment[setting.env];
  if (given !== undefined && given.trim() !== '') return given;
  const file = environment[`${setting.env}_FILE`];
  if (file === undefined || file.trim() === '') return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    faults.push(`${setting.env}_FILE: the file "${file}" cannot be read.`);
    return undefined;
  }
}

/** Whether an address can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
