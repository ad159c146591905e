import { describe, expect, test } from 'vitest';
import { Refusal } from '@waybill/kit/errors.ts';
import { MAX_ON_HAND } from './contract.ts';
import {
  decideMoves,
  type Books,
  type Deduction,
  type Move,
  type Reservation,
  type Stock,
} from './rules.ts';

function booksOf(
  stock: Readonly<Record<string, readonly [onHand: number, reserved: number]>>,
  reservations: readonly Reservation[] = [],
  deductions: readonly Deduction[] = [],
): Books {
  return {
    stock: new Map(
      Object.entries(stock).map(([sku, [onHand, reserved]]) => [sku, { onHand, reserved }]),
    ),
    reservations: new Map(reservations.map((one) => [one.id, one])),
    deductions: new Map(deductions.map((one) => [one.id, one])),
  };
}

const reserve = (id: string, lines: Record<string, number>, allowUnknown = false): Move => ({
  kind: 'reserve',
  id,
  lines: Object.entries(lines).map(([sku, quantity]) => ({ sku, quantity })),
  seconds: 60,
  allowUnknown,
});

const deduct = (id: string, deductionId: string, lines?: Record<string, number>): Move => ({
  kind: 'deduct',
  id,
  deductionId,
  lines:
    lines === undefined
      ? undefined
      : Object.entries(lines).map(([sku, quantity]) => ({ sku, quantity })),
});

const held = (id: string, lines: Record<string, number>): Reservation => ({
  id,
  state: 'reserved',
  asked: JSON.stringify(Object.entries(lines)),
  allowUnknown: false,
  seconds: 0,
  expiresAt: '2026-01-01T00:00:00.000Z',
  lines: Object.entries(lines).map(([sku, quantity]) => ({ sku, quantity, deducted: 0 })),
});

/** The answers as words: a state, a refusal's code, or what is on hand. */
function told(answers: readonly (Reservation | Stock | Refusal)[]): unknown[] {
  return answers.map((answer) => {
    if (answer instanceof Refusal) return answer.code;
    return 'state' in answer ? answer.state : answer.onHand;
  });
}

describe('reserving', () => {
  test('gives to the first who ask, and no more than there is', () => {
    const moves = ['a', 'b', 'c', 'd'].map((id) => reserve(id, { x: 1 }));
    const decision = decideMoves(booksOf({ x: [3, 0] }), moves);
    expect(told(decision.answers)).toEqual([
      'reserved',
      'reserved',
      'reserved',
      'insufficient_stock',
    ]);
    expect(decision.stock.get('x')).toMatchObject({ onHand: 3, reserved: 3 });
    expect(decision.created.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(decision.stock.get('x')?.changes).toHaveLength(3);
  });

  test('is all or nothing, and leaves nothing behind when refused', () => {
    const decision = decideMoves(booksOf({ x: [5, 0], y: [1, 0] }), [
      reserve('a', { x: 2, y: 2 }),
      reserve('b', { x: 5 }),
    ]);
    expect(told(decision.answers)).toEqual(['insufficient_stock', 'reserved']);
    expect((decision.answers[0] as Refusal).faults).toEqual([
      { pointer: '/lines/1/quantity', detail: 'must be at most 1, which is what is available' },
    ]);
    expect([...decision.stock.keys()]).toEqual(['x']);
  });

  test('a SKU named twice is asked for with the sum', () => {
    const lines = [
      { sku: 'x', quantity: 2 },
      { sku: 'x', quantity: 2 },
    ];
    const move = { ...reserve('a', {}), lines } as Move;
    expect(told(decideMoves(booksOf({ x: [3, 0] }), [move]).answers)).toEqual([
      'insufficient_stock',
    ]);
    expect(told(decideMoves(booksOf({ x: [4, 0] }), [move]).answers)).toEqual(['reserved']);
  });

  test('a SKU that is not known is refused, or left out', () => {
    const books = booksOf({ x: [5, 0] });
    expect(told(decideMoves(books, [reserve('a', { x: 1, z: 1 })]).answers)).toEqual([
      'unknown_sku',
    ]);
    const [answer] = decideMoves(books, [reserve('a', { x: 1, z: 1 }, true)]).answers;
    expect(answer).toMatchObject({
      state: 'reserved',
      lines: [{ sku: 'x', quantity: 1, deducted: 0 }],
    });
  });

  test('again under the same id changes nothing; other lines are refused', () => {
    const known = held('a', { x: 2 });
    const decision = decideMoves(booksOf({ x: [5, 2] }, [known]), [
      reserve('a', { x: 2 }),
      reserve('a', { x: 3 }),
      reserve('b', { x: 1 }),
      reserve('b', { x: 1 }),
    ]);
    expect(told(decision.answers)).toEqual([
      'reserved',
      'reservation_differs',
      'reserved',
      'reserved',
    ]);
    expect(decision.stock.get('x')).toMatchObject({ onHand: 5, reserved: 3 });
  });

  test.each(['released', 'expired'] as const)('after it was %s is refused', (state) => {
    const known: Reservation = { ...held('a', { x: 2 }), state };
    const { answers, stock } = decideMoves(booksOf({ x: [5, 0] }, [known]), [
      reserve('a', { x: 2 }),
    ]);
    expect(told(answers)).toEqual([`reservation_${state}`]);
    expect(stock.size).toBe(0);
  });
});

describe('releasing', () => {
  test('gives back what is held, once, and for the next in line', () => {
    const decision = decideMoves(booksOf({ x: [2, 2] }, [held('a', { x: 2 })]), [
      reserve('b', { x: 1 }),
      { kind: 'release', id: 'a' },
      { kind: 'release', id: 'a' },
      reserve('c', { x: 2 }),
    ]);
    expect(told(decision.answers)).toEqual([
      'insufficient_stock',
      'released',
      'released',
      'reserved',
    ]);
    expect(decision.stock.get('x')).toMatchObject({ onHand: 2, reserved: 2 });
    expect(decision.moved).toMatchObject([{ id: 'a', state: 'released' }]);
  });

  test('before it was reserved keeps it from ever being', () => {
    const { answers } = decideMoves(booksOf({ x: [2, 0] }), [
      { kind: 'release', id: 'a' },
      reserve('a', { x: 1 }),
    ]);
    expect(told(answers)).toEqual(['released', 'reservation_released']);
  });

  test('does not touch the books it was given', () => {
    const books = booksOf({ x: [2, 2] }, [held('a', { x: 2 })]);
    decideMoves(books, [{ kind: 'release', id: 'a' }]);
    expect(books).toEqual(booksOf({ x: [2, 2] }, [held('a', { x: 2 })]));
  });

  test('by time does nothing to what was settled', () => {
    const settled = { ...held('a', { x: 2 }), state: 'deducted' as const };
    const { answers, stock } = decideMoves(booksOf({ x: [2, 0] }, [settled]), [
      { kind: 'expire', id: 'a' },
      { kind: 'expire', id: 'nobody' },
    ]);
    expect(told(answers)).toEqual(['deducted', 'reservation_not_found']);
    expect(stock.size).toBe(0);
  });
});

describe('deducting', () => {
  test('takes parts until nothing is held', () => {
    const decision = decideMoves(booksOf({ x: [5, 3], y: [1, 1] }, [held('a', { x: 3, y: 1 })]), [
      deduct('a', 's1', { x: 1 }),
      deduct('a', 's1', { x: 1 }),
      deduct('a', 's2', { x: 3 }),
      deduct('a', 's3'),
      deduct('a', 's4'),
    ]);
    expect(told(decision.answers)).toEqual([
      'reserved',
      'reserved',
      'exceeds_reservation',
      'deducted',
      'reservation_deducted',
    ]);
    expect(decision.stock.get('x')).toMatchObject({ onHand: 2, reserved: 0 });
    expect(decision.stock.get('y')).toMatchObject({ onHand: 0, reserved: 0 });
    expect(decision.deductions.map(({ id }) => id)).toEqual(['s1', 's3']);
  });

  test('gives back only the rest when it is released after a part', () => {
    const { stock, answers } = decideMoves(booksOf({ x: [5, 3] }, [held('a', { x: 3 })]), [
      deduct('a', 's1', { x: 1 }),
      { kind: 'release', id: 'a' },
    ]);
    expect(told(answers)).toEqual(['reserved', 'released']);
    expect(stock.get('x')).toMatchObject({ onHand: 4, reserved: 0 });
  });

  test('what is not held, or held by nobody, is refused', () => {
    const books = booksOf(
      { x: [5, 3], y: [5, 0] },
      [held('a', { x: 3 })],
      [{ id: 's0', reservationId: 'other', asked: 'all' }],
    );
    const { answers } = decideMoves(books, [
      deduct('a', 's1', { y: 1 }),
      deduct('a', 's0'),
      deduct('nobody', 's2'),
    ]);
    expect(told(answers)).toEqual([
      'exceeds_reservation',
      'deduction_differs',
      'reservation_not_found',
    ]);
  });

  test('leaves out what inventory never tracked', () => {
    const lenient = { ...held('a', { x: 1 }), allowUnknown: true };
    const { answers } = decideMoves(booksOf({ x: [5, 1] }, [lenient]), [
      deduct('a', 's1', { x: 1, z: 9 }),
    ]);
    expect(told(answers)).toEqual(['deducted']);
  });
});

test('the desk sets and adjusts, but never below what is held or above what can be counted', () => {
  const { answers, stock } = decideMoves(booksOf({ x: [5, 3] }), [
    { kind: 'set', sku: 'x', onHand: 2 },
    { kind: 'adjust', sku: 'x', by: -3 },
    { kind: 'adjust', sku: 'x', by: -2 },
    { kind: 'adjust', sku: 'x', by: MAX_ON_HAND },
    { kind: 'adjust', sku: 'z', by: 1 },
    { kind: 'set', sku: 'x', onHand: 3 },
  ]);
  expect(told(answers).map((one) => (one === stock.get('x')?.onHand ? 'on hand' : one))).toEqual([
    'below_reserved',
    'below_reserved',
    'on hand',
    'too_much_stock',
    'sku_not_found',
    'on hand',
  ]);
  expect(stock.get('x')?.changes).toEqual([{ kind: 'set', reservation_id: null, quantity: -2 }]);
});
