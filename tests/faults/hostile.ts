/**
 * A provider at its worst: it charges and does not answer, resets, answers 500 with and without
 * having charged, calls back twice, late, and before it answers. It stays so until everything has
 * settled; its journal then tells that nobody was charged twice, and no payment is unknown.
 */
import { keepEvidence, withRun } from './harness/run.ts';
import { queryAsOwner } from './harness/postgres.ts';
import { settle } from './harness/settle.ts';
import { placeAll } from './load.ts';

const HOSTILE = {
  timeout_after_charge: 0.05,
  reset_after_charge: 0.1,
  error: 0.1,
  error_after_charge: 0.05,
  timeout_before_charge: 0.02,
  duplicate_callback: 0.1,
  late_callback: 0.1,
};

export interface HostileReport {
  readonly violations: readonly string[];
  readonly orders: number;
  readonly seconds: number;
  /** Payments by state. */
  readonly states: Readonly<Record<string, number>>;
  /** What the provider did, by its own count. */
  readonly outcomes: Readonly<Record<string, number>>;
}

export function runHostile(payments: number, root?: string): Promise<HostileReport> {
  const env = {
    PAYMENT_TIMEOUT: '0.4',
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: '30',
    CIRCUIT_BREAKER_RECOVERY_TIMEOUT: '0.2',
    // The pace after an outage is another run's subject.
    PAYMENT_DRAIN_FACTOR: '1000',
  };
  return withRun({ topology: 'many', env, root }, async ({ cluster, shopper }) => {
    await cluster.sandbox.control({ hostile: HOSTILE, late_callback_ms: 1500 });
    const begun = performance.now();
    // One in a thousand meets three answered faults in a row.
    await placeAll(shopper, payments, 16, { expect: ['CONFIRMED', 'PAYMENT_FAILED'] });
    const waitSeconds = 30 + payments / 20;
    const judgement = await settle(cluster, shopper, { waitSeconds, heal: false });
    const rows = await queryAsOwner<{ state: string; count: string }>(
      cluster.databaseUrl(),
      'select state, count(*) from payments.payments group by state',
    );
    const { counters } = await cluster.sandbox.view();
    if (judgement.violations.length > 0) keepEvidence(cluster, judgement.violations.join('\n'));
    return {
      violations: judgement.violations,
      orders: judgement.orders,
      seconds: (performance.now() - begun) / 1000,
      states: Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)])),
      outcomes: counters.outcomes,
    };
  });
}

export function describeHostile(report: HostileReport): string[] {
  const words = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return [
    `${report.orders} orders in ${report.seconds.toFixed(0)} s; payments: ${words(report.states)}`,
    `the provider: ${words(report.outcomes)}`,
  ];
}
