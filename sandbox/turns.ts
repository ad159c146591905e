/** Runs work one at a time per key, in order of arrival; other keys are not held up. */
export type InTurn = <T>(key: string, work: () => Promise<T>) => Promise<T>;

export function createTurns(): InTurn {
  const last = new Map<string, Promise<void>>();
  return async (key, work) => {
    const before = last.get(key);
    const mine = Promise.withResolvers<void>();
    last.set(key, mine.promise);
    if (before !== undefined) await before;
    try {
      return await work();
    } finally {
      mine.resolve();
      if (last.get(key) === mine.promise) last.delete(key);
    }
  };
}
