/** The consumer: each event once and in order per key, whatever the bus brings or loses. */
import { beforeAll, describe, expect, test } from 'vitest';
import { follow, type Followed } from '../tests/support/followed.ts';
import { createKitDatabase, silent, type KitDatabase } from '../tests/support/kit.ts';
import { until } from '../tests/support/waybill.ts';
import { Outage } from './errors.ts';
import { applyInOrder, handleCarefully, replayKey } from './inbox.ts';
import { openLeases } from './leases.ts';

let kit: KitDatabase;

beforeAll(async () => {
  kit = await createKitDatabase('follower', [
    `create table effects (id bigint generated always as identity, topic text, key text,
       version integer, primary key (topic, key, version))`,
  ]);
});

/** Effects of a key, in the order in which they happened. */
async function effects({ topic }: Followed, key: string): Promise<number[]> {
  const rows = await kit.owner<{ version: number }>(
    'select version from effects where topic = $1 and key = $2 order by id',
    [topic, key],
  );
  return rows.map(({ version }) => version);
}

async function parked({ topic }: Followed): Promise<string[]> {
  const rows = await kit.owner<{ key: string; version: number }>(
    'select key, version from dead_letters where topic = $1 order by key, version',
    [topic],
  );
  return rows.map(({ key, version }) => `${key}:${version}`);
}

async function start(partitions = 1): Promise<Followed> {
  const followed = await follow(kit.open(), partitions);
  await followed.consume();
  return followed;
}

describe('what the bus brings', () => {
  test('twice has one effect', async () => {
    const followed = await start();
    const [first, second] = [followed.raise('a'), followed.raise('a')];
    await followed.bring(first, second);
    await followed.bring(first, second);
    await followed.bring(second);
    await followed.bring(first, first);
    expect(await effects(followed, 'a')).toEqual([1, 2]);
  });

  test('to two consumers at once has one effect', async () => {
    const followed = await start();
    await followed.consume();
    for (let round = 0; round < 20; round++)
      await followed.bring(followed.raise('a'), followed.raise('b'), followed.raise('a'));
    expect(await effects(followed, 'a')).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
    expect(await effects(followed, 'b')).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  });

  test('in one batch reaches a handler key by key, in the order of each', async () => {
    const followed = await start();
    const events = ['a', 'b', 'a', 'c', 'a', 'b'].map((key) => followed.raise(key));
    await followed.bring(...events);
    expect(followed.batches.map((batch) => batch.map(({ id }) => id))).toEqual([
      ['a:1', 'b:1', 'c:1'],
      ['a:2', 'b:2'],
      ['a:3'],
    ]);
  });

  test('without meaning for anybody is recorded all the same', async () => {
    const followed = await start();
    const [first, , third] = [
      followed.raise('a'),
      followed.raise('a', 'IGNORED'),
      followed.raise('a'),
    ];
    await followed.bring(first, ...followed.truth.slice(1, 2), third);
    expect(await effects(followed, 'a')).toEqual([1, 3]);
  });

  test('may mean nothing as a batch, and what was lost before it is done first', async () => {
    const followed = await start();
    followed.raise('a');
    const ignored = [followed.raise('a', 'IGNORED'), followed.raise('b', 'IGNORED')];
    await followed.bring(...ignored);
    await followed.bring(...ignored);
    expect(await effects(followed, 'a')).toEqual([1]);
    await followed.bring(followed.raise('a', 'IGNORED'), followed.raise('b', 'IGNORED'));
    await followed.bring(followed.raise('a'), followed.raise('b'));
    expect(await effects(followed, 'a')).toEqual([1, 4]);
    expect(await effects(followed, 'b')).toEqual([3]);
  });
});

test('an audit and a first delivery at the same time have one effect', async () => {
  const followed = await follow(kit.open());
  followed.onHandle(() => new Promise((resolve) => setTimeout(resolve, 50)));
  const event = followed.raise('a');
  await Promise.all([1, 2, 3].map(() => applyInOrder(followed.inbox, 0, [event])));
  expect(followed.batches).toEqual([[event]]);
});

describe('a gap', () => {
  test('is filled from the log before what follows it', async () => {
    const followed = await start();
    const [first, , , fourth] = ['a', 'a', 'a', 'a'].map((key) => followed.raise(key));
    const other = followed.raise('b');
    await followed.bring(first!, fourth!, other);
    expect(await effects(followed, 'a')).toEqual([1, 2, 3, 4]);
    expect(await effects(followed, 'b')).toEqual([1]);
  });

  test('that the log cannot fill yet holds the delivery back, and skips nothing', async () => {
    const followed = await start();
    const [first, second, third] = ['a', 'a', 'a'].map((key) => followed.raise(key));
    followed.show((truth) => truth.slice(0, 1));
    await followed.bring(first!);
    let acknowledged = false;
    const bringing = followed.bring(third!).then(() => (acknowledged = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(acknowledged).toBe(false);
    expect(await effects(followed, 'a')).toEqual([1]);
    followed.show((truth) => truth);
    await bringing;
    expect(await effects(followed, 'a')).toEqual([1, 2, 3]);
    expect(second?.version).toBe(2);
  });

  test('that has left the log for good is passed over', async () => {
    const followed = await start();
    const [first] = ['a', 'a', 'a', 'a'].map((key) => followed.raise(key));
    await followed.bring(first!);
    followed.show((truth) => truth.filter(({ version }) => version !== 2));
    await followed.bring(followed.truth[3]!);
    expect(await effects(followed, 'a')).toEqual([1, 3, 4]);
  });
});

describe('an event that cannot be handled', () => {
  /** The second event of `bad` fails for as long as it is cursed. */
  async function cursed() {
    const followed = await start();
    let curse = true;
    let tries = 0;
    followed.onHandle(async (_tx, event) => {
      if (event.id !== 'bad:2' || !curse) return;
      tries++;
      throw new Error('it cannot be handled');
    });
    for (let n = 0; n < 4; n++) await followed.bring(followed.raise('bad'), followed.raise('good'));
    return { followed, lift: () => (curse = false), tries: () => tries };
  }

  test('is parked with the later ones of its key, and holds nobody else up', async () => {
    const { followed, tries } = await cursed();
    expect(await effects(followed, 'good')).toEqual([1, 2, 3, 4]);
    expect(await effects(followed, 'bad')).toEqual([1]);
    expect(await parked(followed)).toEqual(['bad:2', 'bad:3', 'bad:4']);
    // Once with its batch, then three times on its own.
    expect(tries()).toBe(4);
    const [letter] = await kit.owner<{ error: string; attempts: number }>(
      'select error, attempts from dead_letters where topic = $1 order by version',
      [followed.topic],
    );
    expect(letter?.attempts).toBe(3);
    expect(letter?.error).toContain('it cannot be handled');
  });

  test('is parked itself when it was what a gap lacked', async () => {
    const followed = await start();
    followed.onHandle(async (_tx, { version }) => {
      if (version === 2) throw new Error('it cannot be handled');
    });
    const [first, , third] = ['a', 'a', 'a'].map((key) => followed.raise(key));
    await followed.bring(first!, third!);
    expect(await effects(followed, 'a')).toEqual([1]);
    expect(await parked(followed)).toEqual(['a:2', 'a:3']);
    followed.onHandle(async () => {});
    expect(await replayKey(followed.inbox, 'a')).toBe(2);
    expect(await effects(followed, 'a')).toEqual([1, 2, 3]);
  });

  test('is replayed in order, and the key flows again', async () => {
    const { followed, lift } = await cursed();
    await expect(replayKey(followed.inbox, 'bad')).rejects.toMatchObject({
      status: 409,
      code: 'replay_failed',
    });
    expect(await parked(followed)).toEqual(['bad:2', 'bad:3', 'bad:4']);
    lift();
    expect(await replayKey(followed.inbox, 'bad')).toBe(3);
    expect(await parked(followed)).toEqual([]);
    await followed.bring(followed.raise('bad'));
    expect(await effects(followed, 'bad')).toEqual([1, 2, 3, 4, 5]);
    expect(await replayKey(followed.inbox, 'bad')).toBe(0);
  });

  test('because something is away is tried again in place, and never parked', async () => {
    const followed = await start();
    let tries = 0;
    followed.onHandle(async () => {
      if (++tries <= 6) throw new Outage('somebody', 'away');
    });
    await followed.bring(followed.raise('a'));
    expect(tries).toBe(7);
    expect(await effects(followed, 'a')).toEqual([1]);
    expect(await parked(followed)).toEqual([]);
    expect(await kit.owner('select 1 from deliveries where topic = $1', [followed.topic])).toEqual(
      [],
    );
  });
});

describe('after a process died in the middle of a batch', () => {
  test('the first events are handled one by one', async () => {
    const followed = await follow(kit.open());
    await followed.consume(true);
    await followed.bring(followed.raise('a'), followed.raise('b'), followed.raise('c'));
    expect(followed.batches.map((batch) => batch.length)).toEqual([1, 1, 1]);
    await followed.bring(followed.raise('a'), followed.raise('b'));
    expect(followed.batches.map((batch) => batch.length)).toEqual([1, 1, 1, 2]);
  });

  test('an event that has killed three is parked without being handled', async () => {
    const followed = await follow(kit.open());
    await kit.owner('insert into deliveries values ($1, $2, 1, 3)', [followed.topic, 'killer']);
    await followed.consume(true);
    await followed.bring(followed.raise('killer'), followed.raise('a'));
    expect(followed.batches.flat().map(({ key }) => key)).toEqual(['a']);
    expect(await parked(followed)).toEqual(['killer:1']);
  });

  test('one that fills a gap and has killed three is parked, not what met the gap', async () => {
    const followed = await follow(kit.open());
    await followed.consume();
    const [first, , third] = ['a', 'a', 'a'].map((key) => followed.raise(key));
    await followed.bring(first!);
    await kit.owner(`insert into deliveries values ($1, 'a', 2, 3), ($1, 'a', 3, 2)`, [
      followed.topic,
    ]);
    await followed.consume(true);
    await followed.bring(third!);
    expect(await effects(followed, 'a')).toEqual([1]);
    expect(await parked(followed)).toEqual(['a:2', 'a:3']);
    expect(await kit.owner('select 1 from deliveries where topic = $1', [followed.topic])).toEqual(
      [],
    );
  });

  test('an event that waits for what it lacks is blamed for nothing', async () => {
    const followed = await follow(kit.open());
    const [, second] = ['a', 'a'].map((key) => followed.raise(key));
    const counts = () => kit.owner('select 1 from deliveries where topic = $1', [followed.topic]);
    const whileAsked: unknown[] = [];
    const missing = async (key: string, after: number) => {
      whileAsked.push(await counts());
      return followed.inbox.missing(key, after);
    };
    await handleCarefully({ ...followed.inbox, missing }, 0, [second!]);
    expect(whileAsked).toEqual([[]]);
    expect(await effects(followed, 'a')).toEqual([1, 2]);
    expect(await counts()).toEqual([]);
  });

  test('one process counts once, however many hands it has at the event', async () => {
    const followed = await follow(kit.open());
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    followed.onHandle(() => held);
    const event = followed.raise('a');
    const both = [1, 2].map(() => handleCarefully(followed.inbox, 0, [event]));
    const counts = () =>
      kit.owner<{ attempts: number }>('select attempts from deliveries where topic = $1', [
        followed.topic,
      ]);
    await until(async () => (await counts()).length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await counts()).toEqual([{ attempts: 1 }]);
    release();
    await Promise.all(both);
    expect(await effects(followed, 'a')).toEqual([1]);
    expect(await counts()).toEqual([]);
  });

  test('or ended in order, the batch it left is begun with care by the next', async () => {
    const followed = await follow(kit.open());
    const first = openLeases(kit.open(), silent);
    await followed.consume(false, first);
    let tries = 0;
    followed.onHandle(async () => {
      if (++tries < 3) throw new Outage('somebody', 'away');
    });
    const brought = followed.bring(followed.raise('a'), followed.raise('b'));
    await until(() => tries === 1);
    await Promise.all([first.stop(), expect(brought).rejects.toThrow(Outage)]);
    const second = openLeases(kit.open(), silent);
    await followed.consume(false, second);
    followed.batches.length = 0;
    tries = 3;
    await followed.bring(...followed.truth);
    expect(followed.batches.map((batch) => batch.length)).toEqual([1, 1]);
    await second.stop();
  });
});

describe('what the bus loses', () => {
  test('is pulled from the log, by a few keys or by the page', { timeout: 60_000 }, async () => {
    const few = await start();
    const many = await start(4);
    await few.bring(few.raise('a'));
    // The last event of a key, and a key that the bus never brought at all.
    few.raise('a');
    few.raise('b');
    few.raise('c');
    for (let n = 0; n < 60; n++) many.raise(`key ${n % 30}`);
    await until(async () => (await effects(few, 'c')).length === 1, 20_000);
    await until(async () => (await effects(many, 'key 29')).length === 2, 20_000);
    expect(await effects(few, 'a')).toEqual([1, 2]);
    expect(await effects(few, 'b')).toEqual([1]);
    for (let n = 0; n < 30; n++) expect(await effects(many, `key ${n}`)).toEqual([1, 2]);
    await few.bring(...few.truth);
    expect(await effects(few, 'a')).toEqual([1, 2]);
  });

  test('behind a parked event is parked too', { timeout: 60_000 }, async () => {
    const followed = await start();
    followed.onHandle(async (_tx, { id }) => {
      if (id === 'bad:1') throw new Error('it cannot be handled');
    });
    await followed.bring(followed.raise('bad'));
    followed.raise('bad');
    followed.raise('good');
    await until(async () => (await effects(followed, 'good')).length === 1, 20_000);
    await until(async () => (await parked(followed)).length === 2, 20_000);
    expect(await parked(followed)).toEqual(['bad:1', 'bad:2']);
  });
});
