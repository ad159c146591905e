/** `npm run bench`: what Waybill costs, each figure beside a floor measured in the same run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { HELP, parseArguments, type BenchArguments, type TopicName } from './arguments.ts';
import type { Topic, TopicResult } from './figures.ts';
import { describeMachine } from './machine.ts';
import { renderTable, replaceSection } from './table.ts';

const README = resolve(import.meta.dirname, 'README.md');

const topics: Readonly<Record<TopicName, () => Promise<Topic>>> = {
  accept: async () => (await import('./accept.ts')).measureAcceptance,
  latency: async () => (await import('./latency.ts')).measureLatency,
  stock: async () => (await import('./stock.ts')).measureStock,
  bus: async () => (await import('./bus.ts')).measureBus,
  checkout: async () => (await import('./checkout.ts')).measureCheckout,
  gateway: async () => (await import('./gateway.ts')).measureGateway,
  auth: async () => (await import('./auth.ts')).measureLogins,
  process: async () => (await import('./process.ts')).measureProcess,
  growth: async () => (await import('./growth.ts')).measureGrowth,
  dispatch: async () => (await import('./dispatch.ts')).measureDispatch,
  'dispatch-load': async () => (await import('./dispatch.ts')).measureDispatchLoad,
  'dispatch-growth': async () => (await import('./dispatch.ts')).measureDispatchGrowth,
};

/** Runs the command line; rejects with what is wrong or what failed. */
export async function bench(argv: readonly string[]): Promise<void> {
  const given = parseArguments(argv);
  switch (given.command) {
    case 'help':
      process.stdout.write(HELP);
      return;
    case 'load': {
      const { loadOrders } = await import('./load-orders.ts');
      await loadOrders(given.databaseUrl as string, given.orders, say);
      return;
    }
    case 'run':
      await measure(given);
  }
}

async function measure(given: BenchArguments): Promise<void> {
  const begun = performance.now();
  const results: TopicResult[] = [];
  for (const topic of given.topics) {
    say(topic);
    results.push({ topic, figures: await measureTopic(topic, given) });
  }
  const machine = describeMachine();
  const minutes = Math.ceil((performance.now() - begun) / 60_000);
  const how =
    `${given.rounds} round${given.rounds === 1 ? '' : 's'} of ${given.seconds} s for each ` +
    `measurement, ${minutes} min in all`;
  const report = `${machine}\n\n${how}.\n\n${renderTable(results)}\n`;
  process.stdout.write(`\n${report}`);
  if (given.json !== undefined) {
    const { seconds, rounds, orders } = given;
    const record = { machine, at: new Date().toISOString(), seconds, rounds, orders, results };
    writeFileSync(given.json, `${JSON.stringify(record, null, 2)}\n`);
  }
  if (given.write) writeFileSync(README, replaceSection(readFileSync(README, 'utf8'), report));
}

/** Whatever happens, what the topic has started is ended; also when a person ends the bench. */
async function measureTopic(name: TopicName, given: BenchArguments) {
  const stack = new AsyncDisposableStack();
  let interrupted = false;
  const interrupt = (signal: NodeJS.Signals) => {
    interrupted = true;
    say(`${signal}: ends what it has started`);
    const exit = () => process.exit(130);
    stack.disposeAsync().then(exit, exit);
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    const topic = await topics[name]();
    const { seconds, rounds, orders } = given;
    return await topic({ seconds, rounds, orders, stack, say });
  } catch (error) {
    // What fails because its processes are being ended is no news; the exit is on its way.
    if (interrupted) await new Promise(() => {});
    throw error;
  } finally {
    await stack.disposeAsync();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}

if (import.meta.main) {
  try {
    await bench(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
