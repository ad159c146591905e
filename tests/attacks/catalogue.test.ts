/**
 * The attacks that were thought of, by the ids under which they are kept, and that a test is named
 * after each of them: an attack that loses its last test is noticed here.
 */
import { expect, test } from 'vitest';
import ts from 'typescript';
import { isTest, nodes, repositoryFiles, type Source } from '../support/sources.ts';

const CATALOGUE: Readonly<Record<string, string>> = {
  A01: 'no token, malformed, expired, not yet valid, of another issuer or audience',
  A02: 'a token that chooses its own algorithm or key',
  A03: 'a refresh or id token instead of an access token',
  A04: 'a refresh token that is used twice',
  A05: 'a live token of somebody who was disabled, or may do less now',
  A06: 'things of others',
  A07: 'functions of a higher role, and other ways to ask for them',
  A08: 'fields that a client has no business setting',
  A09: 'a price that the customer made up',
  A10: 'identity headers from outside',
  A11: 'addresses that change to dodge a limit',
  A12: 'guessing passwords, and finding out who there is',
  A13: 'strange passwords',
  B01: 'NUL in a text',
  B02: 'half a surrogate pair',
  B03: 'quantities that are none',
  B04: 'prices that are none',
  B05: 'numbers that JavaScript rounds',
  B06: 'totals that overflow',
  B07: 'ids that are none',
  B08: 'dates that are none',
  B09: 'too long, too many',
  B10: 'too deep',
  B11: 'names of prototypes',
  B12: 'a name twice',
  B13: 'lengths and codings of bodies',
  B14: 'content types',
  B15: 'compressed bodies',
  B16: 'twins in Unicode',
  B17: 'currencies that are none',
  C01: 'statements in parameters',
  C02: 'pages and cursors',
  C03: 'patterns in searches',
  C04: 'texts that patterns choke on',
  C05: 'parameters given twice',
  C07: 'slow clients',
  C08: 'too many headers',
  C10: 'the same at once',
};

/** The first word of what a test, or what is around it, is called. */
function namesOf(source: Source): string[] {
  return [...nodes(source)].flatMap((node) => {
    if (!ts.isStringLiteralLike(node) && !ts.isTemplateHead(node)) return [];
    return [...node.text.matchAll(/\b([A-D]\d{2})\b/g)].map(([, id]) => id as string);
  });
}

test('every attack of the catalogue has a test named after it', () => {
  const tests = repositoryFiles().filter(
    ({ path }) => isTest(path) && !path.endsWith('/catalogue.test.ts'),
  );
  const named = new Set(tests.flatMap(namesOf));
  expect(Object.keys(CATALOGUE).filter((id) => !named.has(id))).toEqual([]);
});

test('comments do not count, names do', () => {
  const path = 'tests/attacks/a.test.ts';
  expect(namesOf({ path, text: '// A01 is tested elsewhere' })).toEqual([]);
  expect(namesOf({ path, text: "test('A01 expired', () => {});" })).toEqual(['A01']);
  expect(namesOf({ path, text: 'test(`A02 and B07 ${name}`, () => {});' })).toEqual(['A02', 'B07']);
});
