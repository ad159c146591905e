/**
 * Cancel, acquire and reassign of one order at one moment, through several processes: exactly one
 * of them wins as the callers are told, nobody holds it beside somebody else, and an executor who
 * is late with an old epoch is refused.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { startDispatchCluster, type DispatchCluster, type Reply } from './dispatch-cluster.ts';

export interface DispatchRaces {
  readonly processes: number;
  readonly rounds: number;
  readonly root?: string | undefined;
}

export interface DispatchRacesReport {
  readonly violations: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  /** How often each outcome was told. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Races that run side by side. */
const LANES = 12;

export async function runDispatchRaces(options: DispatchRaces): Promise<DispatchRacesReport> {
  const cluster = await startDispatchCluster(options.processes, options.root);
  const violations: string[] = [];
  const outcomes: Record<string, number> = {};
  const begun = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < options.rounds) {
      const round = next++;
      const { outcome, faults } = await race(cluster, round);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      violations.push(...faults.map((fault) => `round ${round}, ${outcome}: ${fault}`));
    }
  };
  try {
    await Promise.all(Array.from({ length: LANES }, lane));
    const seconds = (performance.now() - begun) / 1000;
    violations.push(...(await cluster.judge()));
    return { violations: violations.slice(0, 50), rounds: options.rounds, seconds, outcomes };
  } finally {
    await cluster.stop();
  }
}

interface Raced {
  readonly outcome: string;
  readonly faults: readonly string[];
}

const SPREAD_MS = 8;

async function soon<Result>(upToMs: number, work: () => Promise<Result>): Promise<Result> {
  await pause(Math.random() * upToMs);
  return work();
}

const anyMember = () => Math.floor(Math.random() * 1000);

async function race(cluster: DispatchCluster, round: number): Promise<Raced> {
  const order = `race-${round}`;
  const [one, two] = [`one-${round}`, `two-${round}`];
  const made = await cluster.ask(anyMember(), 'POST', '/assignments', {
    order_id: order,
    executor_id: one,
  });
  if (made?.status !== 201) return { outcome: 'not made', faults: [`answered ${made?.status}`] };
  const acquire = (executor: string, upTo: number) =>
    soon(upTo, () => cluster.ask(anyMember(), 'POST', `/executors/${executor}/acquire`));
  // A reassignment asks its sources first: the others are held back, so that each has its chance.
  const spread = SPREAD_MS * 2 ** (round % 4);
  const asked = await Promise.all([
    soon(spread, () => cluster.ask(anyMember(), 'DELETE', `/assignments/${order}`)),
    acquire(one, spread),
    acquire(one, spread),
    cluster.ask(anyMember(), 'PUT', `/assignments/${order}`, { executor_id: two }),
    acquire(two, spread * 2),
  ]);
  const [cancelled, first, again, reassigned, second] = asked;
  const won = (reply: Reply | undefined) => reply?.status === 200;
  const told = {
    cancelled: won(cancelled),
    one: won(first) || won(again),
    reassigned: won(reassigned),
    two: won(second),
  };
  const outcome = Object.entries(told)
    .flatMap(([name, is]) => (is ? [name] : []))
    .join('+');
  const faults = asked.includes(undefined) ? ['an answer is missing'] : [];
  const say = (broken: boolean, fault: string) => void (broken && faults.push(fault));
  say(told.one && (told.cancelled || told.reassigned || told.two), 'one was not alone');
  say(told.two && (told.cancelled || !told.reassigned), 'two was not alone, or came from nowhere');
  say(!told.cancelled && !told.one && !told.two, 'the cancellation lost to nobody');
  say(!told.reassigned && !told.one && !told.cancelled, 'the reassignment lost to nobody');
  const read = await cluster.ask(anyMember(), 'GET', `/assignments/${order}`);
  const body = read?.body ?? {};
  const holder = told.one ? one : told.two ? two : undefined;
  const state = holder === undefined ? 'CANCELLED' : 'ACQUIRED';
  say(body['state'] !== state, `it is ${String(body['state'])}`);
  say(holder !== undefined && body['executor_id'] !== holder, 'somebody else has it');
  if (holder !== undefined && round % 4 === 0)
    faults.push(...(await raceLate(cluster, order, holder, Number(body['epoch']))));
  return { outcome: outcome || 'nobody', faults };
}

/** The holder reports it delivered while an operator takes it away. */
async function raceLate(
  cluster: DispatchCluster,
  order: string,
  holder: string,
  epoch: number,
): Promise<string[]> {
  const report = () =>
    cluster.ask(anyMember(), 'POST', `/executors/${holder}/orders/${order}/delivered`, { epoch });
  const [delivered, taken] = await Promise.all([
    report(),
    cluster.ask(anyMember(), 'POST', '/assignments', {
      order_id: order,
      executor_id: `late-${order}`,
      replace_acquired: true,
    }),
  ]);
  const late = await report();
  // What was delivered first was not taken from anybody.
  const wasTaken = taken?.body['replaces'] === holder;
  const faults: string[] = [];
  if (taken?.status !== 201) faults.push(`taking it was answered ${taken?.status}`);
  if ((delivered?.status === 200) === wasTaken) faults.push('delivered and taken, or neither');
  if (late?.status !== 409 || late.body['code'] !== 'old_epoch')
    faults.push(`the late executor was answered ${late?.status} ${String(late?.body['code'])}`);
  return faults;
}

export function describeDispatchRaces(report: DispatchRacesReport): string[] {
  const { rounds, seconds, outcomes } = report;
  const told = Object.entries(outcomes).map(([name, count]) => `${name} ${count}`);
  return [
    `${rounds} races in ${seconds.toFixed(0)} s, ${Math.round(rounds / seconds)} a second`,
    `as the callers were told: ${told.join(', ')}`,
  ];
}
