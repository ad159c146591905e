import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idempotencyKeyOf, judgeKept } from './idempotency.ts';

const secret = Buffer.from('a secret of the installation');
const keyOf = (body: unknown, header: string | string[] | undefined = 'k-1') =>
  idempotencyKeyOf(header, 'caller operation', [body], secret)!;

test('no header, no key', () => {
  expect(idempotencyKeyOf(undefined, 'scope', [], secret)).toBeUndefined();
});

test.each(['', ' ', 'a b', 'ä', 'a\tb', 'x'.repeat(256), '\u007f', 'a, b'])(
  '"%s" is refused',
  (header) => {
    expect(() => keyOf({}, header)).toThrow(
      expect.objectContaining({ status: 400, code: 'invalid_idempotency_key' }),
    );
  },
);

test('any 1 to 255 visible ASCII characters are a key', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[\x21-\x7e]{1,255}$/), (header) => {
      expect(keyOf({}, header).key).toBe(header);
    }),
  );
});

test('the fingerprint is one of the value, not of its spelling, and needs the secret', () => {
  const print = keyOf({ a: 1, b: [{ c: 2, d: 3 }] }).fingerprint;
  expect(keyOf({ b: [{ d: 3, c: 2 }], a: 1 }).fingerprint).toEqual(print);
  expect(keyOf({ a: 1, b: [{ c: 2, d: 4 }] }).fingerprint).not.toEqual(print);
  const other = idempotencyKeyOf('k-1', 'caller operation', [{ a: 1 }], Buffer.from('another'));
  expect(other!.fingerprint).not.toEqual(keyOf({ a: 1 }).fingerprint);
});

describe('a key that is there already', () => {
  const asked = keyOf({ a: 1 });

  test('gives the kept answer to the same body', () => {
    const row = { fingerprint: asked.fingerprint, status: 202, response: 'x' };
    expect(judgeKept(asked, row)).toEqual({ status: 202, response: 'x' });
  });

  test('is refused to another body, also while the first request runs', () => {
    const { fingerprint } = keyOf({ a: 2 });
    for (const row of [
      { fingerprint, status: 202, response: 'x' },
      { fingerprint, status: null, response: null },
    ])
      expect(() => judgeKept(asked, row)).toThrow(
        expect.objectContaining({ status: 422, code: 'idempotency_key_reused' }),
      );
  });

  test('says when to come back while the first request runs', () => {
    const row = { fingerprint: asked.fingerprint, status: null, response: null };
    expect(() => judgeKept(asked, row)).toThrow(
      expect.objectContaining({
        status: 409,
        code: 'request_in_progress',
        headers: { 'retry-after': '1' },
      }),
    );
  });
});
