/** What a request that does not fit is told. */
import type { ErrorObject } from 'ajv';
import { expect, test } from 'vitest';
import { sentenceOf } from './errors.ts';
import { Identifier, Moment, Nullable, OneOf, Timestamp, Type } from './schema.ts';
import { compileBody, compileParameters, createValidators, faultsOf } from './validation.ts';

const closed = { additionalProperties: false };
const validators = createValidators();
const Body = Type.Object(
  {
    name: Identifier(3),
    size: Type.Optional(OneOf(['S', 'L'])),
    most: Type.Optional(Nullable(Type.Number({ minimum: 0 }))),
    at: Type.Optional(Timestamp),
  },
  closed,
);
const body = compileBody(validators, Body);
const query = compileParameters(
  validators,
  Type.Object(
    { page: Type.Optional(Type.Integer({ minimum: 1 })), from: Type.Optional(Moment) },
    closed,
  ),
);

const told = (check: typeof body | typeof query, value: object, part = 'body') => {
  expect(check(value as Record<string, unknown>)).toBe(false);
  return faultsOf(check.errors as unknown as ErrorObject[], part).map(
    ({ pointer, detail }) => `${pointer} ${detail}`,
  );
};

test.each([
  [{}, '/name is required'],
  [{ name: '' }, '/name must not be empty'],
  [{ name: 'long' }, '/name must NOT have more than 3 characters'],
  [{ name: 5 }, '/name must be string'],
  [{ name: 'a', 'b/c': 1 }, '/b~1c is not a known field'],
  [{ name: 'a', size: 'M' }, '/size must be one of S, L'],
  [{ name: 'a', most: -1 }, '/most must be >= 0'],
  [{ name: 'a', most: 'x' }, '/most must be number'],
  [{ name: 'a', at: 'now' }, '/at must be an RFC 3339 time such as 2026-01-02T15:04:05Z'],
])('%j is told once: %s', (value, fault) => {
  expect(told(body, value)).toEqual([fault]);
});

test('what matches no pattern is told in words', () => {
  const words = 'neither begin nor end with white space nor hold invisible characters';
  expect(told(body, { name: ' a' })).toEqual([`/name must ${words}`]);
});

test('a parameter is told by its name', () => {
  expect(told(query, { page: '0' }, 'querystring')).toEqual(['?page must be >= 1']);
  expect(told(query, { size: '1' }, 'querystring')).toEqual(['?size is not a known parameter']);
  expect(told(query, { from: 'now' }, 'querystring')).toEqual([
    '?from must be a date or RFC 3339 time such as 2026-01-02T15:04:05Z',
  ]);
});

test('the first fault is a sentence, with the count of the others', () => {
  const fault = { pointer: '/name', detail: 'is required' };
  expect(sentenceOf([fault])).toBe('/name is required.');
  expect(sentenceOf([fault, fault])).toBe('/name is required, and 1 more; see errors.');
  expect(sentenceOf([{ pointer: '', detail: 'must be object' }])).toBe('The body must be object.');
});
