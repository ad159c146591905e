/**
 * The one place that reads this machine's clock. Windows, leases and deadlines that several
 * processes must agree on use the database's clock instead (`now()` in SQL).
 */

/** Milliseconds since the epoch; for stamps and rough ages. */
export function epochMs(): number {
  return Date.now();
}

/** Milliseconds that never go backwards; for durations. */
export function monotonicMs(): number {
  return performance.now();
}

/** Resolves after the time, or at once when the signal aborts (it never rejects). */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted || ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
