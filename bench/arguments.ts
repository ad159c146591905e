/** The command line of the bench. */
import { parseArgs } from 'node:util';

export const TOPICS = [
  'accept',
  'latency',
  'checkout',
  'stock',
  'bus',
  'gateway',
  'auth',
  'process',
  'growth',
  'dispatch',
  'dispatch-load',
  'dispatch-growth',
] as const;
export type TopicName = (typeof TOPICS)[number];

export const HELP = `Usage: npm run bench -- [topics…] [options]
       npm run bench -- load --orders <n> --database-url <url>

Measures what Waybill costs and prints one table: each figure beside its floor or peer, which is
measured in the same run, in turns. Everything runs on fresh data in a temporary folder.

Topics (all of them when none is named)
  accept   accepted orders a second and their latency at 1, 8 and 32 connections
  latency  acceptance at ten times the design's load; accepted to CONFIRMED; most confirmed/s
  checkout orders paid from wallets while the caller waits, in one process and in many
  stock    a flash sale of one SKU beside one of a thousand
  bus      events a second through each engine, and from the log to the consumer
  gateway  the same answer bare, from a service, through the gateway, with tokens old and new
  auth     logins a second beside the hashing they need
  process  start-up time and memory
  growth   acceptance and lists at 10 000 and at a million orders
  dispatch polls of a quarter of a million executors, assignments and cancellations
  dispatch-load    the load of the design alone, for as long as --seconds says
  dispatch-growth  the same at four times the executors and ten million past assignments

Options
  --seconds <n>       how long each measurement lasts (5)
  --rounds <n>        how often all of them are repeated (3)
  --orders <n>        growth: the greater size, and a tenth of the past assignments; load: how many
                      orders to add (1000000)
  --json <file>       also write every sample to this file
  --write             put the table into bench/README.md
  --database-url <u>  load: the owner's URL of a migrated database on which no Waybill runs
  --help              this text
`;

export interface BenchArguments {
  readonly command: 'run' | 'load' | 'help';
  readonly topics: readonly TopicName[];
  readonly seconds: number;
  readonly rounds: number;
  readonly orders: number;
  readonly json: string | undefined;
  readonly write: boolean;
  readonly databaseUrl: string | undefined;
}

/** Parses the arguments, or throws an Error whose message a person can act on. */
export function parseArguments(argv: readonly string[]): BenchArguments {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      orders: { type: 'string', default: '1000000' },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      'database-url': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const load = positionals[0] === 'load';
  if (load && positionals.length > 1) throw new Error('load takes no topics.');
  const databaseUrl = values['database-url'];
  if (load && !values.help && databaseUrl === undefined)
    throw new Error('load needs --database-url, the owner’s URL of a migrated database.');
  if (!load && databaseUrl !== undefined) throw new Error('--database-url goes with load alone.');
  return {
    command: values.help ? 'help' : load ? 'load' : 'run',
    topics: load ? [] : topicsOf(positionals),
    seconds: wholeNumber('seconds', values.seconds, 600),
    rounds: wholeNumber('rounds', values.rounds, 100),
    orders: wholeNumber('orders', values.orders, 100_000_000),
    json: values.json,
    write: values.write,
    databaseUrl,
  };
}

function topicsOf(names: readonly string[]): readonly TopicName[] {
  const unknown = names.find((name) => !(TOPICS as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new Error(`There is no topic "${unknown}"; there are ${TOPICS.join(', ')}.`);
  return names.length === 0 ? TOPICS : TOPICS.filter((topic) => names.includes(topic));
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > most)
    throw new Error(`--${option} must be a whole number from 1 to ${most}, not "${text}".`);
  return value;
}
