/** What the notifications service follows: persons whose data is erased. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { enqueue } from '@waybill/kit/tasks.ts';
import type { ProfileEvent } from '@waybill/customers/contract.ts';
import type { NotificationsContext } from './context.ts';
import { FORGET } from './tasks.ts';

/** A person may have been told a lot: it is forgotten in bites, by a task. */
async function forget(tx: Tx, events: readonly CloudEvent[]): Promise<void> {
  await enqueue(
    tx,
    events.map((event) => {
      const { username } = event.data as unknown as ProfileEvent;
      return { kind: FORGET, key: username, payload: { until: event.time } };
    }),
  );
}

export const profileNews: ConsumerDefinition<NotificationsContext> = {
  topic: 'customers',
  handlers: { PROFILE_ERASED: forget },
};
