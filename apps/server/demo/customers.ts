/** Places orders as many customers at once would, and follows them until they come to rest. */
import { monotonicMs, sleep } from '@waybill/kit/clock.ts';
import { newToken, random } from '@waybill/kit/ids.ts';
import { refused, type Api, type Reply } from '../api.ts';
import { isSettled, openOrders, type Figures } from './figures.ts';
import { nextOrder } from './shop.ts';

export interface Pace {
  readonly concurrency: number;
  /** Orders a second; as fast as answers come when left out. */
  readonly rate?: number | undefined;
}

interface Seen {
  readonly id: string;
  readonly status: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly payment_attempts: readonly { readonly error_message: string | null }[];
}

const PATIENCE_MS = 60_000;
const FOLLOW_MS = 200;
const FOLLOWED_AT_ONCE = 200;

/** Places all orders; resolves when each is accepted or given up, or the signal aborts. */
export async function placeOrders(
  api: Api,
  figures: Figures,
  { concurrency, rate }: Pace,
  signal: AbortSignal,
): Promise<void> {
  const run = `demo-${newToken(6)}`;
  const begin = monotonicMs();
  let next = 0;
  const customer = async () => {
    while (next < figures.wanted && !signal.aborted) {
      const turn = next++;
      if (rate !== undefined) await sleep(begin + (turn * 1000) / rate - monotonicMs(), signal);
      if (!signal.aborted) await placeOne(api, figures, `${run}-${turn}`, signal);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, customer));
}

async function placeOne(
  api: Api,
  figures: Figures,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const order = nextOrder(name);
  const begin = monotonicMs();
  for (let attempt = 0; !signal.aborted; attempt++) {
    const sent = monotonicMs();
    // An answer that was lost is asked for again under the same key: it cannot order twice.
    const fields = { 'idempotency-key': name };
    const reply = await api.send('POST', '/api/v1/orders', order, fields).catch(() => undefined);
    if (reply !== undefined && reply.status < 300) {
      const now = monotonicMs();
      figures.accepted++;
      figures.acceptedMs = now;
      figures.acceptance.push(now - sent);
      note(figures, reply.body as Seen);
      return;
    }
    if (reply !== undefined && reply.status < 500 && reply.status !== 429) throw refused(reply);
    if (monotonicMs() - begin > PATIENCE_MS) break;
    figures.repeats++;
    await sleep(pauseOf(reply, attempt), signal);
  }
  figures.givenUp++;
}

/** As long as the server asks for, and a little more, so that not all come back at once. */
function pauseOf(reply: Reply | undefined, attempt: number): number {
  if (reply !== undefined) return (reply.retryAfterSeconds + random() * 0.25) * 1000;
  return Math.min(5000, 100 * 2 ** attempt) * (0.5 + random() / 2);
}

export interface Following {
  /** Settles when no more orders come. */
  readonly placing: Promise<void>;
  /** How long after that open orders are waited for. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

/** Looks at open orders until all are placed and none is open, or the time is over. */
export async function followOrders(
  api: Api,
  figures: Figures,
  { placing, patienceMs, signal }: Following,
): Promise<void> {
  let deadline: number | undefined;
  void placing.then(
    () => {
      deadline = monotonicMs() + patienceMs;
    },
    () => {
      deadline = 0;
    },
  );
  for (;;) {
    const open = openOrders(figures);
    if (signal.aborted || (deadline !== undefined && open.length === 0)) return;
    if (deadline !== undefined && monotonicMs() > deadline) return;
    // Oldest first: those have most likely come to rest.
    await Promise.all(
      open.slice(0, FOLLOWED_AT_ONCE).map(async (id) => {
        const reply = await api.send('GET', `/api/v1/orders/${id}`).catch(() => undefined);
        if (reply?.status === 200) note(figures, reply.body as Seen);
      }),
    );
    await sleep(FOLLOW_MS, signal);
  }
}

function note(figures: Figures, order: Seen): void {
  figures.orders.set(order.id, order.status);
  if (!isSettled(order.status)) return;
  figures.settlement.push(Date.parse(order.updated_at) - Date.parse(order.created_at));
  if (order.status !== 'PAYMENT_FAILED') return;
  const reason = order.payment_attempts.at(-1)?.error_message ?? 'no reason told';
  figures.reasons.set(reason, (figures.reasons.get(reason) ?? 0) + 1);
}
