/**
 * A consumer that takes a batch and never acknowledges it, for tests that kill it. Started with one
 * JSON argument; prints the positions of each batch that it was given, one line each.
 */
import type { Bus, Subscription } from '../../kit/bus/port.ts';

/** How another process opens the same bus: a module, one of its functions, and its options. */
export interface Elsewhere {
  readonly module: string;
  readonly open: string;
  readonly options: Readonly<Record<string, unknown>>;
}

interface Order {
  readonly elsewhere: Elsewhere;
  readonly subscription: Subscription;
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

const { elsewhere, subscription } = JSON.parse(process.argv[2] ?? '') as Order;
const module = (await import(elsewhere.module)) as Record<
  string,
  (options: object) => Promise<Bus>
>;
const open = module[elsewhere.open];
if (open === undefined) throw new Error(`${elsewhere.module} has no function ${elsewhere.open}`);
const bus = await open({ ...elsewhere.options, log: silent });
await bus.subscribe(subscription, (events) => {
  process.stdout.write(`${events.map((event) => event.position).join(' ')}\n`);
  return new Promise(() => undefined);
});
