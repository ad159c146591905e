/**
 * The services that a checkout asks are away, one at a time and together, while orders keep coming:
 * every one is answered in time, and what was answered is the truth.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { describeTimes } from './figures.ts';
import type { Proxied } from './harness/cluster.ts';
import type { ProxyMode } from './harness/proxy.ts';
import { queryAsOwner } from './harness/postgres.ts';
import { keepEvidence, withRun, type Run } from './harness/run.ts';
import { settle } from './harness/settle.ts';
import type { Answered } from './harness/shopper.ts';

export interface CheckoutOutage {
  readonly away: readonly Proxied[];
  readonly how: Exclude<ProxyMode, 'up'>;
}

export interface CheckoutOutageOptions {
  readonly outages: readonly CheckoutOutage[];
  readonly perSecond: number;
  readonly seconds: number;
  readonly root?: string | undefined;
}

export interface CheckoutOutageReport extends CheckoutOutage {
  readonly violations: readonly string[];
  /** How often each status was answered while they were away. */
  readonly answers: Readonly<Record<string, number>>;
  readonly ms: readonly number[];
  /** From their return until no checkout was open. */
  readonly settledMs: number;
}

/** CHECKOUT_TIMEOUT, and what an answer may take beyond it on a busy machine. */
const TIMEOUT_MS = 3000;
const SLACK_MS = 1500;
const SETTLED_WITHIN_MS = 60_000;

export function runCheckoutOutages(
  options: CheckoutOutageOptions,
  done: (report: CheckoutOutageReport) => void = () => {},
): Promise<CheckoutOutageReport[]> {
  const env = { CHECKOUT_TIMEOUT: String(TIMEOUT_MS / 1000), CHECKOUT_NOTICE_TIMEOUT: '0.5' };
  const proxied: Proxied[] = ['billing', 'customers', 'notifications'];
  const { root } = options;
  return withRun({ topology: 'many', env, proxied, root }, async (run) => {
    const reports: CheckoutOutageReport[] = [];
    for (const outage of options.outages) {
      const report = await runOne(run, outage, options);
      if (report.violations.length > 0)
        keepEvidence(run.cluster, `${nameOf(outage)}\n${report.violations.join('\n')}`);
      reports.push(report);
      done(report);
    }
    return reports;
  });
}

async function runOne(
  run: Run,
  outage: CheckoutOutage,
  { perSecond, seconds }: CheckoutOutageOptions,
): Promise<CheckoutOutageReport> {
  const { cluster, shopper } = run;
  // Wallets are made while they can be.
  await Promise.all([shopper.checkOut('CONFIRMED'), shopper.checkOut('PAYMENT_FAILED')]);
  const answered: Answered[] = [];
  const violations: string[] = [];
  for (const name of outage.away) await cluster.proxy(name).set(outage.how);
  const under: Promise<void>[] = [];
  const from = performance.now();
  for (let count = 1; performance.now() - from < seconds * 1000; count++) {
    const expect = count % 4 === 0 ? 'PAYMENT_FAILED' : 'CONFIRMED';
    under.push(
      shopper.checkOut(expect).then(
        (answer) => void answered.push(answer),
        (error: unknown) => void violations.push(`client: ${String(error)}`),
      ),
    );
    await pause(Math.max(0, from + (count * 1000) / perSecond - performance.now()));
  }
  await Promise.all(under);
  for (const name of outage.away) await cluster.proxy(name).set('up');
  const till = performance.now();
  await untilNoneIsOpen(run, SETTLED_WITHIN_MS).catch((error: unknown) =>
    violations.push(String(error)),
  );
  const settledMs = performance.now() - till;
  violations.push(...(await settle(cluster, shopper, { waitSeconds: 90 })).violations);
  violations.push(...(await lies(run, answered)));
  const ms = answered.map((answer) => answer.ms);
  const late = ms.filter((took) => took > TIMEOUT_MS + SLACK_MS);
  if (late.length > 0) violations.push(`late: ${describeTimes(late)}`);
  const answers: Record<string, number> = {};
  for (const { status } of answered) answers[status] = (answers[status] ?? 0) + 1;
  return { ...outage, violations, answers, ms, settledMs };
}

/** A checkout is over when its money and its notice are where they belong. */
async function untilNoneIsOpen({ cluster }: Run, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const [row] = await queryAsOwner<{ open: string }>(
      cluster.databaseUrl(),
      `select (select count(*) from orders.orders
          where status in ('PENDING', 'PAYMENT_PROCESSING')) +
        (select count(*) from orders.tasks) as open`,
    );
    if (row?.open === '0') return;
    if (performance.now() > end) throw new Error(`${row?.open} still open after ${withinMs} ms`);
    await pause(250);
  }
}

/** What each answer promises of the order for ever; NEW promises nothing. */
const PROMISES: Readonly<Record<string, string>> = {
  PAID: 'CONFIRMED',
  INSUFFICIENT_FUNDS: 'PAYMENT_FAILED',
  FAILED: 'PAYMENT_FAILED',
};

async function lies({ cluster }: Run, answered: readonly Answered[]): Promise<string[]> {
  const rows = await queryAsOwner<{ number: string; status: string; failure: string | null }>(
    cluster.databaseUrl(),
    'select number, status, payment_failure as failure from orders.orders',
  );
  const ended = new Map(rows.map((row) => [row.number, row]));
  return answered.flatMap(({ id, status }) => {
    const row = ended.get(id);
    const promised = PROMISES[status];
    const short = row?.failure === 'insufficient_funds';
    const true_ =
      row !== undefined &&
      (promised === undefined ? status === 'NEW' : row.status === promised) &&
      (status === 'INSUFFICIENT_FUNDS') === (status !== 'NEW' && short);
    return true_ ? [] : [`answered ${status}: ${id} is ${row?.status} (${row?.failure})`];
  });
}

function nameOf({ away, how }: CheckoutOutage): string {
  return `${away.join(' and ')} ${how}`;
}

export function describeCheckoutOutage(report: CheckoutOutageReport): string[] {
  const answers = Object.entries(report.answers).map(([status, count]) => `${status} ${count}`);
  return [
    `${nameOf(report)}: ${answers.join(', ')}; ${describeTimes(report.ms)}; ` +
      `settled ${Math.round(report.settledMs)} ms after its end`,
  ];
}

const ALL: readonly Proxied[] = ['billing', 'customers', 'notifications'];
const WAYS = ['down', 'slow', 'reset'] as const;

/** Each service in each way, then all of them at once. */
export const ALL_CHECKOUT_OUTAGES: readonly CheckoutOutage[] = WAYS.flatMap((how) => [
  ...ALL.map((name) => ({ away: [name], how })),
  { away: ALL, how },
]);
