/**
 * Telling customers how the payment of an order ended: the contact from customers, the notice to
 * notifications, which stores it once per order and outcome however often it is asked.
 */
import { deadlineIn, type Deadline } from '@waybill/kit/deadline.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { currencyExponent, toMajor } from '@waybill/kit/money.ts';
import { withdrawTasks, type TaskHandler } from '@waybill/kit/tasks.ts';
import { NOTIFY } from './commands.ts';
import type { Contact } from './contacts.ts';
import type { OrdersContext } from './context.ts';
import { checkoutStatusOf } from './rules.ts';
import { findOrder, type OrderRow } from './store.ts';

/** Gives the notice, and ends its task. */
export async function giveNotice(
  context: OrdersContext,
  row: OrderRow,
  deadline: Deadline,
): Promise<void> {
  const contact = await context.contactOf(row.customer_id, deadline);
  await context.client.call(
    'notifications',
    {
      method: 'POST',
      path: '/internal/notifications',
      body: noticeOf(row, contact),
      idempotent: true,
    },
    deadline,
  );
  await failpoint('orders.checkout.notified');
  await context.db.transaction((tx) => withdrawTasks(tx, NOTIFY, [row.id]));
}

function noticeOf(row: OrderRow, contact: Contact) {
  const paid = row.status === 'CONFIRMED';
  const amount = toMajor(row.total_minor, currencyExponent(row.currency) ?? 2);
  const told = `Order ${row.number} over ${amount} ${row.currency}`;
  const reason =
    checkoutStatusOf(row.status, row.payment_failure) === 'INSUFFICIENT_FUNDS'
      ? 'the balance is too low'
      : 'the payment failed';
  return {
    dedupe_key: `order:${row.id}:${paid ? 'paid' : 'unpaid'}`,
    notification_type: paid ? 'SUCCESS' : 'FAIL',
    parent_type: 'ORDER',
    parent_id: String(row.number),
    username: row.customer_id,
    text: paid ? `${told} is paid.` : `${told} is not paid: ${reason}.`,
    template: paid ? 'order_paid' : 'order_unpaid',
    data: { number: String(row.number), amount: String(amount), currency: row.currency, reason },
    contact,
  };
}

const TASK_CALL_MS = 5000;

/** The notice of an order whose request is gone, or did not get through with it. */
export const noticeTask: TaskHandler<OrdersContext> = {
  kind: NOTIFY,
  room: (running) => 8 - running,
  timeoutMs: 30_000,
  maxAttempts: 20,
  async run(task, context) {
    const row = await findOrder(context.db, task.key);
    if (row === undefined) throw new Error(`order ${task.key} is gone`);
    const told = row.status === 'CONFIRMED' || row.status === 'PAYMENT_FAILED';
    // Cancelled or further on meanwhile: what the notice would say is no longer news.
    if (told) await giveNotice(context, row, deadlineIn(TASK_CALL_MS));
  },
};
