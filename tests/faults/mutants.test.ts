import { expect, it } from 'vitest';
import { copyTree } from './harness/tree.ts';
import { MUTANTS } from './mutants.ts';
import { describeCatch, huntMutants } from './mutation.ts';

it('can plant every bug: its text stands exactly once in the sources', () => {
  const tree = copyTree();
  try {
    for (const { plants, given = [] } of MUTANTS)
      for (const { file, find, replace } of [...plants, ...given]) {
        expect(replace).not.toBe(find);
        tree.plant(file, find, replace)();
      }
  } finally {
    tree.remove();
  }
  expect(MUTANTS.length).toBeGreaterThanOrEqual(10);
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
});

/** The quick ones; `npm run soak -- mutants` hunts them all. */
it('catches planted bugs, and raises no false alarm', async () => {
  const verdicts = await huntMutants(MUTANTS.filter(({ quick }) => quick === true));
  expect(verdicts).toHaveLength(2);
  for (const verdict of verdicts) {
    process.stdout.write(`${verdict.mutant.name} → ${describeCatch(verdict)}\n`);
    expect(verdict.falseAlarms).toEqual([]);
    const byInvariant = verdict.caught.filter((violation) => !violation.startsWith('client:'));
    expect(byInvariant, verdict.mutant.name).not.toEqual([]);
  }
});
