/** Stripe's webhooks are believed when signed over these very bytes a moment ago. */
import { describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { eventOf, signatureOf } from '@waybill/sandbox/stripe/webhooks.ts';
import { newCharge, startStripe, webhookSecret } from '../../../tests/support/stripe.ts';

async function sent(token = 'pm_card_visa') {
  const started = await startStripe();
  const request = newCharge({ token });
  await started.provider.charge(request);
  const event = started.double.events.at(-1);
  if (event === undefined) throw new Error('no event was sent');
  const read = (signature: string | string[] | undefined, body = event.body) =>
    started.provider.readCallback({ 'stripe-signature': signature }, Buffer.from(body));
  return { ...started, request, event, read };
}

const invalid = expect.objectContaining({ status: 401, code: 'invalid_signature' }) as Error;

test('a charge is told with its order', async () => {
  const { read, event, request, double } = await sent();
  const intent = [...double.ledger.intents.keys()][0];
  expect(read(signatureOf(event.body, webhookSecret))).toEqual({
    eventId: event.id,
    orderId: request.orderId,
    answer: { kind: 'captured', reference: intent, amountMinor: 1299 },
  });
});

test('a decline is told with its reason', async () => {
  const { read, event, request } = await sent('pm_card_visa_chargeDeclinedInsufficientFunds');
  expect(read(signatureOf(event.body, webhookSecret))).toMatchObject({
    orderId: request.orderId,
    answer: { kind: 'declined', code: 'insufficient_funds' },
  });
});

describe('refused is what', () => {
  test('was signed by somebody else', async () => {
    const { read, event } = await sent();
    expect(() => read(signatureOf(event.body, 'whsec_of_a_stranger'))).toThrow(invalid);
  });

  test('carries no signature, none of this scheme, or two headers', async () => {
    const { read, event } = await sent();
    const good = signatureOf(event.body, webhookSecret);
    for (const bad of [undefined, '', 'v1=00', good.replace('v1=', 'v0='), [good, good]])
      expect(() => read(bad)).toThrow(invalid);
  });

  test('is older than five minutes', async () => {
    const { read, event } = await sent();
    expect(() => read(signatureOf(event.body, webhookSecret, 290))).not.toThrow();
    expect(() => read(signatureOf(event.body, webhookSecret, 310))).toThrow(invalid);
  });

  test('was signed for another moment than it names', async () => {
    const { read, event } = await sent();
    const old = signatureOf(event.body, webhookSecret, 310);
    const fresh = signatureOf(event.body, webhookSecret);
    expect(() => read(`${fresh.split(',')[0]},${old.split(',')[1]}`)).toThrow(invalid);
  });

  test('has other bytes, even where the JSON says the same', async () => {
    const { read, event } = await sent();
    const signature = signatureOf(event.body, webhookSecret);
    expect(() => read(signature, JSON.stringify(JSON.parse(event.body)))).toThrow(invalid);
    expect(() => read(signature, event.body.replace('1299', '1'))).toThrow(invalid);
  });
});

describe('taken, and without consequence, is what', () => {
  test('tells of something else', async () => {
    const { provider, double, read } = await sent();
    await provider.voidKey(newCharge());
    const cancelled = double.events.at(-1);
    expect(cancelled?.type).toBe('payment_intent.canceled');
    const body = cancelled?.body ?? '';
    expect(read(signatureOf(body, webhookSecret), body)).toMatchObject({ answer: undefined });
  });

  test.each([
    {},
    { order_id: 'a shop’s own number' },
    { order_id: newId() },
    { order_id: newId(), key: 'of another order:charge' },
  ])('concerns an intent of another application: %j', async (metadata) => {
    const { read, double } = await sent();
    const [intent] = [...double.ledger.intents.values()];
    if (intent === undefined) throw new Error('no intent');
    const { body } = eventOf('payment_intent.succeeded', { ...intent, metadata });
    expect(read(signatureOf(body, webhookSecret), body)).toMatchObject({ answer: undefined });
  });
});
