/** The end of every run: heal, wait until nothing moves, then judge by every witness there is. */
import { verifyDatabase } from '../../../apps/server/verify/database.ts';
import type { Cluster } from './cluster.ts';
import { queryAsOwner } from './postgres.ts';
import type { Shopper } from './shopper.ts';

export interface Judgement {
  /** `invariant: what was seen`; empty when everything holds. */
  readonly violations: readonly string[];
  readonly orders: number;
  readonly settledMs: number;
}

export async function settle(
  cluster: Cluster,
  shopper: Pick<Shopper, 'journal' | 'expected'>,
  { waitSeconds = 60, heal = true }: { waitSeconds?: number; heal?: boolean } = {},
): Promise<Judgement> {
  await Promise.all(cluster.members.map((member) => member.untilReady()));
  if (heal) await cluster.sandbox.control({ mode: 'up' });
  const report = await verifyDatabase({
    databaseUrl: cluster.databaseUrl(),
    journal: cluster.sandbox.journalFile(),
    client: shopper.journal.attempts,
    waitSeconds,
    rowLimit: 3,
  });
  const violations = report.verdicts
    .filter(({ state }) => state === 'violated')
    .map(({ id, violations: count, rows }) => `${id}: ${count}, as ${JSON.stringify(rows[0])}`);
  if (!report.quiescent) violations.push(`not-at-rest: after ${waitSeconds} s`);
  return {
    violations: [...violations, ...(await unexpected(cluster, shopper))],
    orders: report.examined['orders'] ?? 0,
    settledMs: report.waitedMs,
  };
}

/** Orders that came to rest, but not where their token and cancellation lead. */
async function unexpected(cluster: Cluster, shopper: Pick<Shopper, 'expected'>): Promise<string[]> {
  const rows = await queryAsOwner<Ended>(
    cluster.databaseUrl(),
    `select o.id, o.number, o.status, p.failure_code as failure from orders.orders o
     left join payments.payments p on p.order_id = o.id`,
  );
  const expectedOf = ({ id, number }: Ended) =>
    shopper.expected.get(id) ?? shopper.expected.get(String(number));
  return rows
    .filter((row) => expectedOf(row)?.includes(row.status) === false)
    .map((row) => {
      const { id, status, failure } = row;
      return `unexpected-outcome: ${id} is ${status} (${failure}), not ${expectedOf(row)}`;
    });
}

interface Ended {
  readonly id: string;
  readonly number: string;
  readonly status: string;
  readonly failure: string | null;
}
