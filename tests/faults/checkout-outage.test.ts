import { expect, it } from 'vitest';
import { describeCheckoutOutage, runCheckoutOutages } from './checkout-outage.ts';

it('answers in time and truly while what it asks is away', async () => {
  const reports = await runCheckoutOutages({
    outages: [
      { away: ['customers', 'notifications'], how: 'slow' },
      { away: ['billing', 'customers', 'notifications'], how: 'down' },
    ],
    perSecond: 8,
    seconds: 5,
  });
  for (const report of reports)
    process.stdout.write(`${describeCheckoutOutage(report).join('\n')}\n`);
  expect(reports.flatMap(({ violations }) => violations)).toEqual([]);
  const [noticesAway] = reports;
  expect(noticesAway?.answers).toMatchObject({
    PAID: expect.any(Number),
    INSUFFICIENT_FUNDS: expect.any(Number),
  });
  expect(noticesAway?.answers['NEW']).toBeUndefined();
});
