/** The event log under writers that pause, sequencers that compete, and connections that die. */
import { beforeAll, describe, expect, test } from 'vitest';
import { createKitDatabase, silent, type KitDatabase } from '../tests/support/kit.ts';
import { until } from '../tests/support/waybill.ts';
import type { Bus, OutgoingEvent } from './bus/port.ts';
import { sleep } from './clock.ts';
import type { Database } from './db.ts';
import { Outage } from './errors.ts';
import { emit, readLogHeads, readLogOfKey, startRelay, trimLog } from './eventlog.ts';
import { random } from './ids.ts';
import type { Leases } from './leases.ts';
import { startLoop } from './loop.ts';

const KEYS = 8;
const WRITERS = 16;

let kit: KitDatabase;

beforeAll(async () => {
  kit = await createKitDatabase('things', [
    'create table things (key text primary key, version integer not null default 0)',
  ]);
});

/** A change of a hot thing: its row lock, a pause in which others overtake, its event. */
function change(db: Database, key: string): Promise<void> {
  return db.transaction(async (tx) => {
    const [row] = await tx.query<{ version: number }>(
      `insert into things values ($1, 1)
       on conflict (key) do update set version = things.version + 1 returning version`,
      [key],
    );
    await sleep(random() * 6);
    const version = row?.version ?? 0;
    await emit(tx, 'things', [{ key, version, type: 'THING_CHANGED', data: { version } }]);
    await sleep(random() * 3);
  });
}

/** Numbers without a pause, for as long as there is writing. */
async function number(db: Database, writing: AbortSignal): Promise<void> {
  while (!writing.aborted)
    await db.query('select position from sequence_log(3)').catch(() => sleep(20));
}

/** A lease that everybody gets: relays that should take turns compete instead. */
const everybody: Leases = {
  hold: (name, work) => startLoop(name, silent, (signal) => work(signal, false)),
  stop: async () => {},
};

interface Published {
  readonly bus: Bus;
  readonly events: OutgoingEvent[];
}

function createBus(): Published {
  const events: OutgoingEvent[] = [];
  const bus: Bus = {
    partitions: 1,
    declare: async () => {},
    subscribe: async () => async () => {},
    ping: async () => {},
    close: async () => {},
    async publish(_topic, batch) {
      await sleep(random() * 2);
      if (random() < 0.05) throw new Outage('bus', 'away for a moment');
      events.push(...batch);
    },
  };
  return { bus, events };
}

interface Logged {
  readonly position: string | null;
  readonly key: string;
  readonly version: number;
}

test('nothing is lost, skipped or out of order', { timeout: 60_000 }, async () => {
  const { bus, events } = createBus();
  const relays = [1, 2, 3].map(() => startRelay(kit.open(), everybody, bus, []));
  const writing = new AbortController();
  const writers = Array.from({ length: WRITERS }, async (_, writer) => {
    const db = kit.open({ poolSize: 2 });
    for (let turn = writer; !writing.signal.aborted; turn++)
      await change(db, `thing ${turn % KEYS}`).catch(() => sleep(20));
  });
  const rivals = [1, 2, 3].map(() => number(kit.open({ poolSize: 1 }), writing.signal));
  let killed = 0;
  for (let round = 0; round < 30; round++) {
    await sleep(100);
    killed += await kit.terminate(2);
  }
  writing.abort();
  await Promise.all([...writers, ...rivals]);
  const unnumbered = () => kit.owner('select 1 from things.log where position is null');
  await until(async () => (await unnumbered()).length === 0, 20_000);
  const log = await kit.owner<Logged>('select position, key, version from log order by position');
  await until(() => events.some(({ position }) => position === log.length), 20_000);
  await Promise.all(relays.map((stop) => stop()));

  expect(killed).toBeGreaterThan(20);
  expect(log.length).toBeGreaterThan(200);
  expect(log.map(({ position }) => Number(position))).toEqual(log.map((_, index) => index + 1));
  const versions = new Map<string, number>();
  for (const { key, version } of log) {
    expect(version, key).toBe((versions.get(key) ?? 0) + 1);
    versions.set(key, version);
  }
  const truth = await kit.owner<{ key: string; version: number }>(
    'select key, version from things',
  );
  expect(versions).toEqual(new Map(truth.map(({ key, version }) => [key, version])));
  expectEveryPosition(events, log.length);
});

/** Again is allowed, later is not: a position appears first when all before it have. */
function expectEveryPosition(events: readonly OutgoingEvent[], count: number): void {
  let highest = 0;
  for (const { position } of events) {
    expect(position).toBeLessThanOrEqual(highest + 1);
    highest = Math.max(highest, position);
  }
  expect(highest).toBe(count);
}

describe('the log', () => {
  test('refuses a second event of one version', async () => {
    const db = kit.open();
    const event = { key: 'twin', version: 1, type: 'THING_CHANGED', data: {} };
    await db.transaction((tx) => emit(tx, 'things', [event]));
    await expect(db.transaction((tx) => emit(tx, 'things', [event]))).rejects.toThrow('duplicate');
  });

  test('holds no event of a transaction that was rolled back', async () => {
    const db = kit.open();
    const failing = db.transaction(async (tx) => {
      await emit(tx, 'things', [{ key: 'undone', version: 1, type: 'THING_CHANGED', data: {} }]);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await kit.owner(`select 1 from log where key = 'undone'`)).toEqual([]);
  });

  test('shows the events of a key after a version, and heads once they have settled', async () => {
    const db = kit.open();
    const { bus, events } = createBus();
    const stop = startRelay(db, everybody, bus, []);
    for (const version of [1, 2, 3])
      await db.transaction((tx) =>
        emit(tx, 'things', [{ key: 'shown', version, type: 'THING_CHANGED', data: { version } }]),
      );
    await until(() => events.some((event) => event.key === 'shown' && event.body.includes(':3}')));
    await stop();
    const later = await readLogOfKey(db, 'shown', 1, 100);
    expect(later.map(({ version, data }) => [version, data])).toEqual([
      [2, { version: 2 }],
      [3, { version: 3 }],
    ]);
    const before = (later[0]?.position ?? 0) - 1;
    expect((await readLogHeads(db, before, 10)).map(({ key }) => key)).not.toContain('shown');
    await kit.owner(`update log set time = time - interval '3 seconds' where key = 'shown'`);
    expect((await readLogHeads(db, before, 10)).filter(({ key }) => key === 'shown')).toHaveLength(
      2,
    );
  });

  test('is trimmed of what is old, and of nothing that was not published', async () => {
    const db = kit.open();
    await kit.owner(`update log set time = now() - interval '31 days' where position <= 50`);
    await kit.owner('update log_head set published = 40');
    await trimLog(db, 30);
    const [left] = await kit.owner<{ first: string }>('select min(position) as first from log');
    expect(Number(left?.first)).toBe(41);
  });
});
