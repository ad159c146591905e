/** Tasks: once each among several runners, taken over from a dead one, given up in the end. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createKitDatabase, silent, type KitDatabase } from '../tests/support/kit.ts';
import { until } from '../tests/support/waybill.ts';
import { monotonicMs, sleep } from './clock.ts';
import type { Database } from './db.ts';
import { Outage } from './errors.ts';
import { newId } from './ids.ts';
import type { Stop } from './loop.ts';
import {
  enqueue,
  hastenTasks,
  LeaseLost,
  startTasks,
  withdrawTasks,
  type NewTask,
  type TaskHandler,
  type TaskRun,
} from './tasks.ts';

let kit: KitDatabase;
let db: Database;
const stops: Stop[] = [];

beforeAll(async () => {
  kit = await createKitDatabase('jobs', [
    'create table effects (key text not null, runner text not null)',
  ]);
  db = kit.open();
});
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
  await kit.owner('delete from tasks');
});

interface Row {
  readonly state: string;
  readonly attempts: number;
  readonly error: string | null;
}

function put(kind: string, ...keys: string[]): Promise<void> {
  const tasks: NewTask[] = keys.map((key) => ({ kind, key, payload: { of: key } }));
  return db.transaction((tx) => enqueue(tx, tasks));
}

async function rowOf(kind: string): Promise<Row | undefined> {
  const rows = await kit.owner<Row>('select state, attempts, error from tasks where kind = $1', [
    kind,
  ]);
  return rows[0];
}

type Run = (task: TaskRun) => Promise<void>;

/** A process of its own as far as the database can tell. */
function runner(kind: string, run: Run, more: Partial<TaskHandler<null>> = {}, pool = kit.open()) {
  const handler: TaskHandler<null> = {
    kind,
    room: (running) => 4 - running,
    timeoutMs: 60_000,
    maxAttempts: 3,
    run,
    ...more,
  };
  stops.push(startTasks(pool, silent, [handler], null));
}

test('each task runs once, whichever of three runners takes it', async () => {
  const ran: string[] = [];
  for (let n = 0; n < 3; n++)
    runner('once', async (task) => {
      await sleep(1);
      ran.push(task.key);
      await db.transaction((tx) => task.finish(tx));
    });
  const keys = Array.from({ length: 300 }, (_, index) => `key ${index}`);
  await put('once', ...keys);
  await until(async () => (await rowOf('once')) === undefined, 15_000);
  expect(ran.toSorted()).toEqual(keys.toSorted());
});

describe('a task', () => {
  test('is one while it is open, however often it is asked for', async () => {
    await put('open', 'a', 'b');
    await put('open', 'a');
    expect(await kit.owner(`select key from tasks where kind = 'open' order by key`)).toEqual([
      { key: 'a' },
      { key: 'b' },
    ]);
  });

  test('does not exist when the transaction that wanted it was rolled back', async () => {
    const failing = db.transaction(async (tx) => {
      await enqueue(tx, [{ kind: 'undone', key: 'a', payload: null }]);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await rowOf('undone')).toBeUndefined();
  });

  test('waits for its time, unless it is hastened', async () => {
    const ran: string[] = [];
    runner('later', async (task) => void ran.push(task.key));
    await db.transaction((tx) =>
      enqueue(tx, [{ kind: 'later', key: 'a', payload: null, delayMs: 3_600_000 }]),
    );
    await sleep(500);
    expect(ran).toEqual([]);
    await db.transaction((tx) => hastenTasks(tx, 'later', ['a']));
    await until(() => ran.length === 1);
  });

  test('that is withdrawn never runs', async () => {
    const ran: string[] = [];
    await put('withdrawn', 'a', 'b');
    await db.transaction((tx) => withdrawTasks(tx, 'withdrawn', ['a']));
    runner('withdrawn', async (task) => void ran.push(task.key));
    await until(async () => (await rowOf('withdrawn')) === undefined);
    expect(ran).toEqual(['b']);
  });

  test('ends with its effect, or neither happens', async () => {
    let tries = 0;
    runner('effect', (task) =>
      db.transaction(async (tx) => {
        await tx.query('insert into effects values ($1, $2)', [task.key, 'effect']);
        await task.finish(tx);
        if (++tries === 1) throw new Error('after all');
      }),
    );
    await put('effect', 'a');
    await until(async () => (await rowOf('effect')) === undefined);
    expect(tries).toBe(2);
    expect(await kit.owner(`select key from effects where runner = 'effect'`)).toHaveLength(1);
  });
});

describe('a run that fails', () => {
  test('is counted, tried again later, and given up in the end', async () => {
    const seen: number[] = [];
    runner('fails', async (task) => {
      seen.push(task.attempts);
      throw new Error('it cannot be done');
    });
    await put('fails', 'a');
    await until(async () => (await rowOf('fails'))?.state === 'dead');
    expect(seen).toEqual([1, 2, 3]);
    expect(await rowOf('fails')).toMatchObject({ attempts: 3, error: 'Error: it cannot be done' });
  });

  test('because something was away is not counted', async () => {
    const seen: number[] = [];
    runner('away', async (task) => {
      seen.push(task.attempts);
      if (seen.length < 5) throw new Outage('somebody', 'away');
    });
    await put('away', 'a');
    await until(async () => (await rowOf('away')) === undefined, 15_000);
    expect(seen).toEqual([1, 1, 1, 1, 1]);
  });

  test('may put itself off, and then starts counting anew', async () => {
    const seen: number[] = [];
    runner('again', async (task) => {
      seen.push(task.attempts);
      if (seen.length < 6) await db.transaction((tx) => task.again(tx, 10));
    });
    await put('again', 'a');
    await until(async () => (await rowOf('again')) === undefined);
    expect(seen).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('because its time is up is told so, and is run again when it will not hear', async () => {
    let aborted = false;
    let runs = 0;
    runner(
      'slow',
      async (task) => {
        if (++runs > 1) return;
        while (!task.signal.aborted) await sleep(20);
        aborted = true;
        await until(() => runs > 1);
      },
      { timeoutMs: 300 },
    );
    await put('slow', 'a');
    await until(async () => (await rowOf('slow')) === undefined, 15_000);
    expect(aborted).toBe(true);
  });
});

describe('a process that falls silent', () => {
  /** The same pool, until the process stops asking anything: heartbeats, claims, take-overs. */
  function mortal() {
    const pool = kit.open();
    let dead = false;
    const query: Database['query'] = (text, values) =>
      dead ? Promise.reject(new Outage('database', 'dead')) : pool.query(text, values);
    return { pool: { ...pool, query }, die: () => void (dead = true) };
  }

  test('loses its task to another within five seconds, and cannot end it any more', async () => {
    const { pool, die } = mortal();
    const release = Promise.withResolvers<void>();
    let late: unknown;
    runner(
      'silent',
      async (task) => {
        die();
        await release.promise;
        late = await db
          .transaction(async (tx) => {
            await tx.query('insert into effects values ($1, $2)', [task.key, 'silent']);
            await task.finish(tx);
          })
          .catch((error: unknown) => error);
      },
      {},
      pool,
    );
    await put('silent', 'a');
    await until(async () => (await rowOf('silent'))?.state === 'running');
    const silentAt = monotonicMs();
    let takenAfterMs = 0;
    let attempts = 0;
    runner('silent', async (task) => {
      takenAfterMs = monotonicMs() - silentAt;
      attempts = task.attempts;
      release.resolve();
      await until(() => late !== undefined);
      await db.transaction(async (tx) => {
        await tx.query('insert into effects values ($1, $2)', [task.key, 'silent']);
        await task.finish(tx);
      });
    });
    await until(async () => (await rowOf('silent')) === undefined, 15_000);
    expect(takenAfterMs).toBeLessThan(5000);
    expect(attempts).toBe(2);
    expect(late).toBeInstanceOf(LeaseLost);
    expect(await kit.owner(`select key from effects where runner = 'silent'`)).toHaveLength(1);
  });

  test('again and again on the same task has it given up', async () => {
    await put('killer', 'a');
    await kit.owner(
      `update tasks set state = 'running', attempts = 3, lease = $1,
         lease_until = now() - interval '1 second' where kind = 'killer'`,
      [newId()],
    );
    const ran: string[] = [];
    runner('killer', async (task) => void ran.push(task.key));
    await until(async () => (await rowOf('killer'))?.state === 'dead');
    expect(ran).toEqual([]);
    expect((await rowOf('killer'))?.error).toContain('died or hung');
  });

  test('does so to nobody who is alive, however long the task takes', async () => {
    let runs = 0;
    const end = Promise.withResolvers<void>();
    for (let n = 0; n < 2; n++)
      runner('long', async () => {
        runs++;
        await end.promise;
      });
    await put('long', 'a');
    await sleep(4500);
    end.resolve();
    await until(async () => (await rowOf('long')) === undefined);
    expect(runs).toBe(1);
  });
});
