/** The sandbox's own clock and timers: it is the outside world and shares nothing with Waybill. */

export function nowMs(): number {
  return Date.now();
}

export function toTimestamp(ms: number): string {
  return new Date(ms).toISOString();
}

export interface Pauses {
  /** Resolves after `ms`, or at once when everybody is woken. Blocks nobody else. */
  pause(ms: number): Promise<void>;
  wakeAll(): void;
  /** Wakes all, and nobody sleeps from then on. */
  end(): void;
}

/** A set of sleepers that can be woken together: when a slow spell ends, or at shutdown. */
export function createPauses(): Pauses {
  const sleepers = new Set<() => void>();
  let ended = false;
  // A Set iterates in insertion order, so those who came first go on first.
  const wakeAll = () => {
    for (const wake of sleepers) wake();
  };
  return {
    wakeAll,
    pause(ms) {
      if (ms <= 0 || ended) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          sleepers.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, ms);
        sleepers.add(wake);
      });
    },
    end() {
      ended = true;
      wakeAll();
    },
  };
}
