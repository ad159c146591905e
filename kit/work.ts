/** What a service does besides answering: relay, consumers, tasks, sweeps. */
import { partitionOf, type Bus } from './bus/port.ts';
import type { Client } from './client.ts';
import { sleep } from './clock.ts';
import { startConsumer, type ProducerLog } from './consumer.ts';
import { deadlineIn } from './deadline.ts';
import type { Database } from './db.ts';
import { startRelay, trimLog } from './eventlog.ts';
import { trimKeys } from './idempotency.ts';
import type { Inbox } from './inbox.ts';
import { openLeases } from './leases.ts';
import type { Stop } from './loop.ts';
import type { Service, ServiceContext } from './service.ts';
import type { Configuration } from './settings.ts';
import { startTasks } from './tasks.ts';

/** One service as it runs here. */
export interface Running {
  readonly service: Service;
  readonly context: ServiceContext;
  readonly db: Database | undefined;
  readonly bus: Bus | undefined;
  readonly inboxes: Map<string, Inbox>;
}

/** Starts relay, consumers, tasks and sweeps of one service. */
export function startWork(running: Running, configuration: Configuration): Stop {
  const { service, context, db, bus, inboxes } = running;
  if (db === undefined || bus === undefined) return async () => {};
  const { log } = context;
  const leases = openLeases(db, log);
  const producer = producerLog(context.client);
  startRelay(db, leases, bus, []);
  for (const consumer of service.consumers) {
    const handlers = consumer.handlers as Record<string, (...parts: unknown[]) => Promise<void>>;
    inboxes.set(consumer.topic, {
      topic: consumer.topic,
      restMs: consumer.restMs,
      db,
      log,
      handles: (type) => type in handlers,
      handle: (tx, type, events) => handlers[type]?.(tx, events, context) ?? Promise.resolve(),
      partitionOf: (key) => partitionOf(key, bus.partitions),
      missing: (key, afterVersion) => producer.ofKey(consumer.topic, key, afterVersion),
    });
    startConsumer(inboxes.get(consumer.topic) as Inbox, { leases, bus, producer });
  }
  const stopTasks = startTasks(db, log, service.tasks, context as never);
  const upkeep = [
    {
      name: 'trim log',
      everyMs: 60_000,
      run: () => trimLog(db, configuration.platform.logRetentionDays),
    },
    { name: 'trim idempotency keys', everyMs: 60_000, run: () => trimKeys(db) },
    { name: 'trim bus', everyMs: 10_000, run: async () => bus.trim?.(service.name) },
    ...service.sweeps.map((sweep) => ({ ...sweep, run: () => sweep.run(context as never) })),
  ];
  for (const sweep of upkeep)
    leases.hold(`sweep ${sweep.name}`, async (signal) => {
      while (!signal.aborted) {
        const more = await sweep.run();
        if (more !== true) await sleep(sweep.everyMs, signal);
      }
    });
  return async () => {
    await stopTasks();
    await leases.stop();
  };
}

/** Asks a producer for its log, wherever it runs. */
function producerLog(client: Client): ProducerLog {
  const ask = async <Event>(topic: string, query: Record<string, string | number>) => {
    const path = `/internal/log/${topic}`;
    const reply = await client.call<{ events: Event[] }>(
      topic,
      { method: 'GET', path, query, idempotent: true, line: 'log' },
      deadlineIn(5000),
    );
    return reply.events;
  };
  return {
    ofKey: (topic, key, afterVersion) => ask(topic, { key, after_version: afterVersion }),
    heads: (topic, after) => ask(topic, { after, view: 'heads' }),
    range: (topic, after) => ask(topic, { after }),
  };
}
