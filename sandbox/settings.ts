import { readFileSync } from 'node:fs';

import type { SandboxOptions } from './gateway.ts';
import type { InboxOptions } from './mail/inbox.ts';
import type { SourcesOptions } from './sources.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export type ParsedSettings =
  | {
      readonly options: SandboxOptions;
      readonly inbox: InboxOptions;
      readonly sources: SourcesOptions;
    }
  | { readonly faults: readonly string[] };

const SHORTEST_SECRET = 8;

/** Every variable with its default; undefined where it follows from others or is made up. */
export const DEFAULTS: Readonly<Record<string, string | undefined>> = {
  SANDBOX_HOST: '127.0.0.1',
  SANDBOX_PORT: '0',
  SANDBOX_CONTROL_PORT: undefined,
  SANDBOX_SMTP_PORT: '0',
  SANDBOX_INBOX_PORT: '0',
  SANDBOX_SOURCES_PORT: '0',
  SANDBOX_CONTROL_ANY: '0',
  SANDBOX_DATA_DIR: '.waybill/sandbox',
  SANDBOX_SECRET: undefined,
  SANDBOX_CALLBACK_SECRET: undefined,
  SANDBOX_CALLBACK_URL: undefined,
  SANDBOX_SEED: undefined,
  PAYMENT_MOCK_SUCCESS_RATE: '0.95',
  PAYMENT_MOCK_LATENCY_MIN: '50',
  PAYMENT_MOCK_LATENCY_MAX: '200',
};

/** Reads the process's settings, and finds every fault in them rather than the first. */
export function parseSettings(environment: Environment): ParsedSettings {
  const faults: string[] = [];
  const read = createReader(environment, faults);

  const port = read.integer('SANDBOX_PORT', 0, 65_535);
  const callbackUrl = read.url('SANDBOX_CALLBACK_URL');
  const seed =
    read.text('SANDBOX_SEED') === undefined
      ? undefined
      : read.integer('SANDBOX_SEED', 0, 4_294_967_295);
  const options: SandboxOptions = {
    host: read.text('SANDBOX_HOST') ?? '',
    port,
    controlPort: read.integer('SANDBOX_CONTROL_PORT', 0, 65_535, port === 0 ? 0 : port + 1),
    dataDir: read.text('SANDBOX_DATA_DIR') ?? '',
    secret: read.secret('SANDBOX_SECRET'),
    callbackSecret: read.secret('SANDBOX_CALLBACK_SECRET'),
    successRate: read.number('PAYMENT_MOCK_SUCCESS_RATE', 0, 1),
    latencyMinMs: read.number('PAYMENT_MOCK_LATENCY_MIN', 0, 600_000),
    latencyMaxMs: read.number('PAYMENT_MOCK_LATENCY_MAX', 0, 600_000),
    allowRemoteControl: read.flag('SANDBOX_CONTROL_ANY'),
    ...(callbackUrl !== undefined && { callbackUrl }),
    ...(seed !== undefined && { seed }),
  };
  const inbox: InboxOptions = {
    host: options.host,
    smtpPort: read.integer('SANDBOX_SMTP_PORT', 0, 65_535),
    port: read.integer('SANDBOX_INBOX_PORT', 0, 65_535),
    secret: options.secret,
    allowRemote: options.allowRemoteControl ?? false,
  };
  const sources: SourcesOptions = {
    host: options.host,
    port: read.integer('SANDBOX_SOURCES_PORT', 0, 65_535),
    secret: options.secret,
    allowRemote: options.allowRemoteControl ?? false,
  };
  if (options.latencyMinMs > options.latencyMaxMs) {
    faults.push('PAYMENT_MOCK_LATENCY_MIN is above PAYMENT_MOCK_LATENCY_MAX');
  }
  if (port !== 0 && options.controlPort === port) {
    faults.push('SANDBOX_CONTROL_PORT must differ from SANDBOX_PORT');
  }
  if (options.controlPort > 65_535) faults.push('SANDBOX_PORT leaves no port above it for control');
  return faults.length > 0 ? { faults } : { options, inbox, sources };
}

function createReader(environment: Environment, faults: string[]) {
  const text = (name: string): string | undefined => environment[name]?.trim() || DEFAULTS[name];

  function number(name: string, least: number, most: number, otherwise = 0): number {
    const fallback = Number(DEFAULTS[name] ?? otherwise);
    const given = text(name);
    if (given === undefined) return fallback;
    if (/^\d+(\.\d+)?$/.test(given) && Number(given) >= least && Number(given) <= most) {
      return Number(given);
    }
    faults.push(`${name} must be a number from ${least} to ${most}, not "${given}"`);
    return fallback;
  }

  /** Also from the file that NAME_FILE names, as orchestrators mount secrets. */
  function secret(name: string): string {
    const file = text(`${name}_FILE`);
    let given = text(name);
    if (given === undefined && file !== undefined) {
      try {
        given = readFileSync(file, 'utf8').trim();
      } catch {
        faults.push(`${name}_FILE names ${file}, which cannot be read`);
        return '';
      }
    }
    if (given !== undefined && given.length >= SHORTEST_SECRET) return given;
    faults.push(`${name} must be set to at least ${SHORTEST_SECRET} characters`);
    return '';
  }

  return {
    text,
    number,
    secret,
    integer(name: string, least: number, most: number, otherwise = 0): number {
      const value = number(name, least, most, otherwise);
      if (Number.isInteger(value)) return value;
      faults.push(`${name} must be a whole number, not ${value}`);
      return Number(DEFAULTS[name] ?? otherwise);
    },
    flag(name: string): boolean {
      const given = text(name) ?? '';
      if (given !== '0' && given !== '1') faults.push(`${name} must be 0 or 1, not "${given}"`);
      return given === '1';
    },
    url(name: string): string | undefined {
      const given = text(name);
      if (given === undefined || (/^https?:\/\//.test(given) && URL.canParse(given))) return given;
      faults.push(`${name} must be an http or https address, not "${given}"`);
      return undefined;
    },
  };
}
