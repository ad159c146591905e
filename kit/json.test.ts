import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Refusal } from './errors.ts';
import { canonicalJson, parseStrictJson } from './json.ts';

/** The refusal of a text, as `status code pointer`; undefined when it is accepted. */
function refusalOf(text: string | Buffer): string | undefined {
  try {
    parseStrictJson(Buffer.from(text as string));
    return undefined;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [error.status, error.code, ...error.faults.map(({ pointer }) => pointer)].join(' ');
  }
}

const MALFORMED = '400 malformed_json';

test.each([
  ['{"a":1,"a":2}', MALFORMED],
  ['{"a":{"b":1},"a":2}', MALFORMED],
  ['{"a":1,"\\u0061":2}', MALFORMED],
  ['{"__proto__":{}}', MALFORMED],
  ['{"\\u005f_proto__":{}}', MALFORMED],
  ['[{"constructor":1}]', MALFORMED],
  ['{"a\\u0000":1}', MALFORMED],
  ['', MALFORMED],
  ['{', MALFORMED],
  ['{"a":01}', MALFORMED],
  ['[NaN]', MALFORMED],
  ['[Infinity]', MALFORMED],
  ['\uFEFF{}', MALFORMED],
  ['{}{}', MALFORMED],
  [`${'['.repeat(33)}${']'.repeat(33)}`, MALFORMED],
  [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, MALFORMED],
  [`[${'{},'.repeat(300_000)}{}]`, '413 body_too_large'],
  ['{"a":[0,1e3],"b/c":1E5}', '422 invalid_body /a/1 /b~1c'],
  ['1E3', '422 invalid_body '],
  ['[1e400]', '422 invalid_body /0'],
  ['[9007199254740993]', '422 invalid_body /0'],
  ['[0.1000000000000000055]', '422 invalid_body /0'],
  [`[0.${'0'.repeat(400)}1]`, '422 invalid_body /0'],
  ['{"a/b":{"~c":"x\\u0000"}}', '422 invalid_body /a~1b/~0c'],
  ['["","\\ud800"]', '422 invalid_body /1'],
])('refuses %s', (text, refusal) => {
  expect(refusalOf(text)).toBe(refusal);
});

test.each([
  '"e1e"',
  '{"1e3":"1e3"}',
  '[true,false,null]',
  '[9007199254740991]',
  '[-0.10]',
  ' 7 ',
  '"\\ud83d\\ude00"',
])('accepts %s', (text) => {
  expect(parseStrictJson(Buffer.from(text))).toStrictEqual(JSON.parse(text));
});

test('refuses what is not UTF-8', () => {
  expect(refusalOf(Buffer.from([0x22, 0xff, 0x22]))).toBe(MALFORMED);
  expect(refusalOf(Buffer.from('"a"', 'utf16le'))).toBe(MALFORMED);
});

/**
 * What the strict parser should say of a text that JSON.parse accepts, told by a parser of its own
 * that goes token by token.
 */
function isStrict(text: string): boolean {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g) ?? [];
  const open: (Set<string> | undefined)[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token === '[') open.push(undefined);
    else if (token === '{') open.push(new Set());
    else if (token === ']' || token === '}') open.pop();
    else if (token.startsWith('"')) {
      const value = JSON.parse(token) as string;
      if (value.includes('\0') || !value.isWellFormed()) return false;
      if (tokens[index + 1] !== ':') continue;
      if (['__proto__', 'constructor', 'prototype'].includes(value)) return false;
      if (open.at(-1)?.has(value) === true) return false;
      open.at(-1)?.add(value);
    } else if (/^-?\d/.test(token) && !isKept(token)) return false;
    if (open.length > 32) return false;
  }
  return true;
}

/** Whether a number is written plainly and a double gives it back. */
function isKept(token: string): boolean {
  if (/e/i.test(token) || token.length > 100) return false;
  const plain = token.includes('.') ? token.replace(/\.?0+$/, '') : token;
  const digits = plain.replace(/[-.]/g, '').replace(/^0+/, '').length;
  return digits <= 15 || (!plain.includes('.') && Number.isSafeInteger(Number(plain)));
}

const space = fc.constantFrom('', '', '', ' ', '\n', '\t');
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '"a"',
    '"\\u0061"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\"1e5:"',
    '"__proto__"',
    '"{"',
    '""',
  ),
);
const number = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }).map(String),
  fc.maxSafeInteger().map(String),
  fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }).map(String),
  fc.tuple(fc.nat(), fc.stringMatching(/^[0-9]{1,20}$/)).map(([whole, part]) => `${whole}.${part}`),
  fc.constantFrom('-0', '1e3', '1E+2', '0.0', '-1.50', '1.5e-3'),
);
const { document } = fc.letrec<{ document: string; member: string }>((tie) => ({
  document: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.oneof(text, number, fc.constantFrom('true', 'false', 'null')),
    fc.array(tie('document'), { maxLength: 4 }).map((values) => `[${values.join(',')}]`),
    fc.array(tie('member'), { maxLength: 4 }).map((members) => `{${members.join(',')}}`),
    fc
      .tuple(fc.nat({ max: 40 }), tie('document'))
      .map(([depth, inner]) => '['.repeat(depth) + inner + ']'.repeat(depth)),
  ),
  member: fc
    .tuple(space, text, space, tie('document'), space)
    .map(([a, key, b, value, c]) => `${a}${key}${b}:${value}${c}`),
}));
const damaged = fc
  .tuple(document, fc.nat(), fc.constantFrom('', '"', '{', ']', ',', ':', 'e', '0', '\\', '.'))
  .map(([whole, at, piece]) => {
    const index = at % (whole.length + 1);
    return whole.slice(0, index) + piece + whole.slice(index + 1);
  });

describe('against JSON.parse', () => {
  test('accepts exactly the strict texts, with the same value', () => {
    const seen = { accepted: 0, refused: 0, invalid: 0 };
    fc.assert(
      fc.property(fc.oneof(document, damaged), (input) => {
        fc.pre(Buffer.from(input).toString() === input);
        let value: unknown;
        try {
          value = JSON.parse(input);
        } catch {
          seen.invalid++;
          expect(refusalOf(input)).toBe(MALFORMED);
          return;
        }
        if (isStrict(input)) {
          seen.accepted++;
          expect(parseStrictJson(Buffer.from(input))).toStrictEqual(value);
        } else {
          seen.refused++;
          expect(refusalOf(input)).toMatch(/^(400 malformed_json|422 invalid_body)/);
        }
      }),
      { numRuns: 5000 },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100);
  });
});

describe('canonical text', () => {
  test('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.infiniteStream(fc.nat()),
        (record, luck) => {
          const shuffled = Object.entries(record)
            .map((entry) => ({ entry, rank: luck.next().value as number }))
            .sort((a, b) => a.rank - b.rank)
            .map(({ entry }) => entry);
          expect(canonicalJson(Object.fromEntries(shuffled))).toBe(canonicalJson(record));
        },
      ),
    );
  });

  test('keeps the value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.stringify(JSON.parse(canonicalJson(value)))).toBe(
          JSON.stringify(JSON.parse(canonicalJson(JSON.parse(JSON.stringify(value))))),
        );
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('differs for different values', () => {
    expect(canonicalJson({ a: 1 })).not.toBe(canonicalJson({ a: '1' }));
    expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
    expect(canonicalJson({ a: undefined })).toBe('{}');
  });
});
