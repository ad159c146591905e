/** What an amount may be, and what the ledger's words mean to callers. */
import { describe, expect, test } from 'vitest';
import { Refusal } from '@waybill/kit/errors.ts';
import { DECLINE_CODES } from './contract.ts';
import { amountOf, answerOf, refusalOf, voidAnswerOf, type KeptCharge } from './rules.ts';

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return `${error.status} ${error.code}`;
    throw error;
  }
  return 'none';
}

describe('an amount', () => {
  test.each([
    [0.01, 'USD', 1n],
    [150, 'USD', 15_000n],
    [19.99, 'USD', 1999n],
    [1, 'JPY', 1n],
    [0.001, 'KWD', 1n],
    [9_000_000_000_000, 'USD', 900_000_000_000_000n],
  ])('%d %s is %d minor units', (amount, currency, minor) => {
    expect(amountOf(amount, currency)).toBe(minor);
  });

  test.each([
    [0, 'USD', '400 invalid_amount'],
    [-0, 'USD', '400 invalid_amount'],
    [-5, 'USD', '400 invalid_amount'],
    [-0.001, 'USD', '400 invalid_amount'],
    [Number.NaN, 'USD', '400 invalid_amount'],
    [0.001, 'USD', '422 invalid_body'],
    [0.1, 'JPY', '422 invalid_body'],
    [9_000_000_000_000.01, 'USD', '422 invalid_body'],
    [Number.POSITIVE_INFINITY, 'USD', '422 invalid_body'],
  ])('of %d %s is refused as %s', (amount, currency, expected) => {
    expect(refusal(() => amountOf(amount, currency))).toBe(expected);
  });
});

describe("a key's answer", () => {
  const kept: KeptCharge = {
    state: 'captured',
    decline_code: null,
    transfer_id: 'transfer',
    amount_minor: 1900n,
  };
  const captured = { kind: 'captured', reference: 'transfer', amount_minor: 1900 };

  test('is what it was, also for whoever gives it up', () => {
    expect(answerOf(kept)).toEqual(captured);
    expect(voidAnswerOf(kept)).toEqual(captured);
  });

  test.each(DECLINE_CODES.filter((code) => code !== 'voided'))('may be a no: %s', (code) => {
    const declined = { ...kept, state: 'declined', decline_code: code, transfer_id: null } as const;
    expect(answerOf(declined)).toMatchObject({ kind: 'declined', code });
    expect(voidAnswerOf(declined)).toEqual({ kind: 'voided' });
  });

  test('of a voided one is a no for ever', () => {
    const voided = { ...kept, state: 'voided', transfer_id: null } as const;
    expect(answerOf(voided)).toMatchObject({ kind: 'declined', code: 'voided' });
    expect(voidAnswerOf(voided)).toEqual({ kind: 'voided' });
  });

  test('that nobody knows is a bug', () => {
    const strange = { ...kept, state: 'declined', decline_code: 'whim' } as const;
    expect(() => answerOf(strange)).toThrow(/whim/);
    expect(() => refusalOf('whim')).toThrow(/whim/);
  });
});
