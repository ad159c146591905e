/** Values from schemas: such as fit, and such as were spoilt. */
import fc from 'fast-check';
import type { Schema } from './document.ts';

const wellFormed = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((text) => text.isWellFormed() && !text.includes('\0'));

/** Values that the schema allows. */
export function fitting(schema: Schema): fc.Arbitrary<unknown> {
  const { examples = [] } = schema;
  const made = make(schema);
  if (examples.length === 0) return made;
  return fc.oneof(
    { weight: 2, arbitrary: made },
    { weight: 3, arbitrary: fc.constantFrom(...examples) },
  );
}

function make(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map(fitting));
  switch (schema.type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return wholeNumber(schema);
    case 'number':
      return decimal(schema);
    case 'string':
      return text(schema);
    case 'array':
      return array(schema);
    case 'object':
      return object(schema);
    default:
      return fc.oneof(wellFormed, fc.nat(), fc.boolean());
  }
}

function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema, step: number) {
  const min = minimum ?? (exclusiveMinimum === undefined ? -1e6 : exclusiveMinimum + step);
  const max = maximum ?? (exclusiveMaximum === undefined ? min + 2e6 : exclusiveMaximum - step);
  return { min, max };
}

function wholeNumber(schema: Schema): fc.Arbitrary<number> {
  const { min, max } = bounds(schema, 1);
  const near = fc.integer({ min, max: Math.min(max, min + 20) });
  return fc.oneof(near, fc.integer({ min, max }), fc.constantFrom(min, max));
}

/** Mostly with the two decimals that money has. */
function decimal(schema: Schema): fc.Arbitrary<number> {
  const { min, max } = bounds(schema, 0.01);
  const cents = fc.integer({ min: Math.ceil(min * 100), max: Math.floor(max * 100) });
  const small = fc.integer({ min: Math.ceil(min * 100), max: Math.ceil(min * 100) + 10_000 });
  return fc.oneof(
    { weight: 12, arbitrary: small.map((value) => value / 100) },
    { weight: 2, arbitrary: cents.map((value) => value / 100) },
    { weight: 1, arbitrary: fc.constant(max) },
    { weight: 1, arbitrary: small.map((value) => value / 1000).filter((value) => value >= min) },
  );
}

function text(schema: Schema): fc.Arbitrary<string> {
  const { minLength = 0, maxLength = 200, pattern, format } = schema;
  if (format === 'date-time') return moment().map((date) => date.toISOString());
  const fits = (value: string) => {
    const length = Array.from(value).length;
    const right = pattern === undefined || new RegExp(pattern, 'u').test(value);
    return right && length >= minLength && length <= maxLength && value.isWellFormed();
  };
  const longest = ['x'.repeat(maxLength), '\u{1F600}'.repeat(maxLength), '9'.repeat(maxLength)];
  const chosen = [...longest, '%', '_', "it's", 'null', 'true', '\u202Ea'].filter(fits);
  const free = fc
    .oneof(wellFormed, matching(pattern))
    .filter((value) => fits(value) && !value.includes('\0'));
  return chosen.length === 0
    ? free
    : fc.oneof(
        { weight: 4, arbitrary: free },
        { weight: 1, arbitrary: fc.constantFrom(...chosen) },
      );
}

function moment(): fc.Arbitrary<Date> {
  return fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true });
}

/** fast-check cannot look around in patterns; those are met by filtering. */
function matching(pattern: string | undefined): fc.Arbitrary<string> {
  if (pattern === undefined) return wellFormed;
  try {
    return fc.stringMatching(new RegExp(pattern, 'u'));
  } catch {
    return fc.oneof(wellFormed, fc.stringMatching(/^\w{1,12}$/));
  }
}

function array({ items = {}, minItems = 0, maxItems = 20 }: Schema): fc.Arbitrary<unknown[]> {
  return fc.array(fitting(items), {
    minLength: minItems,
    maxLength: Math.min(maxItems, minItems + 4),
  });
}

function object({ properties = {}, required = [], additionalProperties }: Schema) {
  const known = fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, fitting(part)])),
    { requiredKeys: [...required] },
  );
  if (Object.keys(properties).length > 0 || additionalProperties === false) return known;
  return fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), fc.oneof(wellFormed, fc.nat()));
}

/** Texts that parsers, databases and pages have stumbled over. */
export const HOSTILE: readonly string[] = [
  ['', ' ', '\t', '0', '-1', '1e3', '0x10', '1_000', ' 7 ', 'NaN', 'Infinity', 'null', 'true'],
  ["' or '1'='1", "'; drop table x; --", '$1', '%', '_', '\\', '%s%n', '{{7*7}}', '${7*7}'],
  ['../../etc/passwd', '..%2f', '<script>alert(1)</script>', '(a*)*b', '[', '.*', '*'],
  ['\u0000', 'a\u0000b', '\ud800', '\u202Eabc', '\u200B', '\uFEFF', '\u{1F600}', 'cafe\u0301'],
  ['infinity', 'now', 'tomorrow', '2026-02-30', '300000-01-01', '9223372036854775808'],
  ['00000000-0000-0000-0000-000000000000', '__proto__', 'constructor', 'x'.repeat(5000)],
].flat();

const ODD: readonly unknown[] = [
  [null, true, false, 0, -0.5, -1, 1.5, 0.001, 2 ** 31, 2 ** 53, -(2 ** 63), 1e21, 1e308],
  [[], {}, [[]], [null], { a: 1 }, { $ne: null }, { length: 1 }],
].flat();

const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(...ODD),
  },
  { weight: 1, arbitrary: fc.jsonValue() },
);

type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([key, part]) =>
    pathsOf(part, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return [path, ...below];
}

/** A copy in which the value at the path is what `change` makes of it; undefined removes it. */
function changed(value: unknown, path: Path, change: (old: unknown) => unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return change(value);
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<
    string,
    unknown
  >;
  const next = changed(copy[key], rest, change);
  if (next !== undefined) copy[key] = next;
  else if (Array.isArray(copy)) copy.splice(Number(key), 1);
  else delete copy[key];
  return copy;
}

/** Spoils a value in one place; whether it still fits by luck is for the caller to find out. */
export function spoilt(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const way = fc.oneof(
    { weight: 3, arbitrary: fc.constant('replace') },
    { weight: 5, arbitrary: fc.constantFrom('remove', 'add', 'wrap', 'spell', 'fill') },
  );
  return fc.tuple(value, fc.nat(), way, oddValue).map(([good, luck, how, odd]) => {
    const paths = pathsOf(good);
    const path = paths[luck % paths.length] ?? [];
    return changed(good, path, (old) => {
      switch (how) {
        case 'replace':
          return odd;
        case 'remove':
          return path.length === 0 ? null : undefined;
        case 'add':
          return typeof old === 'object' && old !== null && !Array.isArray(old)
            ? { ...old, [`unknown_${luck % 10}`]: odd }
            : [old];
        case 'wrap':
          return [old];
        case 'spell':
          return typeof old === 'string' ? Number(old) || 0 : JSON.stringify(old);
        default:
          return Array.isArray(old) ? Array(1001).fill(old[0] ?? odd) : odd;
      }
    });
  });
}
