/**
 * The provider is away for minutes while orders keep coming: every one is accepted as quickly as
 * before, none fails for it, the breaker tries once per recovery time, and when the provider is
 * back the backlog drains without overrunning it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { describeTimes, percentile } from './figures.ts';
import { keepEvidence, withRun, type Run } from './harness/run.ts';
import { queryAsOwner } from './harness/postgres.ts';
import { settle } from './harness/settle.ts';
import { startLoad } from './load.ts';

/** Refused; accepted and reset; answered 503. */
export type Away = 'down' | 'reset' | 'error';

export interface OutageOptions {
  readonly away: Away;
  readonly perSecond: number;
  readonly beforeSeconds: number;
  readonly outageSeconds: number;
  /** How long orders keep coming after it. */
  readonly afterSeconds: number;
  /** CIRCUIT_BREAKER_RECOVERY_TIMEOUT */
  readonly recoverySeconds: number;
  readonly root?: string;
}

export interface OutageReport {
  readonly violations: readonly string[];
  readonly orders: number;
  /** Milliseconds of the acceptances before it and during it. */
  readonly before: readonly number[];
  readonly during: readonly number[];
  /** Calls that payments began while the provider was away. */
  readonly callsAway: number;
  /** Calls a second at the provider: the usual average, and the most over ten seconds after it. */
  readonly usualRate: number;
  readonly drainRate: number;
  /** From the provider's return until the last waiting order was settled. */
  readonly drainSeconds: number;
  /** From the request to cancel a waiting order until it was cancelled. */
  readonly cancelMs: number;
}

export function runOutage(options: OutageOptions): Promise<OutageReport> {
  const { away, recoverySeconds, root } = options;
  const env = {
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: '5',
    CIRCUIT_BREAKER_RECOVERY_TIMEOUT: String(recoverySeconds),
    PAYMENT_RETRY_DELAY: '0.2',
  };
  return withRun({ topology: 'many', env, root }, async (run) => {
    const { cluster, shopper } = run;
    const load = startLoad(shopper, { perSecond: options.perSecond, even: true });
    await pause(options.beforeSeconds * 1000);
    const from = performance.now();
    const callsBefore = await callsOf(run);
    await cluster.sandbox.control({ mode: away });
    const half = options.outageSeconds * 500;
    await pause(half);
    const cancelMs = await cancelWaiting(run);
    await pause(Math.max(0, from + half * 2 - performance.now()));
    const callsAway = (await callsOf(run)) - callsBefore;
    const till = performance.now();
    await cluster.sandbox.control({ mode: 'up' });
    const waiting = await openOrders(run);
    const after = pause(options.afterSeconds * 1000).then(() => load.stop());
    const drained = untilSettled(run, waiting);
    const violations = [...(await after)];
    await drained;
    const drainSeconds = (performance.now() - till) / 1000;
    const judgement = await settle(cluster, shopper, { waitSeconds: 600 });
    violations.push(...judgement.violations);
    if (violations.length > 0) keepEvidence(cluster, violations.join('\n'));
    const took = (begin: number, end: number) =>
      shopper.acceptances.filter(({ at }) => at >= begin && at < end).map(({ ms }) => ms);
    return {
      violations,
      orders: judgement.orders,
      before: took(0, from),
      during: took(from, till),
      callsAway,
      ...(await ratesOf(run, options, (performance.now() - till) / 1000)),
      drainSeconds,
      cancelMs,
    };
  });
}

async function callsOf({ cluster }: Run): Promise<number> {
  const rows = await queryAsOwner<{ calls: string }>(
    cluster.databaseUrl(),
    'select coalesce(sum(calls), 0) as calls from payments.payments',
  );
  return Number(rows[0]?.calls);
}

async function cancelWaiting({ shopper }: Run): Promise<number> {
  const { id } = await shopper.place();
  await pause(700);
  const begun = performance.now();
  await shopper.cancel(id);
  await shopper.follow(id, ['CANCELLED'], 30_000);
  return performance.now() - begun;
}

const OPEN = "status in ('PENDING', 'PAYMENT_PROCESSING')";

async function openOrders({ cluster }: Run): Promise<string[]> {
  const rows = await queryAsOwner<{ id: string }>(
    cluster.databaseUrl(),
    `select id from orders.orders where ${OPEN}`,
  );
  return rows.map(({ id }) => id);
}

async function untilSettled({ cluster }: Run, ids: readonly string[]): Promise<void> {
  for (;;) {
    const rows = await queryAsOwner(
      cluster.databaseUrl(),
      `select from orders.orders where id = any($1::uuid[]) and ${OPEN} limit 1`,
      [ids],
    );
    if (rows.length === 0) return;
    await pause(200);
  }
}

const WINDOW = 10;

async function ratesOf({ cluster }: Run, options: OutageOptions, sinceSeconds: number) {
  const { counters } = await cluster.sandbox.view();
  const calls = counters.calls_per_second;
  const after = calls.slice(-Math.ceil(sinceSeconds) - 1);
  const length = options.beforeSeconds - 2;
  const beforeEnd = calls.length - Math.round(sinceSeconds + options.outageSeconds) - 1;
  const average = (seconds: readonly number[]) =>
    seconds.reduce((sum, one) => sum + one, 0) / Math.max(1, seconds.length);
  const windows = after.map((_, index) => after.slice(index, index + WINDOW));
  const full = windows.filter((window) => window.length === WINDOW);
  return {
    usualRate: average(calls.slice(beforeEnd - length, beforeEnd)),
    drainRate: Math.max(...(full.length > 0 ? full : [after]).map(average)),
  };
}

/** What is reported of an outage, for people. */
export function describeOutage(options: OutageOptions, report: OutageReport): string[] {
  const { usualRate, drainRate } = report;
  return [
    `${options.away} for ${options.outageSeconds} s at ${options.perSecond.toFixed(1)} orders/s:` +
      ` ${report.orders} orders`,
    `  accepted before: ${describeTimes(report.before)}`,
    `  accepted during: ${describeTimes(report.during)}`,
    `  calls while it was away: ${report.callsAway}, a trial every ${options.recoverySeconds} s`,
    `  calls a second: usually ${usualRate.toFixed(1)}, at most ${drainRate.toFixed(1)} over ` +
      `${WINDOW} s afterwards (${(drainRate / usualRate).toFixed(2)} times)`,
    `  the backlog was settled ${report.drainSeconds.toFixed(1)} s after the return`,
    `  a waiting order was cancelled in ${Math.round(report.cancelMs)} ms`,
  ];
}

/** What an outage must not do; sentences about what it did. */
export function judgeOutage(options: OutageOptions, report: OutageReport): string[] {
  const faults = [...report.violations];
  const expect = (holds: boolean, sentence: string) => {
    if (!holds) faults.push(`outage: ${sentence}`);
  };
  const [before, during] = [percentile(report.before, 0.99), percentile(report.during, 0.99)];
  // Generous, because the machine does other things; what would show is a wait for the provider.
  expect(during < Math.max(4 * before, 500), `p99 went from ${before} to ${during} ms`);
  const trials = options.outageSeconds / options.recoverySeconds;
  // Five faults open the breaker; a few more calls may have been in flight with the fifth.
  expect(report.callsAway >= 5, `only ${report.callsAway} calls met it`);
  expect(report.callsAway <= 5 + 16 + trials + 1, `${report.callsAway} calls while it was away`);
  expect(
    report.drainRate <= report.usualRate * 1.5 + 1,
    `${report.drainRate} calls a second after it, usually ${report.usualRate}`,
  );
  expect(
    report.drainRate > options.perSecond,
    `the backlog grows: ${report.drainRate} calls a second, ${options.perSecond} orders`,
  );
  expect(report.cancelMs < 5000, `a waiting order took ${report.cancelMs} ms to be cancelled`);
  return faults;
}
