/** What `waybill verify` prints. */
import { renderTable } from '../text-table.ts';
import type { Report, Verdict } from './database.ts';

/** The report as text: what was examined, every check, and the rows that break one. */
export function renderReport(report: Report, skippedBecause: Readonly<Record<string, string>>) {
  const { verdicts, examined, waitedMs, quiescent } = report;
  const parts = [
    `Examined: ${Object.entries(examined)
      .map(([name, count]) => `${count} ${name.replaceAll('_', ' ')}`)
      .join(', ')}.`,
    renderTable(
      ['check', 'must never be', 'kind', 'found'],
      verdicts.map((verdict) => [verdict.id, verdict.title, verdict.kind, told(verdict)]),
    ),
    ...verdicts.filter(({ state }) => state === 'violated').map(renderRows),
    ...Object.values(skippedBecause),
  ];
  if (waitedMs > 0)
    parts.push(
      quiescent
        ? `Everything was at rest after ${(waitedMs / 1000).toFixed(1)} s.`
        : `Not everything came to rest within ${(waitedMs / 1000).toFixed(1)} s.`,
    );
  return `${parts.join('\n\n')}\n\n${summarise(report)}\n`;
}

function told({ state, violations }: Verdict): string {
  if (state === 'violated') return `${violations} ${violations === 1 ? 'row' : 'rows'}`;
  return state === 'ok' ? 'ok' : 'skipped';
}

function renderRows({ id, title, rows, violations }: Verdict): string {
  const lines = rows.map((row) => `  ${JSON.stringify(row)}`);
  const more = violations - rows.length;
  if (more > 0) lines.push(`  … and ${more} more`);
  return [`${id}: ${title}`, ...lines].join('\n');
}

function summarise({ verdicts, examined }: Report): string {
  const violated = verdicts.filter(({ state }) => state === 'violated');
  const judged = verdicts.filter(({ state }) => state !== 'skipped').length;
  const skipped = verdicts.length - judged;
  const left = skipped === 0 ? '' : `, ${skipped} skipped`;
  if (violated.length > 0)
    return (
      `${violated.length} of ${judged} checks found something${left}: ` +
      `${violated.map(({ id }) => id).join(', ')}.`
    );
  const empty = examined['orders'] === 0 ? ' But there is not a single order here.' : '';
  return `${judged} checks, nothing found${left}.${empty}`;
}
