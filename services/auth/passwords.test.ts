import { setImmediate as soon } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Outage } from '@waybill/kit/errors.ts';
import { createQueue, openPasswords } from './passwords.ts';

test('so many run, so many wait, and one more is told to come back', async () => {
  const take = createQueue(2, 3);
  const ends: (() => void)[] = [];
  let most = 0;
  let running = 0;
  const work = () =>
    take(async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((end) => ends.push(end));
      running--;
    });
  const five = Array.from({ length: 5 }, work);
  await expect(work()).rejects.toBeInstanceOf(Outage);
  while (ends.length > 0 || running > 0) {
    ends.shift()?.();
    await soon();
  }
  await Promise.all(five);
  expect(most).toBe(2);
  // There is room again, also after work that failed.
  await expect(take(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(take(async () => 'yes')).resolves.toBe('yes');
});

test('hashes are argon2id at the cost written down, and differ for equal passwords', async () => {
  const passwords = await openPasswords();
  const [one, other] = [await passwords.hash('secret'), await passwords.hash('secret')];
  expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(one).not.toBe(other);
  expect(await passwords.verify(one, 'secret')).toBe(true);
  expect(await passwords.verify(one, 'Secret')).toBe(false);
  expect(await passwords.verify(null, 'secret')).toBe(false);
  expect(await passwords.verify(undefined, '')).toBe(false);
});
