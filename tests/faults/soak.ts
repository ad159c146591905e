/** The full-size runs behind `npm run soak`, each printing its figures. True: everything held. */
import { ENGINES, type Engine } from './harness/brokers.ts';
import type { Topology } from './harness/cluster.ts';
import { allCells, nameOf, runCells } from './matrix.ts';

export interface SoakOptions {
  readonly engine?: string;
  readonly topology?: string;
  readonly only?: string;
  readonly parallel?: string;
  readonly kills?: string;
  readonly payments?: string;
  readonly minutes?: string;
}

type SoakRun = (options: SoakOptions) => Promise<boolean>;

export const runs: Readonly<Record<string, SoakRun>> = { matrix };

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function matrix({ engine, topology, only, parallel = '2' }: SoakOptions): Promise<boolean> {
  const engines = engine === undefined ? ENGINES : [engine as Engine];
  const topologies: Topology[] = topology === undefined ? ['one', 'many'] : [topology as Topology];
  let broken = 0;
  let held = 0;
  for (const each of engines)
    for (const how of topologies) {
      const cells = allCells(each, how).filter((cell) => nameOf(cell).includes(only ?? ''));
      const lanes = Array.from({ length: Math.min(Number(parallel), cells.length) }, (_, lane) =>
        cells.filter((_cell, index) => index % Number(parallel) === lane),
      );
      await Promise.all(
        lanes.map((lane) =>
          runCells(lane, ({ cell, violations, tookMs }) => {
            if (violations.length === 0) held++;
            else broken++;
            print(`${violations.length === 0 ? 'ok ' : 'BAD'} ${nameOf(cell)} (${tookMs} ms)`);
            for (const violation of violations) print(`      ${violation}`);
          }),
        ),
      );
    }
  print(`${held + broken} cells: ${held} held, ${broken} did not`);
  return broken === 0;
}
