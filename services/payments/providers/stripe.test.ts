/** Stripe against its double: every answer in the words of the port, and nothing charged twice. */
import { describe, expect, test } from 'vitest';
import { first, newCharge, startStripe } from '../../../tests/support/stripe.ts';

const reachedOutage = { kind: 'outage', reached: true };

describe('a charge', () => {
  test('is an intent of the order that is created, then confirmed', async () => {
    const { provider, double } = await startStripe();
    const request = newCharge();
    const answer = await provider.charge(request);
    expect(answer).toEqual({
      kind: 'captured',
      reference: expect.stringMatching(/^pi_/) as string,
      amountMinor: 1299,
    });
    expect(double.calls.map((call) => [call.operation, call.key])).toEqual([
      ['create', `${request.key}:intent`],
      ['confirm', expect.stringMatching(/^stripe-node-retry-/)],
    ]);
    const [intent] = [...double.ledger.intents.values()];
    expect(intent).toMatchObject({
      currency: 'usd',
      metadata: { order_id: request.orderId, key: request.key },
    });
  });

  test('that is repeated is answered by what was charged', async () => {
    const { provider, double } = await startStripe();
    const request = newCharge();
    expect(await provider.charge(request)).toEqual(await provider.charge(request));
    expect(double.ledger.movements).toHaveLength(1);
  });

  test('of an order without a token is paid by the test card in test mode', async () => {
    const { provider, double } = await startStripe();
    expect(await provider.charge(newCharge({ token: null }))).toMatchObject({ kind: 'captured' });
    expect([...double.ledger.intents.values()][0]?.payment_method).toBe('pm_card_visa');
  });

  test('of an order without a token is declined in live mode without asking', async () => {
    const { provider, double } = await startStripe({ secretKey: 'sk_live_double' });
    const request = newCharge({ token: null });
    expect(await provider.charge(request)).toMatchObject({ code: 'payment_method_missing' });
    expect(await provider.find(request)).toEqual({ kind: 'none' });
    expect(await provider.voidKey(request)).toEqual({ kind: 'voided' });
    expect(double.calls).toEqual([]);
  });

  test('may be under way twice at once, and charges once', async () => {
    const { provider, double } = await startStripe({ latencyMs: 30 });
    const request = newCharge();
    const answers = await Promise.all([1, 2, 3, 4].map(() => provider.charge(request)));
    expect(answers.filter(({ kind }) => kind === 'captured')).toHaveLength(1);
    expect(answers.filter(({ kind }) => kind === 'outage')).toHaveLength(3);
    expect(await provider.charge(request)).toMatchObject({ kind: 'captured' });
    expect(double.ledger.movements).toHaveLength(1);
  });
});

describe('a final no', () => {
  test.each([
    ['pm_card_chargeDeclined', 'card_declined'],
    ['pm_card_visa_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card'],
    ['pm_card_authenticationRequired', 'authentication_required'],
    ['pm_action_all_the_same', 'authentication_required'],
    ['pm_of_nobody', 'resource_missing'],
  ])('%s is declined as %s, also when it is asked about later', async (token, code) => {
    const { provider, double } = await startStripe();
    const request = newCharge({ token });
    expect(await provider.charge(request)).toMatchObject({ kind: 'declined', code });
    expect(await provider.find(request)).toMatchObject({ kind: 'declined' });
    expect(await provider.charge(request)).toMatchObject({ kind: 'declined' });
    expect(double.ledger.movements).toEqual([]);
    expect(double.calls.filter((call) => call.operation === 'confirm')).toHaveLength(1);
  });

  test.each(['pm_action_all_the_same', 'pm_of_nobody'])(
    '%s leaves no intent behind that could still be paid',
    async (token) => {
      const { provider, double } = await startStripe();
      await provider.charge(newCharge({ token }));
      expect([...double.ledger.intents.values()][0]?.status).toBe('canceled');
    },
  );

  test.each([
    [{ amountMinor: 49 }, 'amount_too_small'],
    [{ amountMinor: 100_000_000 }, 'amount_too_large'],
    [{ currency: 'SEK' }, 'invalid_currency'],
  ])('%j is not for Stripe', async (changes, code) => {
    const { provider, double } = await startStripe();
    const request = newCharge(changes);
    expect(await provider.charge(request)).toMatchObject({ kind: 'declined', code });
    expect(await provider.find(request)).toMatchObject({ kind: 'declined', code });
    expect(await provider.voidKey(request)).toEqual({ kind: 'voided' });
    expect(double.ledger.intents.size).toBe(0);
  });

  test('an amount that Stripe cannot say exactly is not rounded', async () => {
    const { provider, double } = await startStripe();
    const request = newCharge({ amountMinor: 5124, currency: 'KWD' });
    expect(await provider.charge(request)).toMatchObject({ code: 'amount_not_chargeable' });
    expect(await provider.charge(newCharge({ amountMinor: 5120, currency: 'KWD' }))).toMatchObject({
      kind: 'captured',
      amountMinor: 5120,
    });
    expect(double.ledger.movements).toHaveLength(1);
  });
});

describe('no answer', () => {
  test('a refused connection never arrived', async () => {
    const { provider, closeDouble } = await startStripe();
    await closeDouble();
    const request = newCharge();
    const away = { kind: 'outage', reached: false };
    expect(await provider.charge(request)).toMatchObject(away);
    expect(await provider.find(request)).toMatchObject(away);
    expect(await provider.voidKey(request)).toMatchObject(away);
    expect(
      await provider.refund({ key: 'k', reference: 'pi_1', amountMinor: 1, currency: 'USD' }),
    ).toMatchObject(away);
  });

  test.each([
    ['timeout_before', 0],
    ['timeout_after', 1],
    // The SDK sends a call with a closed connection once more, so it has to be closed twice.
    ['reset_before', 0],
    ['reset_after', 1],
    ['cut', 1],
    ['html_502', 0],
    ['unavailable', 0],
    ['rate_limited', 0],
  ] as const)('%s is an outage that may have arrived', async (fault, charged) => {
    const { provider, double } = await startStripe({ timeoutMs: 1500 });
    double.behave(first(2, 'confirm', fault));
    const request = newCharge();
    expect(await provider.charge(request)).toMatchObject(reachedOutage);
    expect(double.ledger.movements).toHaveLength(charged);
    double.behave(() => undefined);
    expect((await provider.find(request)).kind).toBe(charged === 1 ? 'captured' : 'none');
    expect(await provider.charge(request)).toMatchObject({ kind: 'captured' });
    expect(double.ledger.movements).toHaveLength(1);
  });

  test('a connection closed once is bridged by the SDK, under one key', async () => {
    const { provider, double } = await startStripe();
    double.behave(first(1, 'confirm', 'reset_after'));
    expect(await provider.charge(newCharge())).toMatchObject({ kind: 'captured' });
    const confirms = double.calls.filter((call) => call.operation === 'confirm');
    expect(new Set(confirms.map((call) => call.key)).size).toBe(1);
    expect(double.ledger.movements).toHaveLength(1);
  });

  test('an answer that drips is cut off by the limit for the whole call', async () => {
    const { provider } = await startStripe({ latencyMs: 500, timeoutMs: 100 });
    expect(await provider.charge(newCharge())).toMatchObject({
      ...reachedOutage,
      message: 'Stripe is away: no answer in time',
    });
  });

  test('a key that Stripe does not accept is an outage for an operator to end', async () => {
    const { provider, errors, double } = await startStripe({ providerKey: 'sk_test_revoked' });
    expect(await provider.charge(newCharge())).toMatchObject({
      ...reachedOutage,
      message: expect.stringContaining('STRIPE_SECRET_KEY') as string,
    });
    expect(errors).toHaveBeenCalledOnce();
    expect(double.calls).toEqual([]);
  });

  test('a payment that the bank is still thinking about is asked about again', async () => {
    const { provider, double } = await startStripe();
    const [good, bad] = [
      newCharge({ token: 'pm_slow_bank' }),
      newCharge({ token: 'pm_slow_bank' }),
    ];
    expect(await provider.charge(good)).toMatchObject(reachedOutage);
    expect(await provider.charge(bad)).toMatchObject(reachedOutage);
    expect(await provider.find(good)).toMatchObject(reachedOutage);
    expect(await provider.voidKey(good)).toMatchObject(reachedOutage);
    const [first, second] = [...double.ledger.intents.keys()] as [string, string];
    double.ledger.settle(first, true);
    double.ledger.settle(second, false);
    expect(await provider.find(good)).toMatchObject({ kind: 'captured' });
    expect(await provider.find(bad)).toMatchObject({ kind: 'declined', code: 'card_declined' });
  });
});
