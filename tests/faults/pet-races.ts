/**
 * Fifty callers want one pet, again and again, through several processes: each time exactly one of
 * them gets it and the others an error at once; afterwards every pet has its order, every order its
 * pet, and inventory counts what there is.
 */
import { describeTimes } from './figures.ts';
import type { Engine } from './harness/brokers.ts';
import { EVERYBODY, type Topology } from './harness/cluster.ts';
import { withRun } from './harness/run.ts';
import { settle } from './harness/settle.ts';
import { openPetshop } from './petshop.ts';

export interface RacesOptions {
  readonly engine: Engine;
  readonly topology: Topology;
  readonly rounds: number;
  readonly callers: number;
  readonly root?: string | undefined;
}

export interface RacesReport {
  readonly violations: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly winners: readonly number[];
  readonly losers: readonly number[];
}

/** Races that run side by side. */
const LANES = 3;

export function runPetRaces(options: RacesOptions): Promise<RacesReport> {
  const { engine, topology, rounds, callers, root } = options;
  const doubled = topology === 'many' ? (['orders', 'pets'] as const) : [];
  return withRun({ engine, topology, doubled, runs: EVERYBODY, root }, async ({ cluster }) => {
    await Promise.all(doubled.map((service) => cluster.second(service).start()));
    const shop = openPetshop(cluster);
    const begun = performance.now();
    let next = 0;
    const lane = async () => {
      while (next < rounds) {
        const round = next++;
        const pet = await shop.addPet();
        const number = await shop.race(pet, callers, true);
        // Some are sold, and some come back for another race.
        if (round % 5 === 0) await shop.step(number, 'approve');
        if (round % 5 !== 1) continue;
        await shop.step(number, 'cancel');
        await shop.follow(pet, 'available');
        await shop.race(pet, callers, true);
      }
    };
    try {
      await Promise.all(Array.from({ length: LANES }, lane));
      const seconds = (performance.now() - begun) / 1000;
      const { violations } = await settle(cluster, { ...shop, expected: new Map() });
      const { winners, losers, troubles } = shop;
      return { violations: [...troubles, ...violations], rounds, seconds, winners, losers };
    } finally {
      await shop.close();
    }
  });
}

export function describeRaces(report: RacesReport): string[] {
  const { rounds, seconds, winners, losers } = report;
  return [
    `${rounds} pets, ${winners.length} races in ${seconds.toFixed(0)} s`,
    `the winners' answers: ${describeTimes(winners)}`,
    `the losers' answers: ${describeTimes(losers)}`,
  ];
}
