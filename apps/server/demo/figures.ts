/** What a demonstration counts. */

export interface Figures {
  readonly wanted: number;
  accepted: number;
  /** Answers of 429 and 5xx, and lost ones, that were tried again under the same key. */
  repeats: number;
  /** Orders that no answer came for in a minute. */
  givenUp: number;
  beganMs: number;
  /** When the last order was accepted. */
  acceptedMs: number;
  /** Of every accepted order, in milliseconds. */
  readonly acceptance: number[];
  /** From acceptance to rest by the server's clock, in milliseconds. */
  readonly settlement: number[];
  /** Status by order. */
  readonly orders: Map<string, string>;
  /** Why payments failed. */
  readonly reasons: Map<string, number>;
}

export function newFigures(wanted: number, nowMs: number): Figures {
  return {
    wanted,
    accepted: 0,
    repeats: 0,
    givenUp: 0,
    beganMs: nowMs,
    acceptedMs: nowMs,
    acceptance: [],
    settlement: [],
    orders: new Map(),
    reasons: new Map(),
  };
}

const OPEN = new Set(['PENDING', 'PAYMENT_PROCESSING']);

/** Whether an order has come to rest, as far as its payment goes. */
export function isSettled(status: string): boolean {
  return !OPEN.has(status);
}

export function openOrders(figures: Figures): string[] {
  return [...figures.orders].flatMap(([id, status]) => (isSettled(status) ? [] : [id]));
}

/** How many orders are in each status, the most frequent first. */
export function byStatus(figures: Figures): [status: string, count: number][] {
  const counts = new Map<string, number>();
  for (const status of figures.orders.values()) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].toSorted(([, one], [, other]) => other - one);
}

/** The value that this share of the sorted values does not exceed; undefined of none. */
function percentile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

/** p50, p95, p99 and the largest as text, in milliseconds or seconds. */
export function spread(values: readonly number[]): readonly [string, string, string, string] {
  const sorted = values.toSorted((one, other) => one - other);
  const show = (value: number | undefined) => {
    if (value === undefined) return '–';
    if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  };
  return [
    show(percentile(sorted, 0.5)),
    show(percentile(sorted, 0.95)),
    show(percentile(sorted, 0.99)),
    show(sorted.at(-1)),
  ];
}
