/**
 * Scenarios that corner one kind of bug each: whoever has it is caught every time, not by luck.
 * Each returns what was violated when it was run on the sources in `root`.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { PrivateRabbit } from '../bus/servers.ts';
import { until } from '../support/waybill.ts';
import type { FailpointName } from '../../kit/failpoints.ts';
import type { Cluster, Service } from './harness/cluster.ts';
import { queryAsOwner } from './harness/postgres.ts';
import { withRun, type Run, type RunOptions } from './harness/run.ts';
import { settle } from './harness/settle.ts';
import type { Shopper } from './harness/shopper.ts';
import { runLedger } from './ledger.ts';
import { allCells, runCells, type Action } from './matrix.ts';
import { placeHandful } from './mix.ts';

export type Hunt = (root: string) => Promise<readonly string[]>;

/** Enough for what goes right; what goes wrong would wait for ever. */
const WAIT_SECONDS = 12;
const FOLLOW_MS = 12_000;

/** Nobody calls back, so the answer, or asking for it, is all there is. */
const SILENT = { SANDBOX_CALLBACK_URL: 'http://127.0.0.1:9/' };

function hunt(
  options: Omit<RunOptions, 'topology' | 'root'>,
  work: (run: Run) => Promise<void>,
): Hunt {
  const shopper = { patienceMs: FOLLOW_MS };
  return (root) =>
    withRun({ topology: 'many', shopper, ...options, root }, async (run) => {
      const troubles: string[] = [];
      await work(run).catch((error: unknown) => troubles.push(`client: ${String(error)}`));
      const judgement = await settle(run.cluster, run.shopper, { waitSeconds: WAIT_SECONDS });
      return [...judgement.violations, ...troubles];
    });
}

function cornered(action: Action, point: FailpointName, service: Service): Hunt {
  const cell = allCells('postgres', 'many').find(
    (each) => each.point === point && each.action === action && each.service === service,
  );
  return async (root) => {
    if (cell === undefined) throw new Error(`there is no ${action} at ${point} in ${service}`);
    const patience = { followMs: FOLLOW_MS, waitSeconds: WAIT_SECONDS };
    const results = await runCells([cell], { root, patience });
    return results.flatMap(({ violations }) => violations);
  };
}

async function arm(cluster: Cluster, service: Service, failpoints: string): Promise<void> {
  await cluster.member(service).stop();
  await cluster.member(service).start(failpoints);
}

function times<Result>(count: number, work: (index: number) => Promise<Result>) {
  return Promise.all(Array.from({ length: count }, (_, index) => work(index)));
}

/** Cancellations that take half a second to commit, while payments settle and orders stream in. */
async function cancelSlowly({ cluster, shopper }: Run): Promise<void> {
  await arm(cluster, 'orders', 'orders.cancel.before_commit=delay*40');
  const stream = times(80, async (index) => {
    await pause(index * 25);
    await shopper.place();
  });
  await times(8, async (index) => {
    const { id } = await shopper.place();
    await pause(index * 6);
    if ((await shopper.cancel(id)) !== 'refused')
      await shopper.follow(id, ['CANCELLED'], FOLLOW_MS);
  });
  await stream;
}

/** Settlements that take half a second to commit, while the provider calls back. */
async function settleSlowly({ cluster, shopper }: Run): Promise<void> {
  await arm(cluster, 'payments', 'payments.settle.before_commit=delay*40');
  await times(6, async () => {
    const { id } = await shopper.place({ token: 'tok_double_callback' });
    await shopper.follow(id, ['CONFIRMED'], FOLLOW_MS);
  });
}

/**
 * A process is frozen before it charges; another takes over, charges and hangs; the first one wakes
 * up while the provider is away, then the order is cancelled. What the first one believes is old.
 */
async function wakeZombie({ cluster, shopper }: Run): Promise<void> {
  const first = cluster.member('payments');
  const second = cluster.second('payments');
  await arm(cluster, 'payments', 'payments.charge.before=freeze');
  const { id } = await shopper.place();
  await until(() => first.fired('payments.charge.before') > 0, 10_000);
  await second.start('payments.charge.after=hang');
  await until(() => second.fired('payments.charge.after') > 0, 15_000);
  await cluster.sandbox.control({ mode: 'down' });
  first.thaw();
  await pause(1500);
  await shopper.cancel(id);
  await pause(1000);
  await cluster.sandbox.control({ mode: 'up' });
  await second.kill9();
  await shopper.follow(id, ['CANCELLED'], FOLLOW_MS);
}

/** The bus loses the first event of every order for a moment, and brings the second one. */
async function loseFirstEvents({ cluster, shopper }: Run): Promise<void> {
  const asOwner = (text: string) => queryAsOwner(cluster.busUrl(), text);
  await asOwner(`create function bus.lose() returns trigger language plpgsql
      as $$ begin if new.event::json->>'version' = '1' then return null; end if; return new; end $$;
    create trigger lose before insert on bus.events for each row execute function bus.lose()`);
  await cancelSome(shopper, 6);
  await asOwner('drop trigger lose on bus.events');
}

async function cancelSome(shopper: Shopper, count: number): Promise<void> {
  await times(count, async () => {
    const { id } = await shopper.place();
    await shopper.cancel(id);
    await shopper.follow(id, ['CANCELLED'], FOLLOW_MS);
  });
}

const TOPICS_IN_PARTITIONS = 2 * 4;

async function consumersOf(rabbit: PrivateRabbit): Promise<number> {
  const printed = await rabbit.control('--quiet', 'list_consumers', 'queue_name');
  return printed.split('\n').filter((line) => /^waybill\.(orders|payments)\./.test(line)).length;
}

/** The broker stops reading; what was sent meanwhile dies with it. */
async function killFrozenBroker({ broker, shopper }: Run): Promise<void> {
  // What is published before its consumer has a queue is brought by the audit, which is asleep.
  await until(
    async () => (await consumersOf(broker as PrivateRabbit)) === TOPICS_IN_PARTITIONS,
    30_000,
  );
  await placeHandful(shopper, FOLLOW_MS);
  broker?.freeze();
  await times(5, () => shopper.place());
  await pause(1000);
  await broker?.kill9();
  await broker?.restart();
}

/** Few wallets and many kills: everybody meets everybody, and answers are lost. */
async function raidLedger(root: string): Promise<readonly string[]> {
  const options = { transfers: 1500, accounts: 8, processes: 2, kills: 4, root };
  return (await runLedger(options)).violations;
}

export const hunts = {
  everyWay: hunt({ env: SILENT }, ({ shopper }) => placeHandful(shopper, FOLLOW_MS)),
  insertHung: cornered('hang', 'orders.accept.before_insert', 'orders'),
  acceptKilled: cornered('kill', 'orders.accept.after_commit', 'orders'),
  publishKilled: cornered('kill', 'log.publish.before', 'orders'),
  effectKilled: cornered('kill', 'consumer.before_commit', 'payments'),
  chargeKilled: cornered('kill', 'payments.charge.before', 'payments'),
  slowCancel: hunt({}, cancelSlowly),
  slowSettle: hunt({}, settleSlowly),
  zombie: hunt({ env: SILENT, doubled: ['payments'] }, wakeZombie),
  firstEventsLost: hunt({}, loseFirstEvents),
  brokerFrozen: hunt({ engine: 'amqp' }, killFrozenBroker),
  ledger: raidLedger,
} satisfies Record<string, Hunt>;

export type HuntName = keyof typeof hunts;
