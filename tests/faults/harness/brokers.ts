/** The engine of a run: the bus in PostgreSQL, or a private broker that can be killed and wiped. */
import {
  canRun,
  findRabbit,
  findRedis,
  startPrivateRabbit,
  startPrivateRedis,
  type PrivateServer,
} from '../../bus/servers.ts';

export const ENGINES = ['postgres', 'amqp', 'redis'] as const;
export type Engine = (typeof ENGINES)[number];

/** Whether the engine's program is here; loud when not, an error where everything was installed. */
export function canRunEngine(suite: string, engine: Engine): boolean {
  if (engine === 'postgres') return true;
  if (engine === 'amqp') return canRun(suite, findRabbit(), 'rabbitmq-server');
  return canRun(suite, findRedis(), 'redis-server');
}

/** Starts the engine's broker; undefined for PostgreSQL, which is there anyway. */
export async function startBroker(engine: Engine): Promise<PrivateServer | undefined> {
  if (engine === 'postgres') return undefined;
  return engine === 'amqp' ? startPrivateRabbit() : startPrivateRedis();
}
