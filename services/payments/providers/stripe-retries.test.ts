/** After a call to Stripe that failed: no retry is stuck, and none charges twice. */
import { describe, expect, test } from 'vitest';
import { sleep } from '@waybill/kit/clock.ts';
import { first, newCharge, startStripe } from '../../../tests/support/stripe.ts';

describe('after a 5xx', () => {
  test.each(['error_before', 'error_after'] as const)(
    'of the creation (%s), which Stripe repeats for a day, the next try gets through',
    async (fault) => {
      const { provider, double } = await startStripe();
      double.behave(first(1, 'create', fault));
      const request = newCharge();
      expect(await provider.charge(request)).toMatchObject({ kind: 'fault' });
      expect(await provider.find(request)).toEqual({ kind: 'none' });
      expect(await provider.charge(request)).toMatchObject({ kind: 'captured' });
      expect(await provider.charge(request)).toMatchObject({ kind: 'captured' });
      expect(double.ledger.movements).toHaveLength(1);
    },
  );

  test('that was not saved, the same key is used again', async () => {
    const { provider, double } = await startStripe();
    double.behave(first(1, 'create', 'unsaved'));
    const request = newCharge();
    expect(await provider.charge(request)).toMatchObject({ kind: 'fault' });
    expect(await provider.charge(request)).toMatchObject({ kind: 'captured' });
    expect(double.ledger.intents.size).toBe(1);
    expect(
      new Set(double.calls.filter((c) => c.operation === 'create').map((c) => c.key)).size,
    ).toBe(1);
  });

  test('of every key, the answer is a fault and nothing is charged', async () => {
    const { provider, double } = await startStripe();
    double.behave(({ operation }) => (operation === 'create' ? 'error_before' : undefined));
    const request = newCharge();
    for (let attempt = 0; attempt < 12; attempt++)
      expect(await provider.charge(request)).toMatchObject({ kind: 'fault' });
    expect(new Set(double.calls.map((call) => call.key)).size).toBe(10);
  });

  test('of the confirmation, what was charged is found and what was not is charged', async () => {
    const { provider, double } = await startStripe();
    const [charged, uncharged] = [newCharge(), newCharge()];
    double.behave(first(1, 'confirm', 'error_after'));
    expect(await provider.charge(charged)).toMatchObject({ kind: 'fault' });
    double.behave(first(1, 'confirm', 'error_before'));
    expect(await provider.charge(uncharged)).toMatchObject({ kind: 'fault' });
    double.behave(() => undefined);
    expect(await provider.find(charged)).toMatchObject({ kind: 'captured' });
    expect(await provider.find(uncharged)).toEqual({ kind: 'none' });
    expect(await provider.charge(uncharged)).toMatchObject({ kind: 'captured' });
    expect(double.ledger.movements).toHaveLength(2);
  });
});

describe('a key', () => {
  test('of an order that was never charged has nothing to tell', async () => {
    const { provider } = await startStripe();
    expect(await provider.find(newCharge())).toEqual({ kind: 'none' });
  });

  test('that is void is never charged under, however often that is tried', async () => {
    const { provider, double } = await startStripe();
    const request = newCharge();
    expect(await provider.voidKey(request)).toEqual({ kind: 'voided' });
    expect(await provider.voidKey(request)).toEqual({ kind: 'voided' });
    expect(await provider.charge(request)).toMatchObject({
      kind: 'declined',
      code: 'payment_intent_canceled',
    });
    expect(double.ledger.movements).toEqual([]);
  });

  test('that was charged under cannot be made void', async () => {
    const { provider, double } = await startStripe({ timeoutMs: 300 });
    double.behave(first(1, 'confirm', 'timeout_after'));
    const request = newCharge();
    expect(await provider.charge(request)).toMatchObject({ kind: 'outage', reached: true });
    expect(await provider.voidKey(request)).toMatchObject({ kind: 'captured', amountMinor: 1299 });
  });

  test('is void or charged under, never both, when both are tried at once', async () => {
    const { provider, double } = await startStripe({ latencyMs: 1 });
    const outcomes = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const request = newCharge();
      // Both need the intent; without it one of them would only meet the other's lock.
      await provider.find(request);
      const [charge, end] = await Promise.all([
        sleep(round % 5).then(() => provider.charge(request)),
        sleep(4 - (round % 5)).then(() => provider.voidKey(request)),
      ]);
      const moved = double.ledger.movements.filter(
        (one) => one.order_id === request.orderId,
      ).length;
      const said = [charge.kind, end.kind].filter(
        (kind) => kind === 'captured' || kind === 'voided',
      );
      expect(said.filter((kind) => kind === 'voided').length + moved).toBe(1);
      if (moved === 1) expect(end.kind).toBe('captured');
      outcomes.add(end.kind);
    }
    expect([...outcomes].toSorted()).toEqual(['captured', 'voided']);
  });

  test('that Stripe has forgotten is looked up by its metadata before it is believed', async () => {
    const { provider, double } = await startStripe();
    const request = newCharge();
    const charged = await provider.charge(request);
    double.ledger.index();
    double.forgetKeys();
    expect(await provider.find(request)).toEqual(charged);
    double.forgetKeys();
    expect(await provider.voidKey(request)).toEqual(charged);
    expect(double.ledger.movements).toHaveLength(1);
    const statuses = [...double.ledger.intents.values()].map((intent) => intent.status);
    expect(statuses).toEqual(['succeeded', 'canceled', 'canceled']);
  });
});

test('a confirmation that had no answer in time charges once at most', async () => {
  const { provider, double } = await startStripe({ timeoutMs: 150 });
  double.behave(({ operation, count }) =>
    operation === 'confirm' && count === 1 ? 'timeout_after' : undefined,
  );
  const request = newCharge();
  expect(await provider.charge(request)).toMatchObject({ kind: 'outage', reached: true });
  const answers = await Promise.all([provider.charge(request), provider.charge(request)]);
  expect(answers.every(({ kind }) => kind === 'captured')).toBe(true);
  expect(double.ledger.movements).toHaveLength(1);
});

describe('a refund', () => {
  async function charged() {
    const started = await startStripe({ timeoutMs: 1500 });
    const answer = await started.provider.charge(newCharge());
    if (answer.kind !== 'captured') throw new Error('not charged');
    const refund = (key = 'order:refund', amountMinor = 1299) =>
      started.provider.refund({ key, reference: answer.reference, amountMinor, currency: 'USD' });
    const refunded = () =>
      started.double.ledger.movements.filter(({ kind }) => kind === 'refund').map((m) => m.amount);
    return { ...started, refund, refunded };
  }

  test('is made once per key', async () => {
    const { refund, refunded, double } = await charged();
    const made = await refund('a', 500);
    expect(made).toEqual({ kind: 'refunded', reference: expect.stringMatching(/^re_/) as string });
    expect(await refund('a', 500)).toEqual(made);
    double.forgetKeys();
    expect(await refund('a', 500)).toEqual(made);
    expect(await refund('b', 799)).toMatchObject({ kind: 'refunded' });
    expect(refunded()).toEqual([500, 799]);
  });

  test.each(['error_before', 'error_after', 'unsaved'] as const)(
    'is made once after %s',
    async (fault) => {
      const { refund, refunded, double } = await charged();
      double.behave(first(1, 'refund', fault));
      expect(await refund('a', 500)).toMatchObject({ kind: 'fault' });
      expect(await refund('a', 500)).toMatchObject({ kind: 'refunded' });
      expect(refunded()).toEqual([500]);
    },
  );

  test('that had no answer is found', async () => {
    const { refund, refunded, double } = await charged();
    double.behave(first(2, 'refund', 'timeout_after'));
    expect(await refund()).toMatchObject({ kind: 'outage', reached: true });
    expect(await refund()).toMatchObject({ kind: 'refunded' });
    expect(refunded()).toEqual([1299]);
  });

  test('of what somebody paid back by hand is done already', async () => {
    const { refund, refunded } = await charged();
    await refund('by hand');
    expect(await refund('by us')).toMatchObject({ kind: 'refunded' });
    expect(refunded()).toEqual([1299]);
  });
});
