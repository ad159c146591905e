import { describe, expect, test } from 'vitest';
import { emailKeyOf, isReserved, nameKeyOf, orderRoles, passwordFaults } from './rules.ts';

describe('a name', () => {
  test('is the same in every spelling that people take for it', () => {
    const spellings = ['Zoë', 'zoë', 'ZOE\u0308', 'zoe\u0308', 'Ｚｏë'];
    expect(new Set(spellings.map(nameKeyOf)).size).toBe(1);
    expect(nameKeyOf('zoe')).not.toBe(nameKeyOf('zoë'));
  });

  test('of a program, of a path, or of the house is not given to who asks', () => {
    for (const name of ['orders', 'Auth', 'LOGIN', 'createWithList', 'anonymous'])
      expect([isReserved(name, false), isReserved(name, true)], name).toEqual([true, true]);
    for (const name of ['admin', 'Ｒoot', 'support'])
      expect([isReserved(name, false), isReserved(name, true)], name).toEqual([true, false]);
    for (const name of ['ada', 'user1', 'theUser', 'administrator2'])
      expect(isReserved(name, false), name).toBe(false);
  });
});

test('an address is the same in every case', () => {
  expect(emailKeyOf('Ada@Example.COM')).toBe(emailKeyOf('ada@example.com'));
});

describe('a password', () => {
  test.each([
    ['1234567', 'must have at least 8 characters'],
    ['🔑'.repeat(7), 'must have at least 8 characters'],
    ['ü'.repeat(513), 'must have at most 1024 bytes of UTF-8'],
  ])('%s is refused', (password, detail) => {
    expect(passwordFaults(password, 8, '/password')).toEqual([{ pointer: '/password', detail }]);
  });

  test.each(['12345678', '🔑'.repeat(8), 'x'.repeat(1024), ' '.repeat(8), 'ü'.repeat(512)])(
    '%s will do',
    (password) => {
      expect(passwordFaults(password, 8, '/password')).toEqual([]);
    },
  );
});

test('roles stand in one order, each once, and none that there is not', () => {
  expect(orderRoles(['admin', 'customer', 'admin', 'emperor'])).toEqual(['customer', 'admin']);
});
