/** The PostgreSQL bus for the contract: the owner registers topics as they are declared. */
import { toBusOutage, type EngineLog } from '../../kit/bus/engine.ts';
import type { Bus } from '../../kit/bus/port.ts';
import { connectOwner, openPostgresBus, setUpPostgresBus } from '../../kit/bus/postgres.ts';
import { openDatabase } from '../../kit/db.ts';
import type { Logger } from '../../kit/logger.ts';

/** Opens the bus as the database's owner, who is allowed every topic. */
export async function openTestBus(options: { url: string; log: EngineLog }): Promise<Bus> {
  const { url, log } = options;
  const db = openDatabase({
    url,
    service: 'bus',
    poolSize: 4,
    statementTimeoutMs: 3000,
    onError: () => {},
  });
  const bus = openPostgresBus(db, log as Logger);
  return {
    ...bus,
    declare: (topic) => register(url, topic),
    // What declares a topic here is the migration; after a start without a server it comes late.
    async publish(topic, events) {
      await register(url, topic);
      await bus.publish(topic, events);
    },
  };
}

async function register(url: string, topic: string): Promise<void> {
  try {
    const owner = await connectOwner(url);
    try {
      await owner.query(`set statement_timeout = '3s'`);
      await owner.query('select pg_advisory_lock(1)');
      const role = new URL(url).username;
      await setUpPostgresBus(owner, [
        { service: topic, role, logIsHere: false, consumes: [topic] },
      ]);
    } finally {
      await owner.end();
    }
  } catch (error) {
    throw toBusOutage(error);
  }
}
