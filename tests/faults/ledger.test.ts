import { expect, it } from 'vitest';
import { describeLedger, runLedger, type LedgerOptions } from './ledger.ts';

it('keeps every cent while very many move money at once and all are killed', async () => {
  const options: LedgerOptions = { transfers: 2000, accounts: 100, processes: 2, kills: 5 };
  const report = await runLedger(options);
  process.stdout.write(`${describeLedger(options, report).join('\n')}\n`);
  expect(report.violations).toEqual([]);
  expect(report.repeats).toBeGreaterThan(0);
  for (const outcome of ['captured', 'voided', 'insufficient_funds'])
    expect(report.outcomes[`charge ${outcome}`], outcome).toBeGreaterThan(0);
  for (const outcome of ['done', 'refund_exceeds_capture'])
    expect(report.outcomes[`refund ${outcome}`], outcome).toBeGreaterThan(0);
});
