/** What the orders service follows: news of payments, and of who carries what. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { isUuid } from '@waybill/kit/ids.ts';
import type { PaymentEvent } from '@waybill/payments/contract.ts';
import { applyChanges, stateOf, type OrderChange } from './commands.ts';
import type { OrdersContext } from './context.ts';
import {
  afterCarrying,
  afterPayment,
  type CarryingNews,
  type Change,
  type PaymentNews,
} from './rules.ts';
import { lockOrders, type OrderRow } from './store.ts';

function follow(news: PaymentNews) {
  return async (tx: Tx, events: readonly CloudEvent[]): Promise<void> => {
    const told = new Map(events.map((event) => [event.key, event.data as unknown as PaymentEvent]));
    const rows = await lockOrders(tx, [...told.keys()]);
    const changes: OrderChange[] = [];
    for (const row of rows) {
      const change = afterPayment(stateOf(row), news);
      const { attempts = [], failure_code: failure = null } = told.get(row.id) ?? {};
      const known = attempts.length <= row.payment_attempts.length;
      // The checkout knows the outcome from the answer to its own call, and comes first.
      if (change === undefined || (known && isNothing(row, change))) continue;
      changes.push({ row, change, attempts: known ? row.payment_attempts : attempts, failure });
    }
    await applyChanges(tx, changes);
  };
}

function isNothing(row: OrderRow, change: Change): boolean {
  return row.status === change.status && row.payment_status === change.paymentStatus;
}

export const paymentNews: ConsumerDefinition<OrdersContext> = {
  topic: 'payments',
  handlers: {
    PAYMENT_STARTED: follow('STARTED'),
    PAYMENT_ATTEMPT_FAILED: follow('ATTEMPT_FAILED'),
    PAYMENT_CAPTURED: follow('CAPTURED'),
    PAYMENT_FAILED: follow('FAILED'),
    PAYMENT_VOIDED: follow('VOIDED'),
    PAYMENT_REFUNDED: follow('REFUNDED'),
  },
};

function carry(news: CarryingNews) {
  return async (tx: Tx, events: readonly CloudEvent[]): Promise<void> => {
    // Dispatch may carry orders of others, whose ids are not ours.
    const ids = events.map((event) => event.key).filter(isUuid);
    const changes: OrderChange[] = [];
    for (const row of await lockOrders(tx, ids)) {
      const steps = afterCarrying(stateOf(row), row.fulfillment_status, news);
      const change = steps.at(-1);
      if (change === undefined) continue;
      changes.push({ row, passed: steps.slice(0, -1), change, attempts: row.payment_attempts });
    }
    await applyChanges(tx, changes);
  };
}

export const carryingNews: ConsumerDefinition<OrdersContext> = {
  topic: 'dispatch',
  restMs: 100,
  handlers: {
    ASSIGNMENT_CREATED: carry('ASSIGNED'),
    ASSIGNMENT_ACQUIRED: carry('ASSIGNED'),
    ASSIGNMENT_PICKED_UP: carry('PICKED_UP'),
    ASSIGNMENT_DELIVERED: carry('DELIVERED'),
    ASSIGNMENT_FAILED: carry('FAILED'),
  },
};
