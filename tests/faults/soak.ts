/** The full-size runs behind `npm run soak`, each printing its figures. True: everything held. */
import { atExit } from './harness/at-exit.ts';
import { ENGINES, type Engine } from './harness/brokers.ts';
import type { Topology } from './harness/cluster.ts';
import { copyTree } from './harness/tree.ts';
import { MUTANTS } from './mutants.ts';
import {
  ALL_CHECKOUT_OUTAGES,
  describeCheckoutOutage,
  runCheckoutOutages,
} from './checkout-outage.ts';
import { describeCatch, huntMutants } from './mutation.ts';
import { describeDispatchKills, runDispatchKills } from './dispatch-kills.ts';
import { describeDispatchRaces, runDispatchRaces } from './dispatch-races.ts';
import { describeHostile, runHostile } from './hostile.ts';
import { describeOutage, judgeOutage, runOutage, type Away, type OutageOptions } from './outage.ts';
import { describeLedger, runLedger } from './ledger.ts';
import { describeKills, runKills } from './kills.ts';
import { allCells, nameOf, runCells, type CellResult } from './matrix.ts';
import { allPetCells, nameOfPetCell, runPetFaults } from './pet-faults.ts';
import { describeRaces, runPetRaces } from './pet-races.ts';
import { describeSales, runStockSales } from './stock-sales.ts';

export interface SoakOptions {
  readonly engine?: string;
  readonly topology?: string;
  readonly only?: string;
  readonly parallel?: string;
  readonly kills?: string;
  readonly payments?: string;
  readonly minutes?: string;
  readonly transfers?: string;
  readonly rounds?: string;
}

/** Runs on a copy of the sources in `root`, so that edits in hours of running are not seen. */
type SoakRun = (options: SoakOptions, root: string) => Promise<boolean>;

const table: Readonly<Record<string, SoakRun>> = {
  ledger,
  matrix,
  kills,
  hostile,
  outage,
  checkout,
  mutants,
  pets,
  'pet-races': petRaces,
  'dispatch-races': dispatchRaces,
  'dispatch-kill': dispatchKill,
  stock,
};

export const names = Object.keys(table);

/** Runs by name; undefined when there is no such run. */
export async function soak(name: string, options: SoakOptions): Promise<boolean | undefined> {
  const run = table[name];
  if (run === undefined) return undefined;
  const tree = copyTree();
  atExit(tree.remove);
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      print(`ended by ${signal}`);
      process.exit(1);
    });
  return run(options, tree.root);
}

async function dispatchRaces(options: SoakOptions, root: string): Promise<boolean> {
  const rounds = Number(options.rounds ?? 100_000);
  const report = await runDispatchRaces({ processes: 3, rounds, root });
  for (const line of [...describeDispatchRaces(report), ...report.violations]) print(line);
  return report.violations.length === 0;
}

async function dispatchKill(options: SoakOptions, root: string): Promise<boolean> {
  const report = await runDispatchKills({
    processes: 3,
    kills: Number(options.kills ?? 100),
    meanPauseMs: 4000,
    assignsPerSecond: 300,
    executors: 500,
    postgresEvery: 5,
    root,
  });
  for (const line of [...describeDispatchKills(report), ...report.violations]) print(line);
  return report.violations.length === 0;
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function matrix(options: SoakOptions, root: string): Promise<boolean> {
  const { engine, topology, only, parallel = '2' } = options;
  const engines = engine === undefined ? ENGINES : [engine as Engine];
  const topologies: Topology[] = topology === undefined ? ['one', 'many'] : [topology as Topology];
  let broken = 0;
  let held = 0;
  const report = ({ cell, violations, tookMs }: CellResult) => {
    if (violations.length === 0) held++;
    else broken++;
    print(`${violations.length === 0 ? 'ok ' : 'BAD'} ${nameOf(cell)} (${tookMs} ms)`);
    for (const violation of violations) print(`      ${violation}`);
  };
  for (const each of engines)
    for (const how of topologies) {
      const cells = allCells(each, how).filter((cell) => nameOf(cell).includes(only ?? ''));
      const lanes = Array.from({ length: Math.min(Number(parallel), cells.length) }, (_, lane) =>
        cells.filter((_cell, index) => index % Number(parallel) === lane),
      );
      await Promise.all(lanes.map((lane) => runCells(lane, { root, done: report })));
    }
  print(`${held + broken} cells: ${held} held, ${broken} did not`);
  return broken === 0;
}

async function kills(options: SoakOptions, root: string): Promise<boolean> {
  const report = await runKills({
    engine: (options.engine ?? 'postgres') as Engine,
    topology: (options.topology ?? 'many') as Topology,
    kills: Number(options.kills ?? 100),
    meanPauseMs: 4000,
    ordersPerSecond: 10,
    root,
  });
  for (const line of [...describeKills(report), ...report.violations]) print(line);
  return report.violations.length === 0;
}

async function hostile(options: SoakOptions, root: string): Promise<boolean> {
  const report = await runHostile(Number(options.payments ?? 10_000), root);
  for (const line of [...describeHostile(report), ...report.violations]) print(line);
  return report.violations.length === 0;
}

/** 500 orders a minute, and a provider that is away in one of three ways. */
async function outage(options: SoakOptions, root: string): Promise<boolean> {
  let held = true;
  const ways = (options.only?.split(',') ?? ['down', 'reset', 'error']) as Away[];
  for (const away of ways) {
    const how: OutageOptions = {
      away,
      perSecond: 500 / 60,
      beforeSeconds: 60,
      outageSeconds: Number(options.minutes ?? 3) * 60,
      afterSeconds: 30,
      recoverySeconds: 20,
      root,
    };
    const report = await runOutage(how);
    const faults = judgeOutage(how, report);
    for (const line of [...describeOutage(how, report), ...faults]) print(line);
    held &&= faults.length === 0;
  }
  return held;
}

/** What a checkout asks is away, half a minute in each way, at ten checkouts a second. */
async function checkout({ minutes = '0.5' }: SoakOptions, root: string): Promise<boolean> {
  const reports = await runCheckoutOutages(
    { outages: ALL_CHECKOUT_OUTAGES, perSecond: 10, seconds: Number(minutes) * 60, root },
    (report) => {
      for (const line of [...describeCheckoutOutage(report), ...report.violations]) print(line);
    },
  );
  return reports.every(({ violations }) => violations.length === 0);
}

/** 100,000 transfers among 100 wallets; something is killed every 2,000. */
async function ledger({ transfers = '100000' }: SoakOptions, root: string): Promise<boolean> {
  const total = Number(transfers);
  const options = { transfers: total, accounts: 100, processes: 4, kills: total / 2000, root };
  const report = await runLedger(options);
  for (const line of [...describeLedger(options, report), ...report.violations]) print(line);
  return report.violations.length === 0;
}

async function mutants({ only = '' }: SoakOptions): Promise<boolean> {
  const chosen = MUTANTS.filter(({ name, hunt }) => name.includes(only) || hunt === only);
  const verdicts = await huntMutants(chosen, (verdict) => {
    print(`${verdict.mutant.name} → ${describeCatch(verdict)}`);
    for (const alarm of verdict.falseAlarms) print(`      FALSE ALARM ${alarm}`);
  });
  const good = verdicts.filter((one) => one.caught.length > 0 && one.falseAlarms.length === 0);
  print(`${good.length} of ${chosen.length} planted bugs caught`);
  return good.length === chosen.length;
}

/** Orders for pets at every step, with inventory and the broker away. */
async function pets(options: SoakOptions, root: string): Promise<boolean> {
  const { engine, topology, only = '', minutes = '1' } = options;
  const engines = engine === undefined ? ENGINES : [engine as Engine];
  const topologies: Topology[] = topology === undefined ? ['one', 'many'] : [topology as Topology];
  let held = true;
  const done = (name: string, violations: readonly string[]) => {
    held &&= violations.length === 0;
    print(`${violations.length === 0 ? 'ok ' : 'BAD'} ${name}`);
    for (const violation of violations) print(`      ${violation}`);
  };
  for (const each of engines)
    for (const how of topologies) {
      print(`${each}, ${how}`);
      const cells = allPetCells(how).filter((cell) => nameOfPetCell(cell).includes(only));
      const awayMs = Number(minutes) * 60_000;
      await runPetFaults({ engine: each, topology: how, cells, outages: true, awayMs, root, done });
    }
  return held;
}

async function petRaces(options: SoakOptions, root: string): Promise<boolean> {
  const { engine = 'postgres', topology = 'many', rounds = '10000' } = options;
  const report = await runPetRaces({
    engine: engine as Engine,
    topology: topology as Topology,
    rounds: Number(rounds),
    callers: 50,
    root,
  });
  for (const line of [...describeRaces(report), ...report.violations]) print(line);
  return report.violations.length === 0;
}

async function stock({ rounds = '1000' }: SoakOptions, root: string): Promise<boolean> {
  const report = await runStockSales({ rounds: Number(rounds), buyers: 20, units: 3, root });
  for (const line of [...describeSales(report), ...report.violations]) print(line);
  return report.violations.length === 0;
}
