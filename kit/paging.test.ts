import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCursor, encodeCursor, MAX_OFFSET, offsetOf } from './paging.ts';

const secret = Buffer.from('a secret of the installation');
const refused = expect.objectContaining({ status: 422, code: 'invalid_cursor' });

function decoding(cursor: string, scope = 'list', key = secret) {
  return () => decodeCursor(key, scope, cursor);
}

test('a cursor gives its position back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (position, scope) => {
      expect(decodeCursor(secret, scope, encodeCursor(secret, scope, position))).toBe(position);
    }),
  );
});

test('a cursor belongs to its list and its installation', () => {
  const cursor = encodeCursor(secret, 'list', 'p');
  expect(decoding(cursor, 'another list')).toThrow(refused);
  expect(decoding(cursor, 'list', Buffer.from('another secret'))).toThrow(refused);
});

test('a cursor that was changed anywhere is refused', () => {
  const cursor = encodeCursor(secret, 'list', '019a0000-0000-7000-8000-000000000001');
  const changed = fc
    .tuple(fc.nat({ max: cursor.length }), fc.nat({ max: 2 }), fc.string({ maxLength: 3 }))
    .map(([at, cut, piece]) => cursor.slice(0, at) + piece + cursor.slice(at + cut))
    .filter((text) => text !== cursor);
  fc.assert(
    fc.property(changed, (text) => {
      expect(decoding(text)).toThrow(refused);
    }),
    { numRuns: 1000 },
  );
});

test.each([
  '',
  '.',
  'a',
  'a.b',
  `${encodeCursor(secret, 'list', 'p')}.x`,
  `${encodeCursor(secret, 'list', 'p')}=`,
])('"%s" is no cursor', (text) => {
  expect(decoding(text)).toThrow(refused);
});

test('pages reach so deep and no deeper', () => {
  expect(offsetOf(1, 20)).toBe(0);
  expect(offsetOf(MAX_OFFSET / 100 + 1, 100)).toBe(MAX_OFFSET);
  expect(() => offsetOf(MAX_OFFSET / 100 + 2, 100)).toThrow(
    expect.objectContaining({ status: 422, code: 'page_too_deep' }),
  );
});
