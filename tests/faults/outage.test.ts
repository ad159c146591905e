import { expect, it } from 'vitest';
import { percentile } from './figures.ts';
import { describeOutage, judgeOutage, runOutage, type OutageOptions } from './outage.ts';
import { failEveryAttempt, takeOver } from './payment-ways.ts';

it('accepts, waits and drains when the provider refuses every connection', async () => {
  const options: OutageOptions = {
    away: 'down',
    perSecond: 8,
    beforeSeconds: 10,
    outageSeconds: 8,
    afterSeconds: 8,
    recoverySeconds: 2,
  };
  const report = await runOutage(options);
  process.stdout.write(`${describeOutage(options, report).join('\n')}\n`);
  expect(judgeOutage(options, report)).toEqual([]);
  expect(report.during.length).toBeGreaterThan(40);
});

it('fails a payment after three faults, with growing pauses and a reason each', async () => {
  const { order, violations } = await failEveryAttempt(0.3);
  expect(violations).toEqual([]);
  expect(order.payment_status).toBe('FAILED');
  expect(
    order.payment_attempts.map(({ attempt_number, status }) => [attempt_number, status]),
  ).toEqual([1, 2, 3].map((number) => [number, 'FAILED']));
  for (const { error_message: reason } of order.payment_attempts) expect(reason).toMatch(/500/);
  const at = order.payment_attempts.map((attempt) => Date.parse(attempt.created_at));
  const gaps = [(at[1] as number) - (at[0] as number), (at[2] as number) - (at[1] as number)];
  expect(gaps[0]).toBeGreaterThanOrEqual(290);
  expect(gaps[1]).toBeGreaterThanOrEqual(590);
});

it('takes over within five seconds when a process dies in the middle of a charge', async () => {
  const { times, violations } = await takeOver(1);
  process.stdout.write(`taken over and settled after ${times.map(Math.round).join(', ')} ms\n`);
  expect(violations).toEqual([]);
  expect(percentile(times, 0.5)).toBeLessThan(5000);
});
