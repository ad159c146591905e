/** The whole way of events within PostgreSQL, by the kit's own relay and consumer. */
import { setTimeout as pause } from 'node:timers/promises';
import { openPostgresBus } from '@waybill/kit/bus/postgres.ts';
import { startConsumer, type ConsumerOptions } from '@waybill/kit/consumer.ts';
import { openDatabase, type Database } from '@waybill/kit/db.ts';
import { startRelay, wakeSequencer } from '@waybill/kit/eventlog.ts';
import type { Inbox } from '@waybill/kit/inbox.ts';
import { openLeases } from '@waybill/kit/leases.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { migrateAll, roleOf, rolePassword } from '@waybill/kit/migrate.ts';
import { askNumber, connect } from './database.ts';

const PRODUCER = 'benchproducer';
const CONSUMER = 'benchconsumer';
const ROLE_PREFIX = 'bench';
const SECRET = 'the-secret-of-a-bench-that-keeps-none';
const PATIENCE_MS = 120_000;

export interface LogPath {
  /** Commits so many events and follows them into the inbox. Returns events a second. */
  carry(count: number): Promise<number>;
}

/** A producer and a consumer with schemas and roles of their own, both in this process. */
export async function openLogPath(stack: AsyncDisposableStack, url: string): Promise<LogPath> {
  const log = openLogger('silent');
  const service = (name: string, consumes: string[]) => ({
    name,
    databaseUrl: url,
    migrations: {},
    consumes,
  });
  await migrateAll({
    services: [service(PRODUCER, []), service(CONSUMER, [PRODUCER])],
    busUrl: url,
    rolePrefix: ROLE_PREFIX,
    poolSize: 8,
    secret: SECRET,
    log,
  });
  const open = (name: string, poolSize: number): Database => {
    const role = roleOf(ROLE_PREFIX, name);
    const password = rolePassword(SECRET, role);
    const database = openDatabase({
      url,
      service: name,
      role,
      password,
      poolSize,
      onError: (error) => void error,
    });
    stack.defer(() => database.close());
    return database;
  };
  const producer = open(PRODUCER, 8);
  const consumer = open(CONSUMER, 8);
  const producing = openLeases(producer, log);
  const consuming = openLeases(consumer, log);
  stack.defer(async () => {
    await Promise.all([producing.stop(), consuming.stop()]);
  });
  startRelay(producer, producing, openPostgresBus(open(PRODUCER, 2), log), []);
  const inbox: Inbox = {
    topic: PRODUCER,
    db: consumer,
    log,
    handles: () => true,
    handle: () => Promise.resolve(),
    partitionOf: () => 0,
    missing: () => Promise.resolve([]),
  };
  const nothingLost: ConsumerOptions['producer'] = {
    ofKey: () => Promise.resolve([]),
    heads: () => Promise.resolve([]),
    range: () => Promise.resolve([]),
  };
  const bus = openPostgresBus(open(CONSUMER, 2), log);
  startConsumer(inbox, { leases: consuming, bus, producer: nothingLost });
  const owner = await connect(stack, url);
  return {
    async carry(count) {
      const target = (await askNumber(owner, `select position from ${PRODUCER}.log_head`)) + count;
      const begun = performance.now();
      await owner.query(COMMIT_EVENTS, [count]);
      wakeSequencer(PRODUCER);
      while ((await askNumber(owner, CONSUMED, [PRODUCER])) < target) {
        if (performance.now() - begun > PATIENCE_MS) throw new Error('the events did not arrive');
        await pause(10);
      }
      return (count / (performance.now() - begun)) * 1000;
    },
  };
}

const CONSUMED = `select coalesce(max(position), 0) from ${CONSUMER}.cursors
  where topic = $1 and partition = 0`;

// One commit for all of them, so that what is measured is their way and not their birth.
const COMMIT_EVENTS = `insert into ${PRODUCER}.log (key, version, type, data)
  select gen_random_uuid()::text, 1, 'ORDER_CREATED', json_build_object(
    'number', 1000000000 + i, 'channel', 'delivery', 'customer_id', 'customer_123',
    'currency', 'USD', 'total_minor', 2598, 'from', null, 'to', 'PENDING',
    'payment', json_build_object('method', 'card', 'token', null),
    'items', json_build_array(
      json_build_object('item_id', 'item_001', 'quantity', 2, 'unit_minor', 1299)))
  from generate_series(1, $1::integer) i`;
