/** The list of failpoints is the whole truth: the code has them all, and no others. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FAILPOINTS, REPEATABLE } from '../../kit/failpoints.ts';
import { isCode, isTest, repositoryFiles } from '../support/sources.ts';

const root = join(import.meta.dirname, '../..');
const code = repositoryFiles()
  .filter(({ path }) => isCode(path) && !isTest(path) && path !== 'kit/failpoints.ts')
  .map(({ path }) => readFileSync(join(root, path), 'utf8'))
  .join('\n');

function namesIn(pattern: RegExp): string[] {
  return [...code.matchAll(pattern)].map(([, name]) => name as string).sort();
}

it('every failpoint is passed in exactly one place, and none is unlisted', () => {
  const passed = namesIn(/\bfailpoint\('([^']+)'\)/g);
  expect(passed).toEqual([...FAILPOINTS].sort());
  expect(namesIn(/\bfailpoint\(([^')][^)]*)\)/g)).toEqual([]);
});

it('a step that can be done twice says so, and no other claims it', () => {
  expect(namesIn(/if \(await failpoint\('([^']+)'\)\)/g)).toEqual([...REPEATABLE].sort());
});
