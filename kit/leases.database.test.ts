/** Leases: one holder at a time, followed at once when it stops, after 3 s when it falls silent. */
import { beforeAll, describe, expect, test } from 'vitest';
import { createKitDatabase, silent, type KitDatabase } from '../tests/support/kit.ts';
import { until } from '../tests/support/waybill.ts';
import { monotonicMs, sleep } from './clock.ts';
import { newId } from './ids.ts';
import { openLeases } from './leases.ts';

let kit: KitDatabase;

beforeAll(async () => {
  kit = await createKitDatabase('leased');
});

async function ownerOf(name: string): Promise<string | undefined> {
  const rows = await kit.owner<{ owner: string }>('select owner from leases where name = $1', [
    name,
  ]);
  return rows[0]?.owner;
}

/** Works until it is told to stop, and says so. */
function holder(name: string, log: string[], who: string) {
  const leases = openLeases(kit.open(), silent);
  leases.hold(name, async (signal, takenOver) => {
    log.push(takenOver ? `${who} takes over` : `${who} begins`);
    while (!signal.aborted) await sleep(10, signal);
    log.push(`${who} ends`);
  });
  return leases;
}

test('three want it and one has it; when it stops, the next one does', async () => {
  const log: string[] = [];
  const all = ['a', 'b', 'c'].map((who) => ({ who, leases: holder('turns', log, who) }));
  await until(() => log.length === 1);
  await sleep(1500);
  expect(log).toHaveLength(1);
  for (let turn = 0; turn < 3; turn++) {
    const who = log.at(-1)?.split(' ')[0];
    const stopping = all.find((one) => one.who === who);
    const before = await ownerOf('turns');
    await stopping?.leases.stop();
    // Handed over at once, not left to run out.
    expect(await ownerOf('turns')).not.toBe(before);
    if (turn < 2) await until(() => log.length === 2 * turn + 3, 5000);
  }
  const [first, second, third] = [log[0], log[2], log[4]].map((line) => line?.split(' ')[0]);
  expect(log).toEqual([
    `${first} begins`,
    `${first} ends`,
    `${second} begins`,
    `${second} ends`,
    `${third} begins`,
    `${third} ends`,
  ]);
  expect(new Set([first, second, third])).toEqual(new Set(['a', 'b', 'c']));
});

describe('a holder', () => {
  test('that fell silent is followed by another after three seconds', async () => {
    await kit.owner(`insert into leases values ('silent', $1, now() + interval '3 seconds')`, [
      newId(),
    ]);
    const from = monotonicMs();
    const log: string[] = [];
    const leases = holder('silent', log, 'b');
    await until(() => log.length === 1);
    const waited = monotonicMs() - from;
    await leases.stop();
    expect(log).toEqual(['b takes over', 'b ends']);
    expect(waited).toBeGreaterThan(1500);
    expect(waited).toBeLessThan(5000);
  });

  test('that lost its lease is told to end', async () => {
    const log: string[] = [];
    const leases = holder('lost', log, 'a');
    await until(() => log.length === 1);
    await kit.owner(
      `update leases set owner = 'somebody else', until = now() + interval '1 minute'
       where name = 'lost'`,
    );
    await until(() => log.at(-1) === 'a ends', 5000);
    await leases.stop();
    expect(await ownerOf('lost')).toBe('somebody else');
  });

  test('that cannot renew gives up before another may begin', async () => {
    const pool = kit.open();
    const broken = { ...pool };
    const log: string[] = [];
    const leases = openLeases(broken, silent);
    leases.hold('cut off', async (signal) => {
      log.push('a begins');
      while (!signal.aborted) await sleep(10, signal);
      log.push('a ends');
    });
    await until(() => log.length === 1);
    broken.query = () => Promise.reject(new Error('the line is cut'));
    const other = holder('cut off', log, 'b');
    await until(() => log.length >= 3);
    await Promise.all([leases.stop(), other.stop()]);
    expect(log.slice(0, 3)).toEqual(['a begins', 'a ends', 'b takes over']);
  });

  test('whose work fails lets it go; one that ends in it is followed with care', async () => {
    const log: string[] = [];
    const leases = openLeases(kit.open(), silent);
    leases.hold('failing', async (signal, takenOver) => {
      log.push(takenOver ? 'a takes over' : 'a begins');
      if (log.length < 3) throw new Error('the work failed');
      while (!signal.aborted) await sleep(10, signal);
      throw new Error('the work is not done');
    });
    await until(() => log.length === 3, 2500);
    await leases.stop();
    expect(await ownerOf('failing')).toBeDefined();
    const other = holder('failing', log, 'b');
    await until(() => log.length === 4, 5000);
    await other.stop();
    expect(log).toEqual(['a begins', 'a begins', 'a begins', 'b takes over', 'b ends']);
  });
});
