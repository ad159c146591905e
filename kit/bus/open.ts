/** Which engine serves which scheme of BUS_URL. A further engine is one file and one line here. */
import type { Database } from '../db.ts';
import type { Logger } from '../logger.ts';
import type { Bus } from './port.ts';

export interface BusOptions {
  readonly url: string;
  readonly partitions: number;
  readonly log: Logger;
  /** A pool of the service's role in the bus's database; asked for by `postgres:` alone. */
  readonly database: () => Database;
}

type Open = (options: BusOptions) => Promise<Bus>;

const amqp: Open = async (options) => (await import('./amqp.ts')).openAmqpBus(options);
const redis: Open = async (options) => (await import('./redis.ts')).openRedisBus(options);
const postgres: Open = async (options) =>
  (await import('./postgres.ts')).openPostgresBus(options.database(), options.log);

const engines: Readonly<Record<string, Open>> = {
  'postgres:': postgres,
  'postgresql:': postgres,
  'amqp:': amqp,
  'amqps:': amqp,
  'redis:': redis,
  'rediss:': redis,
};

/** Opens the engine that the URL's scheme names. */
export function openBus(options: BusOptions): Promise<Bus> {
  const { protocol } = new URL(options.url);
  const open = engines[protocol];
  if (open === undefined) throw new Error(`BUS_URL: no engine for ${protocol}`);
  return open(options);
}

/** Whether the URL names the engine that lives in PostgreSQL. */
export function isPostgresBus(url: string): boolean {
  return /^postgres(ql)?:/.test(url);
}
