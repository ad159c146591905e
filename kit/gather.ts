/**
 * Gathering: calls that arrive in one turn of the event loop, or while a statement is in flight,
 * share the next one. No timer, so a lone call waits for nothing; under load one statement carries
 * many (ADR 0005).
 */
import { setImmediate as endOfTurn } from 'node:timers';

interface Waiting<In, Out> {
  readonly input: In;
  readonly resolve: (output: Out) => void;
  readonly reject: (error: unknown) => void;
}

export interface GatherOptions {
  readonly maxBatch: number;
  /** Statements in flight at once. */
  readonly flights: number;
  /** Calls that may wait; one more is refused by `overflow`. */
  readonly maxWaiting: number;
  readonly overflow: () => Error;
}

/**
 * Makes a single-call function of a batch function. `run` gets inputs and returns as many outputs
 * in their order. When a batch fails its calls are run singly, so that one bad input fails alone;
 * `isShared` tells errors that would hit every one of them the same (an outage).
 */
export function gather<In, Out>(
  run: (inputs: readonly In[]) => Promise<readonly Out[]>,
  isShared: (error: unknown) => boolean,
  options: GatherOptions,
): (input: In) => Promise<Out> {
  let waiting: Waiting<In, Out>[] = [];
  let flights = 0;
  let last = options.maxBatch;
  let launching = false;

  const fly = async (batch: readonly Waiting<In, Out>[]): Promise<void> => {
    try {
      const outputs = await run(batch.map((call) => call.input));
      for (let index = 0; index < batch.length; index++)
        batch[index]?.resolve(outputs[index] as Out);
    } catch (error) {
      if (batch.length === 1 || isShared(error)) for (const call of batch) call.reject(error);
      else for (const call of batch) await fly([call]);
    }
  };

  // Not at once: whatever else can be read from sockets now is read first, in the same turn.
  const launchSoon = (): void => {
    if (launching) return;
    launching = true;
    endOfTurn(launch);
  };

  // At most half of those who wait or were just answered, who will soon ask again: the others are
  // made ready while it flies. Else one flight may carry nearly all of them and the next hardly
  // any, time and again.
  const launch = (): void => {
    launching = false;
    while (flights < options.flights && waiting.length > 0) {
      const size = Math.min(options.maxBatch, Math.ceil((waiting.length + last) / 2));
      const batch = waiting.slice(0, size);
      waiting = waiting.slice(size);
      last = batch.length;
      flights++;
      void fly(batch).finally(() => {
        flights--;
        launch();
      });
    }
  };

  return (input) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= options.maxWaiting) {
        reject(options.overflow());
        return;
      }
      waiting.push({ input, resolve, reject });
      if (flights < options.flights) launchSoon();
    });
}
