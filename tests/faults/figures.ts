/** Figures for people. */

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** `p50 12, p95 30, p99 41, max 50 ms` */
export function describeTimes(ms: readonly number[]): string {
  if (ms.length === 0) return 'none';
  const at = (share: number) => Math.round(percentile(ms, share));
  return `p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, max ${at(1)} ms (${ms.length})`;
}
