/** How customers are reached: read from the customers service, remembered for a short time. */
import type { Client } from '@waybill/kit/client.ts';
import { monotonicMs } from '@waybill/kit/clock.ts';
import type { Deadline } from '@waybill/kit/deadline.ts';
import { Refusal } from '@waybill/kit/errors.ts';

/** How to reach somebody; nothing is known of who has no profile. */
export interface Contact {
  readonly email?: string;
  readonly phone?: string;
}

const MAX_REMEMBERED = 10_000;

/** Reads contacts from customers, remembered for a short time. */
export function createContacts(client: Client, cacheSeconds: number) {
  const remembered = new Map<string, { contact: Contact; until: number }>();
  return async (username: string, deadline: Deadline): Promise<Contact> => {
    const known = remembered.get(username);
    if (known !== undefined && known.until > monotonicMs()) return known.contact;
    const contact = await readContact(client, username, deadline);
    const oldest = remembered.keys().next().value;
    if (remembered.size >= MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
    const until = monotonicMs() + cacheSeconds * 1000;
    remembered.delete(username);
    remembered.set(username, { contact, until });
    return contact;
  };
}

async function readContact(client: Client, username: string, deadline: Deadline): Promise<Contact> {
  const path = `/internal/customers/profiles/${encodeURIComponent(username)}`;
  try {
    const { email, phone } = await client.call<{ email?: string | null; phone?: string | null }>(
      'customers',
      { method: 'GET', path, idempotent: true },
      deadline,
    );
    return { ...(email ? { email } : {}), ...(phone ? { phone } : {}) };
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return {};
    throw error;
  }
}
