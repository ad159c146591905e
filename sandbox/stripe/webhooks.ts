/** Events as Stripe sends them, signed by Stripe's own scheme. */
import { randomUUID } from 'node:crypto';

import Stripe from 'stripe';

import type { Intent } from './intents.ts';

export interface SignedEvent {
  readonly id: string;
  readonly type: string;
  readonly orderId: unknown;
  readonly body: string;
}

/** An event of an intent as it is now. */
export function eventOf(type: string, intent: Intent): SignedEvent {
  const id = `evt_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
  const created = Math.floor(Date.now() / 1000);
  const event = { id, object: 'event', type, created, livemode: false, data: { object: intent } };
  // Stripe's own bodies are indented: whoever writes them anew breaks the signature.
  const body = JSON.stringify(event, undefined, 2);
  return { id, type, orderId: intent.metadata['order_id'], body };
}

/** The `Stripe-Signature` of a body; `ageS` makes it older than it is. */
export function signatureOf(body: string, secret: string, ageS = 0): string {
  const timestamp = Math.floor(Date.now() / 1000) - ageS;
  return Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp });
}

/** Sends an event; the status of the answer, or 0 when there was none. */
export async function deliver(url: string, event: SignedEvent, secret: string): Promise<number> {
  try {
    const reply = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'stripe-signature': signatureOf(event.body, secret),
      },
      body: event.body,
      signal: AbortSignal.timeout(5000),
    });
    await reply.arrayBuffer();
    return reply.status;
  } catch {
    return 0;
  }
}
