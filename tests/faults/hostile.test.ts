import { expect, it } from 'vitest';
import { describeHostile, runHostile } from './hostile.ts';

it('charges nobody twice and leaves no payment unknown at a hostile provider', async () => {
  const report = await runHostile(300);
  process.stdout.write(`${describeHostile(report).join('\n')}\n`);
  expect(report.violations).toEqual([]);
  expect(report.orders).toBe(300);
  expect(Object.keys(report.states).toSorted()).toEqual(expect.arrayContaining(['CAPTURED']));
  expect(report.states['UNKNOWN']).toBeUndefined();
  expect(report.outcomes['timeout_after_charge']).toBeGreaterThan(0);
  expect(report.outcomes['reset_after_charge']).toBeGreaterThan(0);
  expect(report.outcomes['error_after_charge']).toBeGreaterThan(0);
});
