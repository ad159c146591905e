/** What auth follows: profiles that were erased, and addresses that changed. */
import type { CloudEvent } from '@waybill/kit/bus/port.ts';
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { enqueue } from '@waybill/kit/tasks.ts';
import type { ProfileEvent } from '@waybill/customers/contract.ts';
import { eraseUser, FOLLOW } from './administration.ts';
import type { AuthContext } from './context.ts';

async function erase(tx: Tx, events: readonly CloudEvent[]) {
  for (const event of events) await eraseUser(tx, (event.data as unknown as ProfileEvent).username);
}

/** One logs in, and is mailed, by the address of the profile. */
async function follow(tx: Tx, events: readonly CloudEvent[]) {
  const changed = events
    .map((event) => event.data as unknown as ProfileEvent)
    .filter((profile) => profile.changed.includes('email'));
  await enqueue(
    tx,
    changed.map(({ username }) => ({ kind: FOLLOW, key: username, payload: null })),
  );
}

export const profileNews: ConsumerDefinition<AuthContext> = {
  topic: 'customers',
  handlers: { PROFILE_ERASED: erase, PROFILE_UPDATED: follow },
};
