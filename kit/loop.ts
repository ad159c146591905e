/** Background loops: run until told to stop, survive every error, slow down while they fail. */
import { sleep } from './clock.ts';
import { Outage } from './errors.ts';
import { random } from './ids.ts';
import type { Logger } from './logger.ts';

/** Stops the loop: resolves once the round in hand has ended. */
export type Stop = () => Promise<void>;

/**
 * Runs the round again and again. A round waits by itself when there is nothing to do. A failing
 * round is logged (an outage as a warning, once per spell) and tried again after 0.1 … 2 s.
 */
export function startLoop(
  name: string,
  log: Logger,
  round: (signal: AbortSignal) => Promise<void>,
): Stop {
  const controller = new AbortController();
  const { signal } = controller;
  const run = async () => {
    let failures = 0;
    while (!signal.aborted) {
      try {
        await round(signal);
        if (failures > 0) log.info({ loop: name, failures }, 'works again');
        failures = 0;
      } catch (error) {
        failures++;
        if (signal.aborted) break;
        if (!(error instanceof Outage)) log.error({ loop: name, err: error }, 'a round failed');
        else if (failures === 1)
          log.warn(
            { loop: name, target: error.target, reason: error.message },
            'waits for an outage',
          );
        await sleep(
          Math.min(2000, 100 * 2 ** Math.min(failures, 5)) * (0.5 + random() / 2),
          signal,
        );
      }
    }
  };
  const ended = run();
  return async () => {
    controller.abort();
    await ended;
  };
}
