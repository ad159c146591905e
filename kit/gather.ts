/**
 * Gathering: calls that arrive in one turn of the event loop, or while a statement is in flight,
 * share the next one. A lone call waits for nothing; under load one statement carries many
 * (ADR 0005).
 */
import { setImmediate as endOfTurn } from 'node:timers';
import { monotonicMs } from './clock.ts';
import { Outage } from './errors.ts';

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
  /**
   * While fewer than `below` wait, all of them go together, and so long at least after the last:
   * a statement costs its round trip, however few it carries. What comes in that rest shares it.
   */
  readonly few?: { readonly below: number; readonly restMs: number };
}

/** The SQLSTATE of a lock that was not got in time. */
const LOCK_NOT_AVAILABLE = '55P03';

function isLockTimeout({ cause }: Outage): boolean {
  return (cause as { code?: string } | undefined)?.code === LOCK_NOT_AVAILABLE;
}

/**
 * Makes a single-call function of a batch function. `run` gets inputs and returns as many outputs
 * in their order. When a batch fails its calls are run singly, so that one bad input fails alone,
 * or one whose lock somebody holds; any other outage would hit every one of them the same.
 */
export function gather<In, Out>(
  run: (inputs: readonly In[]) => Promise<readonly Out[]>,
  options: GatherOptions,
): (input: In) => Promise<Out> {
  let waiting: Waiting<In, Out>[] = [];
  let flights = 0;
  let last = options.maxBatch;
  let launching = false;
  let launchedMs = Number.NEGATIVE_INFINITY;

  const fly = async (batch: readonly Waiting<In, Out>[]): Promise<void> => {
    try {
      const outputs = await run(batch.map((call) => call.input));
      for (let index = 0; index < batch.length; index++)
        batch[index]?.resolve(outputs[index] as Out);
    } catch (error) {
      if (batch.length === 1 || (error instanceof Outage && !isLockTimeout(error)))
        for (const call of batch) call.reject(error);
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
    const few = options.few !== undefined && waiting.length < options.few.below;
    const restMs = few ? launchedMs + options.few.restMs - monotonicMs() : 0;
    if (restMs > 0 && waiting.length > 0) {
      launching = true;
      setTimeout(launch, restMs);
      return;
    }
    while (flights < options.flights && waiting.length > 0) {
      const share = few ? waiting.length : Math.ceil((waiting.length + last) / 2);
      const size = Math.min(options.maxBatch, share);
      const batch = waiting.slice(0, size);
      waiting = waiting.slice(size);
      last = batch.length;
      launchedMs = monotonicMs();
      flights++;
      void fly(batch).finally(() => {
        flights--;
        if (!launching) launch();
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
