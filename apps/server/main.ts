/** The command line: a table of commands, each loaded when it is called. */
import { Command } from 'commander';
import { ConfigurationFault } from '@waybill/kit/config.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { serviceNames, UsageFault } from './services.ts';

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 64)
    throw new UsageFault(`--workers must be a whole number from 1 to 64, not "${text}".`);
  return value;
}

function describeCommands(): Command {
  const program = new Command('waybill').description(
    'An order platform: it takes an order from checkout to doorstep and back.',
  );
  program
    .command('serve')
    .description(
      `Run services until Ctrl-C: all of them, or those named (${serviceNames.join(', ')}, sandbox).`,
    )
    .argument('[services...]', 'which services this process runs')
    .option('--workers <n>', 'processes that share the port and the work', count, 1)
    .action(async (names: string[], options: { workers: number }) =>
      (await import('./commands/serve.ts')).serve(names, options),
    );
  return program;
}

/** Runs the command line; a mistake of the caller's is one sentence and exit code 1. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    await describeCommands().parseAsync(argv as string[]);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(1);
  }
}

function explain(error: unknown): string {
  if (error instanceof ConfigurationFault)
    return error.faults.length === 1
      ? (error.faults[0] as string)
      : `The configuration has ${error.faults.length} faults:\n${error.faults.map((fault) => `  ${fault}`).join('\n')}`;
  if (error instanceof UsageFault || error instanceof Outage) return error.message;
  const { message, code, stack } = error as Error & { code?: string };
  return code === undefined && !(error instanceof TypeError) && message !== ''
    ? message
    : String(stack);
}
