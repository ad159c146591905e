/** Later: the new cost of an assignment whose order has changed. */
import { Refusal } from '@waybill/kit/errors.ts';
import type { TaskHandler } from '@waybill/kit/tasks.ts';
import { priceAssignment } from './commands.ts';
import type { DispatchContext } from './context.ts';
import { repriceAssignment } from './store.ts';
import { findAssignment } from './views.ts';

export const REPRICE = 'reprice';

const AT_ONCE = 8;

export const repriceTask: TaskHandler<DispatchContext> = {
  kind: REPRICE,
  room: (running) => AT_ONCE - running,
  timeoutMs: 30_000,
  maxAttempts: 10,
  async run(task, context) {
    const { order_id: orderId } = task.payload as { order_id: string };
    const current = await findAssignment(context.db, orderId);
    if (current?.state !== 'ASSIGNED') return;
    const { executor_id: executorId, version } = current;
    const row = await priceAssignment(context, orderId, executorId, { fresh: true }).catch(
      (error: unknown) => {
        // The order or the executor is gone: whoever ended it tells so in an event of its own.
        if (error instanceof Refusal) return undefined;
        throw error;
      },
    );
    if (row === undefined) return;
    await context.db.transaction(async (tx) => {
      // An outside source may call the order something else; it is stored as it is assigned.
      const isWritten = await repriceAssignment(tx, { ...row, order_id: orderId }, version);
      if (isWritten) await task.finish(tx);
      else await task.again(tx, 0);
    });
  },
};
