/** What the owner of the shop does with an order: approve, deliver, complete. */
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { applyChanges, stateOf, visibleOrder } from './commands.ts';
import type { OrdersContext } from './context.ts';
import { afterStep, type Step } from './rules.ts';
import { findOrder, lockOrders, renderOrder } from './store.ts';

export interface Stepped {
  /** The order as JSON text: a repeat gets the same bytes. */
  readonly order: string;
  readonly replayed: boolean;
}

/** Takes one step of the lifecycle, if the order is where it can be taken. */
export async function takeStep(
  context: OrdersContext,
  identity: Identity,
  idOrNumber: string,
  step: Step,
  idempotency: IdempotencyKey | undefined,
): Promise<Stepped> {
  const { id } = await visibleOrder(context, identity, idOrNumber);
  return context.db.transaction(async (tx) => {
    const known = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (known !== undefined) return { order: known.response, replayed: true };
    const [row] = await lockOrders(tx, [id]);
    if (row === undefined) throw new Error(`order ${id} is gone`);
    const change = afterStep(stateOf(row), step);
    await applyChanges(tx, [{ row, change, attempts: row.payment_attempts }]);
    const changed = await findOrder(tx, id);
    if (changed === undefined) throw new Error(`order ${id} is gone`);
    const order = JSON.stringify(renderOrder(changed));
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 200, response: order });
    return { order, replayed: false };
  });
}
