import { describe, expect, it } from 'vitest';
import { FAILPOINTS, type FailpointName } from '../../kit/failpoints.ts';
import { canRunEngine, ENGINES, type Engine } from './harness/brokers.ts';
import type { Service, Topology } from './harness/cluster.ts';
import {
  ACTIONS,
  WALKED_ELSEWHERE,
  allCells,
  nameOf,
  runCells,
  type Action,
  type Cell,
} from './matrix.ts';

function sample(
  engine: Engine,
  topology: Topology,
  chosen: readonly (readonly [FailpointName, Action, Service])[],
): Cell[] {
  return chosen.map(([point, action, service]) => {
    const cells = allCells(engine, topology).filter(
      (cell) => cell.point === point && cell.action === action && cell.service === service,
    );
    if (cells[0] === undefined) throw new Error(`there is no ${action} at ${point} in ${service}`);
    return cells[0];
  });
}

/** A few of the some hundred cells; `npm run soak -- matrix` runs them all. */
const samples: Readonly<Record<Engine, readonly Cell[][]>> = {
  postgres: [
    sample('postgres', 'one', [['payments.charge.after', 'kill', 'payments']]),
    sample('postgres', 'many', [
      ['orders.checkout.charged', 'kill', 'orders'],
      ['consumer.before_commit', 'kill', 'payments'],
    ]),
  ],
  amqp: [sample('amqp', 'many', [['log.publish.before', 'kill', 'orders']])],
  redis: [sample('redis', 'many', [['consumer.after_commit', 'duplicate', 'payments']])],
};

function wordsFor(cells: readonly Cell[]): string {
  return cells.map(({ action, point }) => `${action} at ${point}`).join(', ');
}

it('walks every failpoint with every action', () => {
  const cells = allCells('postgres', 'many');
  const walked = FAILPOINTS.filter((point) => !WALKED_ELSEWHERE.includes(point));
  expect(new Set(cells.map((cell) => cell.point))).toEqual(new Set(walked));
  expect(new Set(cells.map((cell) => cell.action))).toEqual(new Set(ACTIONS));
  expect(new Set(cells.map(nameOf)).size).toBe(cells.length);
});

for (const engine of ENGINES)
  describe.skipIf(!canRunEngine(`the kill matrix on ${engine}`, engine))(`on ${engine}`, () => {
    for (const cells of samples[engine])
      it(`survives ${wordsFor(cells)}`, async () => {
        const results = await runCells(cells);
        const broken = results.filter(({ violations }) => violations.length > 0);
        expect(broken.map((one) => [nameOf(one.cell), one.violations])).toEqual([]);
        expect(results).toHaveLength(cells.length);
      });
  });
