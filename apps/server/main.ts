/** The command line: a table of commands, each loaded when it is called. */
import { Command } from 'commander';
import type { DatabaseError } from 'pg';
import { ConfigurationFault } from '@waybill/kit/config.ts';
import { Outage } from '@waybill/kit/errors.ts';
import manifest from './package.json' with { type: 'json' };
import { numberIn, secondsIn } from './platform.ts';
import { serviceNames, UsageFault } from './services.ts';

/** Runs the command line; a mistake of the caller's is one sentence and exit code 1. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    await describeCommands().parseAsync(argv);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(1);
  }
}

function describeCommands(): Command {
  const program = new Command('waybill')
    .description('An order platform: it takes an order from checkout to doorstep and back.')
    .version(manifest.version)
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Settings come from the environment and from .env in the working folder; "waybill config" shows
them. Exit code 0: all is well; 1: something is not, and is told.

Begin with:
  $ waybill serve
  $ waybill demo --orders 200        (in another terminal)
  $ waybill verify --wait 30`,
    );
  addServing(program);
  addUsers(program);
  addLooking(program);
  addTrying(program);
  return program;
}

function addServing(program: Command): void {
  program
    .command('serve')
    .description('Run services until Ctrl-C.')
    .summary('run services until Ctrl-C')
    .argument('[services...]', `any of ${serviceNames.join(', ')}, sandbox; all when none is named`)
    .option('--workers <n>', 'processes that share port and work', numberIn('--workers', 1, 64), 1)
    .addHelpText(
      'after',
      `
Without names it brings its own PostgreSQL (in DATA_DIR) and a simulated payment gateway. With
names it runs those services alone, and needs DATABASE_URL.

Examples:
  $ waybill serve
  $ PORT=8080 waybill serve --workers 2
  $ DATABASE_URL=postgres://… waybill serve orders payments`,
    )
    .action(async (names: string[], options: { workers: number }) =>
      (await import('./commands/serve.ts')).serve(names, options),
    );
  program
    .command('migrate')
    .description('Bring the tables and roles of services up to date, and end.')
    .summary('bring tables and roles up to date')
    .argument('[services...]', 'all when none is named')
    .addHelpText(
      'after',
      `
Works on DATABASE_URL, as the owner; without it on the embedded database. "waybill serve" does the
same at its start, so this is for deployments that want it as a step of its own.

Example:
  $ DATABASE_URL=postgres://… waybill migrate`,
    )
    .action(async (names: string[]) =>
      (await import('./commands/migrate.ts')).migrateDatabase(names),
    );
  program
    .command('database')
    .description('Run the embedded PostgreSQL alone until Ctrl-C, for other processes to use.')
    .summary('run the embedded PostgreSQL alone')
    .option('--port <n>', 'its port; a free one when left out', numberIn('--port', 1, 65_535))
    .option('--show-url', 'print its address with the password on standard output')
    .addHelpText(
      'after',
      `
Example:
  $ waybill database --port 5433 --show-url &
  $ DATABASE_URL=postgres://… waybill serve payments`,
    )
    .action(async (options) => (await import('./commands/database.ts')).runDatabase(options));
}

function addUsers(program: Command): void {
  const user = program
    .command('user')
    .description('Users: make them, find them, say what they may do.')
    .summary('make and change users; makes the first admin')
    .addHelpText(
      'after',
      `
Works on DATABASE_URL, or on the embedded database, whether or not a Waybill runs. Passwords come
from standard input, or are made here and printed once.

Examples:
  $ waybill user create anna --role admin --email anna@example.com
  $ waybill user create ben --role executor --executor courier-7 --password-stdin < file
  $ waybill user grant carla operator`,
    );
  const load = () => import('./commands/user.ts');
  const stdin = ['--password-stdin', 'read the password from standard input'] as const;
  const executor = ['--executor <id>', 'the executor that an executor is'] as const;
  user
    .command('create')
    .description('Make a user; a customer gets a profile and a wallet account as well.')
    .argument('<username>')
    .option('--role <role...>', 'customer (default), executor, operator, admin or service')
    .option('--email <address>', 'to log in by as well, and for mailed links')
    .option('--phone <number>', "for the customer's profile")
    .option(...executor)
    .option(...stdin)
    .action(async (name: string, options) => (await load()).create(name, options));
  user
    .command('list')
    .description('List users by name.')
    .option('--role <role>', 'those who have it alone')
    .action(async (options) => (await load()).list(options));
  user
    .command('grant')
    .description('Give a user roles.')
    .argument('<username>')
    .argument('<role...>')
    .option(...executor)
    .action(async (name: string, roles: string[], options) =>
      (await load()).grant(name, roles, options),
    );
  user
    .command('revoke')
    .description('Take roles from a user.')
    .argument('<username>')
    .argument('<role...>')
    .action(async (name: string, roles: string[]) => (await load()).revoke(name, roles));
  user
    .command('password')
    .description('Set a new password; every session of the user ends.')
    .argument('<username>')
    .option(...stdin)
    .action(async (name: string, options) => (await load()).setPassword(name, options));
  for (const [word, text] of [
    ['disable', 'Let a user no longer in; every session ends.'],
    ['enable', 'Let a disabled user in again.'],
  ] as const)
    user
      .command(word)
      .description(text)
      .argument('<username>')
      .action(async (name: string) => (await load())[word](name));
  user
    .command('rotate-keys')
    .description('Sign access tokens with a new key from now on; those of before stay good.')
    .action(async () => (await load()).rotateKeys());
}

function addLooking(program: Command): void {
  program
    .command('config')
    .description('Print every setting: its value in effect, and where that comes from.')
    .summary('print the settings in effect')
    .addHelpText('after', '\nSecrets are hidden. All faults are listed at once, with exit code 1.')
    .action(async () => (await import('./commands/config.ts')).showConfiguration());
  program
    .command('verify')
    .description('Judge the invariants of the platform on what is in the database.')
    .summary('judge the invariants')
    .option('--journal <file|url>', "the payment sandbox's own journal; default: DATA_DIR/sandbox")
    .option(
      '--client <file>',
      'what clients saw, as NDJSON: op, outcome, http, order_id, idem_key, …',
    )
    .option('--database-url <url>', "the owner's; default: DATABASE_URL, or the embedded database")
    .option(
      '--wait <time>',
      'let work come to rest first, this long at most',
      secondsIn('--wait'),
      0,
    )
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      `
Every check returns the rows that break it: orders that never settle, charges that were made twice,
events that were lost, money that nobody can explain. The sandbox's journal is the second witness:
it belongs to one database. Nothing is changed, so this may run beside a running Waybill; work
under way is told as open.

Examples:
  $ waybill verify --wait 30s
  $ waybill verify --database-url postgres://… --journal http://127.0.0.1:21190/journal`,
    )
    .action(async (options) => (await import('./commands/verify.ts')).verify(options));
  addDeadLetters(program);
}

function addDeadLetters(program: Command): void {
  const command = program
    .command('deadletters')
    .description('Events and tasks that failed for good: list them, or try them again.')
    .summary('list or replay what failed for good');
  const narrowed = (name: string, description: string) =>
    command
      .command(name)
      .description(description)
      .option('--service <name>', 'of this service alone')
      .option('--topic <name>', 'events of this topic alone')
      .option('--kind <name>', 'tasks of this kind alone')
      .option('--key <key>', 'of this key (an order, say) alone')
      .option('--url <url>', 'where Waybill listens')
      .option('--token <token>', 'an access token of an operator');
  command.addHelpText(
    'after',
    `
Examples:
  $ waybill deadletters list
  $ waybill deadletters replay --service payments --topic orders --key 0198…`,
  );
  narrowed('list', 'List them, oldest first; exit code 1 when there are any.').action(
    async (options) => (await import('./commands/deadletters.ts')).listDeadLetters(options),
  );
  narrowed('replay', 'Try them again, in order.').action(async (options) =>
    (await import('./commands/deadletters.ts')).replayDeadLetters(options),
  );
}

function addTrying(program: Command): void {
  program
    .command('demo')
    .description('Place orders at a running Waybill and follow them, live.')
    .summary('place orders and follow them')
    .option('--orders <n>', 'how many', numberIn('--orders', 1, 1_000_000), 100)
    .option(
      '--rate <n>',
      'orders a second; else as fast as answers come',
      numberIn('--rate', 0.01, 100_000, false),
    )
    .option('--concurrency <n>', 'customers at once', numberIn('--concurrency', 1, 1000), 8)
    .option('--timeout <time>', 'how long to wait for the last orders', secondsIn('--timeout'), 120)
    .option('--fleet <n>', 'executors who carry the orders', numberIn('--fleet', 1, 5000))
    .option('--petstore', 'load pets 1-10, orders 1-3 and user1-user10 instead')
    .option('--url <url>', 'where Waybill listens; default: this machine, at PORT')
    .option('--token <token>', 'an access token, where one is needed')
    .addHelpText(
      'after',
      `
Examples:
  $ waybill demo
  $ waybill demo --orders 5000 --rate 100
  $ waybill demo --orders 500 --fleet 50
  $ waybill demo --petstore
  $ waybill demo --token "$(waybill token --subject me --role operator)"`,
    )
    .action(async (options) => (await import('./commands/demo.ts')).demo(options));
  program
    .command('token')
    .description('Print an access token that the Waybill of the same DATA_DIR believes.')
    .summary('print an access token for development')
    .requiredOption('--subject <name>', 'who it is for')
    .requiredOption('--role <name...>', 'customer, executor, operator, admin or service')
    .option('--executor <id>', 'the executor that an executor is')
    .option('--ttl <time>', 'how long it is good for', secondsIn('--ttl'), 3600)
    .addHelpText(
      'after',
      `
Examples:
  $ waybill token --subject anna --role customer
  $ curl -H "authorization: Bearer $(waybill token --subject desk --role operator)" …`,
    )
    .action(async (options) => (await import('./commands/token.ts')).printToken(options));
  program
    .command('bench')
    .description('Measure what Waybill costs; "waybill bench --help" tells more.')
    .summary('measure what it costs')
    .argument('[arguments...]')
    .helpOption(false)
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (argv: string[]) => (await import('@waybill/bench/main.ts')).bench(argv));
}

/** Mistakes and outages as a sentence; a bug as its stack. */
function explain(error: unknown): string {
  if (error instanceof ConfigurationFault) {
    const { faults } = error;
    if (faults.length === 1) return faults[0] as string;
    return [`The configuration has ${faults.length} faults:`, ...faults].join('\n  ');
  }
  if (error instanceof UsageFault || error instanceof Outage) return error.message;
  if (!(error instanceof Error)) return String(error);
  const { syscall, severity, code } = error as Partial<NodeJS.ErrnoException & DatabaseError>;
  if (severity !== undefined)
    return `The database refused: ${error.message} (${code ?? severity}).`;
  if (syscall !== undefined) return `The system refused: ${error.message}.`;
  const told = code === undefined && !(error instanceof TypeError) && error.message !== '';
  return told ? error.message : String(error.stack);
}
