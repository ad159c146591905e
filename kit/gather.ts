/**
 * Gathering: calls that arrive while a statement is in flight share the next one. No timer, so a
 * lone call waits for nothing; under load one statement carries many (ADR 0005).
 */

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

  const launch = (): void => {
    while (flights < options.flights && waiting.length > 0) {
      const batch = waiting.slice(0, options.maxBatch);
      waiting = waiting.slice(options.maxBatch);
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
      launch();
    });
}
