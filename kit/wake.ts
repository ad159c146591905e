/**
 * Wake-ups inside a process: whoever waits for work is told at once when it was committed here.
 * A hint that saves a polling interval; work committed by another process is found by polling.
 */
const waiting = new Map<string, Set<() => void>>();

/** Wakes everybody who waits for this kind of work, e.g. `log:orders`. */
export function wake(work: string): void {
  const waiters = waiting.get(work);
  if (waiters === undefined) return;
  waiting.delete(work);
  for (const resolve of waiters) resolve();
}

/**
 * Resolves when woken, after the time, or when the signal aborts. Called before one looks for work
 * and awaited when there was none, so that what is committed meanwhile is not slept through.
 */
export function waitForWake(work: string, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const waiters = waiting.get(work) ?? new Set();
    waiting.set(work, waiters);
    const done = () => {
      clearTimeout(timer);
      waiters.delete(done);
      if (waiters.size === 0 && waiting.get(work) === waiters) waiting.delete(work);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    waiters.add(done);
  });
}
