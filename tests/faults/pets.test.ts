import { describe, expect, it } from 'vitest';
import { canRunEngine, ENGINES, type Engine } from './harness/brokers.ts';
import type { Topology } from './harness/cluster.ts';
import { allPetCells, nameOfPetCell, runPetFaults, type PetCell } from './pet-faults.ts';
import { describeRaces, runPetRaces } from './pet-races.ts';

/** A few of each; `npm run soak -- pets` walks all, `-- pet-races` runs ten thousand rounds. */
const samples: Partial<Record<Engine, readonly (readonly [Topology, readonly PetCell[]])[]>> = {
  postgres: [
    [
      'many',
      [
        { service: 'orders', point: 'orders.place.reserved', action: 'kill' },
        { service: 'inventory', point: 'consumer.before_commit', action: 'kill' },
      ],
    ],
  ],
  amqp: [['many', [{ service: 'orders', point: 'orders.place.asked', action: 'kill' }]]],
};

it('walks every step between the claim and the birth of an order', () => {
  const names = allPetCells('many').map(nameOfPetCell);
  expect(new Set(names).size).toBe(names.length);
  for (const [, cells] of Object.values(samples).flat())
    for (const cell of cells) expect(names).toContain(nameOfPetCell(cell));
});

for (const engine of ENGINES.filter((one) => one in samples))
  describe.skipIf(!canRunEngine(`orders for pets on ${engine}`, engine))(`on ${engine}`, () => {
    for (const [topology, cells] of samples[engine] ?? [])
      it(`pets and orders agree, ${topology}: ${cells.map(nameOfPetCell).join(', ')}`, async () => {
        const options = { engine, topology, cells, outages: true, awayMs: 2000 };
        const results = await runPetFaults(options);
        const broken = [...results].filter(([, violations]) => violations.length > 0);
        expect(broken).toEqual([]);
        const brokers = engine === 'postgres' ? 0 : 2;
        expect(results.size).toBe(cells.length + (topology === 'many' ? 1 + brokers : 0));
      });
  });

it('of fifty callers one gets the pet, and the others an error at once', async () => {
  const options = { engine: 'postgres', topology: 'many', rounds: 20, callers: 50 } as const;
  const report = await runPetRaces(options);
  process.stdout.write(`${describeRaces(report).join('\n')}\n`);
  expect(report.violations).toEqual([]);
  expect(report.winners).toHaveLength(24);
  expect(report.losers).toHaveLength(24 * 49);
});
