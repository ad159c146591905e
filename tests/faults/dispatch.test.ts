import { expect, it } from 'vitest';
import { describeDispatchKills, runDispatchKills } from './dispatch-kills.ts';
import { describeDispatchRaces, runDispatchRaces } from './dispatch-races.ts';

/** A sample; `npm run soak -- dispatch-races` runs a hundred thousand. */
it('of cancel, acquire and reassign at one moment exactly one wins', async () => {
  const report = await runDispatchRaces({ processes: 3, rounds: 500 });
  process.stdout.write(`${describeDispatchRaces(report).join('\n')}\n`);
  expect(report.violations).toEqual([]);
  const told = Object.values(report.outcomes).reduce((sum, count) => sum + count, 0);
  expect(told).toBe(500);
  expect(Object.keys(report.outcomes).length).toBeGreaterThan(2);
});

/** A few kills; `npm run soak -- dispatch-kill` goes on for long. */
it('loses no assignment and gives none to two when processes are killed', async () => {
  const report = await runDispatchKills({
    processes: 2,
    kills: 4,
    meanPauseMs: 1500,
    assignsPerSecond: 40,
    executors: 40,
    postgresEvery: 4,
  });
  process.stdout.write(`${describeDispatchKills(report).join('\n')}\n`);
  expect(report.violations).toEqual([]);
  expect(report.recoveries).toHaveLength(4);
  expect(report.assigned).toBeGreaterThan(100);
});
