/** The fuzzer's report as text. */
import type { FuzzReport } from './run.ts';

/** A table of what was answered, and every finding with a line for the shell. */
export function describeReport(report: FuzzReport): string {
  const { seed, requests, seconds, verdicts, overloads, answers, findings } = report;
  const rate = Math.round(requests / seconds);
  const lines = [
    `${requests} requests in ${seconds.toFixed(1)} s (${rate}/s), seed ${seed}: ` +
      `${verdicts.fits} fitting, ${verdicts.wrong} wrong, ${verdicts.odd} odd; ${overloads} × 503`,
  ];
  for (const [operation, counts] of Object.entries(answers).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const shown = Object.entries(counts).map(([status, count]) => `${status}×${count}`);
    lines.push(`  ${operation.padEnd(36)} ${shown.join(' ')}`);
  }
  for (const finding of findings)
    lines.push(
      '',
      `${finding.operation}: ${finding.kind}: ${finding.detail}`,
      `  sent (${finding.what}): ${finding.curl.slice(0, 2000)}`,
      `  answered: ${finding.answer}`,
      `  fast-check: seed ${finding.seed}, path ${finding.path}`,
    );
  lines.push('', findings.length === 0 ? 'Nothing found.' : `${findings.length} findings.`);
  return lines.join('\n');
}
