import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PAYMENT_STATES, type PaymentState } from './contract.ts';
import { afterAnswer, nextStep, OPEN_STATES, type Answer, type PaymentFacts } from './rules.ts';

const fresh: PaymentFacts = {
  state: 'PENDING',
  amountMinor: 1299,
  attempts: 0,
  maxAttempts: 3,
  cancelRequested: false,
  deadlinePassed: false,
};
const settledStates = PAYMENT_STATES.filter((state) => !OPEN_STATES.includes(state));
const captured: Answer = { kind: 'captured', reference: 'ch_1', amountMinor: 1299 };
const fault: Answer = { kind: 'fault', message: '500' };
const facts = fc.record({
  state: fc.constantFrom(...PAYMENT_STATES),
  amountMinor: fc.constant(1299),
  attempts: fc.nat({ max: 4 }),
  maxAttempts: fc.constantFrom(1, 3),
  cancelRequested: fc.boolean(),
  deadlinePassed: fc.boolean(),
});

describe('the next step', () => {
  test.each(settledStates)('of a payment that is %s is none', (state) => {
    fc.assert(
      fc.property(facts, (payment) => {
        expect(nextStep({ ...payment, state })).toBe('done');
      }),
    );
  });

  test('is a charge only for what certainly was not tried', () => {
    fc.assert(
      fc.property(facts, (payment) => {
        if (nextStep(payment) === 'charge') expect(payment.state).toBe('PENDING');
      }),
    );
  });

  test('ends what nobody wants any more, and asks first what became of a call', () => {
    const unwanted = { ...fresh, cancelRequested: true };
    expect(nextStep(fresh)).toBe('charge');
    expect(nextStep(unwanted)).toBe('drop');
    expect(nextStep({ ...fresh, deadlinePassed: true })).toBe('drop');
    for (const state of ['PROCESSING', 'UNKNOWN'] as const) {
      expect(nextStep({ ...fresh, state })).toBe('ask');
      expect(nextStep({ ...unwanted, state })).toBe('void');
      expect(nextStep({ ...fresh, state, attempts: 3 })).toBe('void');
    }
  });
});

describe('an answer', () => {
  const processing: PaymentFacts = { ...fresh, state: 'PROCESSING' };
  const after = (
    payment: PaymentFacts,
    answer: Answer,
    before: PaymentState = 'PENDING',
    trial = false,
  ) => afterAnswer(payment, answer, before, trial);

  test('of a capture settles; one that nobody wants is given back', () => {
    expect(after(processing, captured)).toEqual({
      state: 'CAPTURED',
      attempt: { status: 'SUCCEEDED', message: null },
      event: 'PAYMENT_CAPTURED',
    });
    expect(after({ ...processing, cancelRequested: true }, captured).refund).toBe(true);
    for (const state of ['FAILED', 'VOIDED'] as const)
      expect(after({ ...processing, state }, captured).refund).toBe(true);
  });

  test('of a decline is final at once', () => {
    const outcome = after(processing, { kind: 'declined', code: 'card_declined', message: 'No.' });
    expect(outcome).toMatchObject({ state: 'FAILED', failureCode: 'card_declined' });
    expect(outcome.next).toBeUndefined();
  });

  test('of a fault uses up an attempt, and is never the end', () => {
    expect(after(processing, fault)).toMatchObject({
      state: 'UNKNOWN',
      attempt: { status: 'FAILED' },
      next: 'retry',
    });
    expect(after({ ...processing, attempts: 2 }, fault).next).toBe('now');
    expect(after(processing, fault, 'PENDING', true).attempt).toBeUndefined();
  });

  test('that did not come leaves the outcome unknown, unless the call never arrived', () => {
    const outage = (reached: boolean): Answer => ({ kind: 'outage', message: 'reset', reached });
    expect(after(processing, outage(true))).toEqual({ state: 'UNKNOWN', next: 'outage' });
    expect(after(processing, outage(false), 'PENDING')).toEqual({
      state: 'PENDING',
      next: 'outage',
    });
    expect(after(processing, outage(false), 'UNKNOWN').state).toBe('UNKNOWN');
  });
});

/** A provider that charges under one key once, and may fail before or after it did. */
function provider() {
  const ledger = { charges: 0, refunds: 0, voided: false, captured: false };
  const charge = (): Answer => {
    if (ledger.voided) return { kind: 'voided' };
    if (!ledger.captured) ledger.charges++;
    ledger.captured = true;
    return captured;
  };
  return {
    ledger,
    charge,
    find: (): Answer => (ledger.captured ? captured : { kind: 'none' }),
    voidKey: (): Answer => {
      if (ledger.captured) return captured;
      ledger.voided = true;
      return { kind: 'voided' };
    },
  };
}

type Weather = 'fine' | 'declines' | 'fault' | 'fault after' | 'lost' | 'lost after' | 'refused';
interface Moment {
  readonly weather: Weather;
  readonly trial: boolean;
  readonly cancel: boolean;
  readonly deadline: boolean;
}

/** What a call brings in such weather; the `after` kinds fail once the provider has done it. */
function callIn(weather: Weather, work: () => Answer, mayDecline: boolean): Answer {
  switch (weather) {
    case 'fine':
      return work();
    case 'declines':
      return mayDecline ? { kind: 'declined', code: 'declined', message: 'No.' } : work();
    case 'fault':
      return fault;
    case 'fault after':
      work();
      return fault;
    case 'lost':
      return { kind: 'outage', message: 'timed out', reached: true };
    case 'lost after':
      work();
      return { kind: 'outage', message: 'timed out', reached: true };
    case 'refused':
      return { kind: 'outage', message: 'refused', reached: false };
  }
}

const moment: fc.Arbitrary<Moment> = fc.record({
  weather: fc.constantFrom<Weather[]>(
    'fine',
    'declines',
    'fault',
    'fault after',
    'lost',
    'lost after',
    'refused',
  ),
  trial: fc.boolean(),
  cancel: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  deadline: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

describe('through any weather', () => {
  test('money is taken at most once, and kept only for a captured payment', () => {
    fc.assert(
      fc.property(fc.array(moment, { maxLength: 20 }), (moments) => {
        const { ledger, charge, find, voidKey } = provider();
        let payment = fresh;
        const calm: Moment = { weather: 'fine', trial: false, cancel: false, deadline: false };
        // The weather always ends: after it, four calm steps must settle everything.
        for (const now of [...moments, calm, calm, calm, calm]) {
          payment = {
            ...payment,
            cancelRequested: payment.cancelRequested || now.cancel,
            deadlinePassed: payment.deadlinePassed || now.deadline,
          };
          const step = nextStep(payment);
          if (step === 'done') continue;
          if (step === 'drop') {
            expect(ledger.charges).toBe(0);
            payment = { ...payment, state: payment.cancelRequested ? 'VOIDED' : 'FAILED' };
            continue;
          }
          const before = payment.state;
          if (step === 'charge') payment = { ...payment, state: 'PROCESSING' };
          const work = step === 'charge' ? charge : step === 'void' ? voidKey : find;
          let answer = callIn(now.weather, work, step === 'charge' && !ledger.captured);
          if (step === 'ask' && answer.kind === 'none')
            answer = callIn(now.weather, charge, !ledger.captured);
          const outcome = afterAnswer(payment, answer, before, now.trial);
          const attempts = payment.attempts + (outcome.attempt === undefined ? 0 : 1);
          payment = { ...payment, state: outcome.state, attempts };
          if (answer.kind === 'captured')
            expect(outcome.refund === true).toBe(payment.cancelRequested);
          expect(outcome.next === undefined).toBe(!OPEN_STATES.includes(outcome.state));
        }
        expect(OPEN_STATES).not.toContain(payment.state);
        expect(ledger.charges).toBe(payment.state === 'CAPTURED' ? 1 : 0);
      }),
      { numRuns: 3000 },
    );
  });
});
