/** Streams of orders: open ones at a rate, whatever the answers, and closed ones of a number. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Shopper, Wish } from './harness/shopper.ts';

export interface Load {
  /** How many orders were begun so far. */
  readonly begun: number;
  /** Ends the arrivals and waits for those under way; resolves with what went wrong for clients. */
  stop(): Promise<string[]>;
}

type Way = (shopper: Shopper) => Promise<unknown>;

const by = (token: string, status: string): Way => {
  const wish = { token, expect: [status] };
  return async (shopper) => shopper.get((await shopper.place(wish)).id);
};

/** Ways with their weights. */
const WAYS: readonly (readonly [number, Way])[] = [
  [60, by('tok_ok', 'CONFIRMED')],
  [5, by('tok_decline', 'PAYMENT_FAILED')],
  [20, (shopper) => shopper.checkOut('CONFIRMED')],
  [4, (shopper) => shopper.checkOut('PAYMENT_FAILED')],
  [3, by('tok_500', 'PAYMENT_FAILED')],
  [4, by('tok_reset_after_charge', 'CONFIRMED')],
  [4, by('tok_timeout_after_charge', 'CONFIRMED')],
  [4, by('tok_double_callback', 'CONFIRMED')],
  [
    12,
    async (shopper) => {
      const { id } = await shopper.place();
      // Anywhere between before the charge and after the confirmation.
      await pause(Math.random() * 150);
      await shopper.cancel(id);
    },
  ],
  [
    8,
    async (shopper) => {
      const { id } = await shopper.place();
      await shopper.follow(id, ['CONFIRMED'], 120_000);
      await shopper.cancel(id);
    },
  ],
];

const TOTAL = WAYS.reduce((sum, [weight]) => sum + weight, 0);

function chooseWay(): Way {
  let thrown = Math.random() * TOTAL;
  for (const [weight, way] of WAYS) {
    thrown -= weight;
    if (thrown < 0) return way;
  }
  return by('tok_ok', 'CONFIRMED');
}

export interface LoadOptions {
  readonly perSecond: number;
  /** Only orders that are paid, in an even stream; else Poisson arrivals that go every way. */
  readonly even?: boolean;
}

/** Starts an open stream. */
export function startLoad(shopper: Shopper, { perSecond, even = false }: LoadOptions): Load {
  const under = new Set<Promise<void>>();
  const troubles: string[] = [];
  const stopping = new AbortController();
  let begun = 0;
  const arrive = async () => {
    const from = performance.now();
    while (!stopping.signal.aborted) {
      begun++;
      const walk = (even ? shopper.place() : chooseWay()(shopper))
        .catch((error: unknown) => void troubles.push(`client: ${String(error)}`))
        .then(() => void under.delete(walk));
      under.add(walk);
      const mean = 1000 / perSecond;
      const due = from + begun * mean - performance.now();
      const gap = even ? Math.max(0, due) : -Math.log(1 - Math.random()) * mean;
      await pause(gap, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  const arriving = arrive();
  return {
    get begun() {
      return begun;
    },
    async stop() {
      stopping.abort();
      await arriving;
      await Promise.all(under);
      return troubles;
    },
  };
}

/** Places so many orders, a number of them at a time; resolves when all are accepted. */
export async function placeAll(
  shopper: Shopper,
  count: number,
  atOnce: number,
  wish: Wish,
): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) await shopper.place(wish);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}
