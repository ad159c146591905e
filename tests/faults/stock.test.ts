import { expect, it } from 'vitest';
import { describeSales, runStockSales } from './stock-sales.ts';

/** `npm run soak -- stock` is the thousand. */
it('of twenty buyers three get the three units there are, whoever dies', async () => {
  const report = await runStockSales({ rounds: 110, buyers: 20, units: 3 });
  process.stdout.write(`${describeSales(report).join('\n')}\n`);
  expect(report.violations).toEqual([]);
  expect(report.kills).toBe(1);
});
