/** How a long-running command ends: in order, once, whatever asked for it. */
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
const FAULTS = ['uncaughtException', 'unhandledRejection'] as const;

/** npm and shells pass on a signal that the terminal has sent to everybody: it is the same one. */
const SAME_MS = 1000;

/**
 * Runs `stop` on the first signal or uncaught error, then exits: 0 after a signal, 1 after an
 * error or when the time is over. A second signal exits at once.
 */
export function endInOrder(stop: () => Promise<void>, graceMs: number): void {
  let began: number | undefined;
  const end = async (fault: boolean) => {
    began = monotonicMs();
    const late = sleep(graceMs).then(() => {
      process.stderr.write(`Not everything has stopped within ${graceMs / 1000} s.\n`);
      return 1;
    });
    const stopped = stop().then(
      () => (fault ? 1 : 0),
      (error: unknown) => {
        process.stderr.write(`The end was not orderly: ${String(error)}\n`);
        return 1;
      },
    );
    process.exit(await Promise.race([stopped, late]));
  };
  for (const signal of SIGNALS)
    process.on(signal, () => {
      if (began === undefined) void end(false);
      else if (monotonicMs() - began > SAME_MS) process.exit(1);
    });
  for (const event of FAULTS)
    process.on(event, (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.stderr.write(`Waybill ends because of a bug: ${text}\n`);
      if (began === undefined) void end(true);
    });
}
