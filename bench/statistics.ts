/** What is made of samples: percentiles, medians over rounds, ratios. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The value below which that share (0–1) of the samples lies, by nearest rank. */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = Float64Array.from(samples).sort();
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] as number;
}

/** The middle value; of an even number, the mean of the middle two. */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = Float64Array.from(samples).sort();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Median, least and greatest of what the rounds gave. */
export function spread(samples: readonly number[]): Spread {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples) };
}

/**
 * How many times the other a figure is. Rounds that were run in pairs are compared pair by pair,
 * so that a slow spell of the machine, which hits both of a pair, cancels out.
 */
export function ratio(figure: readonly number[], other: readonly number[]): number {
  if (figure.length !== other.length) return median(figure) / median(other);
  return median(figure.map((value, index) => value / (other[index] as number)));
}

/** Samples by name, one more a round. */
export interface Tally {
  add(name: string, value: number): void;
  values(name: string): readonly number[];
}

export function createTally(): Tally {
  const samples = new Map<string, number[]>();
  return {
    add(name, value) {
      const list = samples.get(name);
      if (list === undefined) samples.set(name, [value]);
      else list.push(value);
    },
    values(name) {
      const list = samples.get(name);
      if (list === undefined) throw new Error(`nothing was measured under "${name}"`);
      return list;
    },
  };
}
