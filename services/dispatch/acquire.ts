/** Acquiring: what one poll gets, at once or within the time that it waits. */
import { monotonicMs } from '@waybill/kit/clock.ts';
import { wakeSequencer } from '@waybill/kit/eventlog.ts';
import { claimKey, findKept, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { currencyExponent, toMajor } from '@waybill/kit/money.ts';
import { counter } from '@waybill/kit/telemetry.ts';
import type { DispatchContext } from './context.ts';
import { acquireAssignments, type AcquiredRow } from './store.ts';

export interface Poll {
  readonly executorId: string;
  readonly next: boolean;
  readonly waitMs: number;
  readonly idempotency: IdempotencyKey | undefined;
  /** Asked for by those who wait alone. */
  readonly hungUp: () => AbortSignal;
}

export interface Got {
  /** JSON text. */
  readonly body: string;
  readonly replayed: boolean;
}

/** A waiter looks again by itself after so long, whatever it was told. */
const LOOK_AGAIN_MS = 5000;

const acquired = counter('waybill_dispatch_acquired_total', 'Orders acquired', ['repeated']);

/** Gives the executor an order, at once or within the time it waits; undefined: there is none. */
export async function acquire(context: DispatchContext, poll: Poll): Promise<Got | undefined> {
  if (poll.waitMs === 0) return tryToAcquire(context, poll);
  const endMs = monotonicMs() + poll.waitMs;
  const hungUp = poll.hungUp();
  const place = await context.waiting.enter(poll.executorId, hungUp);
  try {
    for (let told = false; ;) {
      // Nobody would read the answer, and the order would be held by somebody who does not know.
      if (hungUp.aborted) return undefined;
      // Before the look, so that what is assigned meanwhile wakes it.
      const untilMs = Math.min(endMs, monotonicMs() + LOOK_AGAIN_MS);
      const woken = place.woken(Math.max(0, untilMs - monotonicMs()));
      const got = await tryToAcquire(context, poll, told);
      if (got !== undefined || monotonicMs() >= endMs || place.mustLeave()) return got;
      await woken;
      told = monotonicMs() < untilMs;
    }
  } finally {
    place.leave();
  }
}

/** Whoever was told that there is something does not ask first whether there is. */
async function tryToAcquire(
  context: DispatchContext,
  poll: Poll,
  told = false,
): Promise<Got | undefined> {
  const { executorId, next, idempotency } = poll;
  const { acquiring, db } = context;
  if (idempotency !== undefined) return acquireOnce(context, executorId, idempotency);
  if (!told && !(await acquiring.isServed(executorId))) return undefined;
  const row = await acquiring.take({ executor_id: executorId, next });
  if (row === undefined) return undefined;
  wakeSequencer(db.service);
  return gotOf(row);
}

function gotOf(row: AcquiredRow): Got {
  acquired.inc({ repeated: String(row.repeated) });
  return { body: renderAcquired(row), replayed: row.repeated };
}

class NothingToGet extends Error {
  override readonly name = 'NothingToGet';
}

/** With a key: its order again, or the next one. An answer without an order is not kept. */
async function acquireOnce(
  { acquiring, db }: DispatchContext,
  executorId: string,
  idempotency: IdempotencyKey,
): Promise<Got | undefined> {
  const [known, served] = await Promise.all([
    findKept(db, idempotency),
    acquiring.isServed(executorId),
  ]);
  if (known !== undefined) return { body: known.response, replayed: true };
  if (!served) return undefined;
  try {
    return await db.transaction(async (tx) => {
      const kept = await claimKey(tx, idempotency);
      if (kept !== undefined) return { body: kept.response, replayed: true };
      const [row] = await acquireAssignments(tx, [{ executor_id: executorId, next: true }]);
      if (row === undefined) throw new NothingToGet();
      const got = gotOf(row);
      await keepAnswer(tx, idempotency, { status: 200, response: got.body });
      tx.onCommit(() => wakeSequencer(db.service));
      return got;
    });
  } catch (error) {
    if (error instanceof NothingToGet) return undefined;
    throw error;
  }
}

/** What the sources said is spliced in as the text that it is stored as. */
function renderAcquired(row: AcquiredRow): string {
  const { order_id, number, executor_id, epoch, currency, acquired_at } = row;
  const head = {
    order_id,
    number: number === null ? null : Number(number),
    executor_id,
    epoch,
    cost: toMajor(row.cost_minor, currencyExponent(currency) ?? 2),
    currency,
    acquired_at,
  };
  const text = JSON.stringify(head).slice(0, -1);
  return `${text},"order":${row.order_info},"sources":${row.sources}}`;
}
