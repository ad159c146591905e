import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Refusal } from '@waybill/kit/errors.ts';
import { ORDER_STATUSES, type CreateOrder, type OrderStatus } from './contract.ts';
import {
  afterCancel,
  afterCarrying,
  afterPayment,
  afterStep,
  mayMove,
  petstoreStatusOf,
  priceOrder,
  shipDateOf,
  TRANSITIONS,
  type CarryingNews,
  type OrderState,
  type PaymentNews,
  type Step,
} from './rules.ts';

const accepted: OrderState = {
  status: 'PENDING',
  paymentStatus: 'PENDING',
  cancelRequested: false,
};
const NEWS = ['STARTED', 'ATTEMPT_FAILED', 'CAPTURED', 'FAILED', 'VOIDED', 'REFUNDED'] as const;
type Happening = PaymentNews | 'CANCEL';

/** What a happening makes of an order; a refusal changes nothing. */
function after(order: OrderState, happening: Happening): OrderState {
  try {
    const change = happening === 'CANCEL' ? afterCancel(order) : afterPayment(order, happening);
    return change ?? order;
  } catch (error) {
    if (error instanceof Refusal && error.code === 'not_cancellable') return order;
    throw error;
  }
}

/** A payment's news in an order that payments can tell them, with cancellations anywhere. */
const story = fc
  .record({
    drop: fc.constantFrom<readonly PaymentNews[]>([], ['VOIDED']),
    failures: fc.nat({ max: 3 }),
    end: fc.constantFrom<readonly PaymentNews[]>(
      ['CAPTURED'],
      ['CAPTURED', 'REFUNDED'],
      ['FAILED'],
      ['FAILED', 'CAPTURED', 'REFUNDED'],
      ['VOIDED'],
      ['VOIDED', 'CAPTURED', 'REFUNDED'],
    ),
    cancels: fc.array(fc.nat({ max: 8 }), { maxLength: 3 }),
  })
  .map(({ drop, failures, end, cancels }) => {
    const news: Happening[] =
      drop.length > 0
        ? [...drop]
        : ['STARTED', ...Array<PaymentNews>(failures).fill('ATTEMPT_FAILED'), ...end];
    for (const at of cancels) news.splice(Math.min(at, news.length), 0, 'CANCEL');
    return news;
  });

describe('the lifecycle', () => {
  test('is the table of the specification', () => {
    expect(Object.keys(TRANSITIONS)).toEqual([...ORDER_STATUSES]);
    const moves = ORDER_STATUSES.flatMap((from) =>
      ORDER_STATUSES.filter((to) => mayMove(from, to)).map((to) => `${from} ${to}`),
    );
    expect(moves).toHaveLength(18);
    expect(mayMove('PENDING', 'PAYMENT_FAILED')).toBe(false);
    expect(mayMove('CANCELLED', 'PENDING')).toBe(false);
  });

  test('no story of a payment and its cancellations leaves it', () => {
    fc.assert(
      fc.property(story, (happenings) => {
        let order = accepted;
        for (const happening of happenings) {
          const next = after(order, happening);
          if (next.status !== order.status)
            expect(mayMove(order.status, next.status), `${order.status} → ${next.status}`).toBe(
              true,
            );
          order = next;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('no news at all, in any order, moves an order where it may not go', () => {
    const status = fc.constantFrom(...ORDER_STATUSES);
    const anything = fc.array(fc.constantFrom<Happening[]>(...NEWS, 'CANCEL'), { maxLength: 10 });
    fc.assert(
      fc.property(status, fc.boolean(), anything, (from, cancelRequested, happenings) => {
        let order: OrderState = { status: from, paymentStatus: 'PENDING', cancelRequested };
        for (const happening of happenings) {
          // A failure of what was never begun is no news but a bug, and is thrown.
          if (order.status === 'PENDING' && happening === 'FAILED') {
            expect(() => afterPayment(order, 'FAILED')).toThrow(/never begun/);
            continue;
          }
          const next = after(order, happening);
          if (next.status !== order.status) expect(mayMove(order.status, next.status)).toBe(true);
          order = next;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a cancelled order is never confirmed, and a confirmed one was captured', () => {
    fc.assert(
      fc.property(story, (happenings) => {
        let order = accepted;
        let cancelled = false;
        for (const happening of happenings) {
          order = after(order, happening);
          cancelled ||= order.status === 'CANCELLED';
          if (cancelled) expect(order.status).toBe('CANCELLED');
          if (order.status === 'CONFIRMED')
            expect(['CAPTURED', 'REFUNDED']).toContain(order.paymentStatus);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a cancellation', () => {
  const cancel = (status: OrderStatus) => afterCancel({ ...accepted, status });

  test.each(['PENDING', 'CONFIRMED', 'IN_FULFILLMENT'] as const)(
    'ends a %s order at once',
    (status) => {
      expect(cancel(status)).toMatchObject({ status: 'CANCELLED', event: 'ORDER_CANCELLED' });
    },
  );

  test('is recorded while a charge is under way, once', () => {
    const change = cancel('PAYMENT_PROCESSING');
    expect(change).toMatchObject({
      status: 'PAYMENT_PROCESSING',
      cancelRequested: true,
      event: 'ORDER_CANCEL_REQUESTED',
    });
    expect(afterCancel(change!)).toBeUndefined();
  });

  test.each(['PAYMENT_FAILED', 'SHIPPED', 'DELIVERED', 'COMPLETED', 'RETURNED'] as const)(
    'is refused for a %s order',
    (status) => {
      expect(() => cancel(status)).toThrow(
        expect.objectContaining({ status: 409, code: 'not_cancellable' }),
      );
    },
  );

  test('changes nothing the second time', () => {
    expect(cancel('CANCELLED')).toBeUndefined();
  });
});

describe('a price', () => {
  const exponent = { USD: 2, JPY: 0, KWD: 3 } as const;
  const currency = fc.constantFrom('USD', 'JPY', 'KWD');
  /** Minor units as decimal text: the sum below never sees a float. */
  const decimal = (minor: number, digits: number) => {
    const padded = String(minor).padStart(digits + 1, '0');
    return digits === 0 ? padded : `${padded.slice(0, -digits)}.${padded.slice(-digits)}`;
  };
  const lines = fc.array(
    fc.record({
      minor: fc.integer({ min: 1, max: 1_000_000_00 }),
      quantity: fc.integer({ min: 1, max: 1000 }),
    }),
    { minLength: 1, maxLength: 20 },
  );
  const orderOf = (prices: readonly { price: number; quantity: number }[]): CreateOrder => ({
    customer_id: 'c',
    items: prices.map((line, index) => ({ item_id: `i${index}`, item_name: 'thing', ...line })),
  });

  test('is the exact sum of its lines', () => {
    fc.assert(
      fc.property(lines, currency, (wanted, code) => {
        const digits = exponent[code];
        const items = wanted.map(({ minor, quantity }) => ({
          price: Number(decimal(minor, digits)),
          quantity,
        }));
        const exact = wanted.reduce(
          (sum, line) => sum + BigInt(line.minor) * BigInt(line.quantity),
          0n,
        );
        const priced = priceOrder(orderOf(items), code);
        expect(BigInt(priced.totalMinor)).toBe(exact);
        expect(priced.items.map(({ unit_minor }) => unit_minor)).toEqual(
          wanted.map(({ minor }) => minor),
        );
      }),
      { numRuns: 1000 },
    );
  });

  test('adds 0.1 and 0.2 to 0.3', () => {
    const order = orderOf([
      { price: 0.1, quantity: 1 },
      { price: 0.2, quantity: 1 },
    ]);
    expect(priceOrder(order, 'USD').totalMinor).toBe(30);
  });

  const pointersOf = (order: CreateOrder, code = 'USD'): string[] => {
    try {
      priceOrder(order, code);
      return [];
    } catch (error) {
      return (error as Refusal).faults.map(({ pointer }) => pointer);
    }
  };

  test('with more decimals than the currency has is refused, every line named', () => {
    const order = orderOf([
      { price: 0.005, quantity: 1 },
      { price: 1, quantity: 1 },
      { price: 2.999, quantity: 1 },
    ]);
    expect(pointersOf(order)).toEqual(['/items/0/price', '/items/2/price']);
    expect(pointersOf(orderOf([{ price: 1.5, quantity: 1 }]), 'JPY')).toEqual(['/items/0/price']);
  });

  test('of lines that together overflow is refused', () => {
    const line = { price: 1_000_000_000, quantity: 1_000_000 };
    expect(pointersOf(orderOf([line, line]))).toEqual(['/items']);
  });

  test.each(['eur', 'XXX', 'ZZZ', 'DEM'])('in %s is refused', (code) => {
    expect(pointersOf(orderOf([{ price: 1, quantity: 1 }]), code)).toEqual(['/currency']);
  });

  test('keeps texts as they came and writes identifiers in one way', () => {
    const order = orderOf([{ price: 1, quantity: 1 }]);
    const twin = { ...order.items[0]!, item_id: 'cafe\u0301', item_name: 'Cafe\u0301 \u{1F600}' };
    const [item] = priceOrder({ ...order, items: [twin] }, 'USD').items;
    expect(item).toMatchObject({ item_id: 'caf\u00e9', item_name: 'Cafe\u0301 \u{1F600}' });
  });
});

describe('the carrying of an order', () => {
  const paid = (status: OrderStatus): OrderState => ({
    status,
    paymentStatus: 'CAPTURED',
    cancelRequested: false,
  });
  const waysOf = (status: OrderStatus, news: CarryingNews) =>
    afterCarrying(paid(status), 'UNFULFILLED', news).map((change) => change.status);

  test.each([
    ['CONFIRMED', 'ASSIGNED', ['IN_FULFILLMENT']],
    ['CONFIRMED', 'PICKED_UP', ['IN_FULFILLMENT', 'SHIPPED']],
    ['CONFIRMED', 'DELIVERED', ['DELIVERED']],
    ['CONFIRMED', 'FAILED', []],
    ['IN_FULFILLMENT', 'ASSIGNED', []],
    ['IN_FULFILLMENT', 'PICKED_UP', ['SHIPPED']],
    ['IN_FULFILLMENT', 'DELIVERED', ['DELIVERED']],
    ['IN_FULFILLMENT', 'FAILED', []],
    ['SHIPPED', 'ASSIGNED', []],
    ['SHIPPED', 'PICKED_UP', []],
    ['SHIPPED', 'DELIVERED', ['DELIVERED']],
    ['SHIPPED', 'FAILED', ['IN_FULFILLMENT']],
  ] as const)('from %s, %s leads to %j', (status, news, steps) => {
    expect(waysOf(status, news)).toEqual(steps);
  });

  test('never leaves the table, and changes nothing that has ended', () => {
    for (const status of ORDER_STATUSES)
      for (const news of ['ASSIGNED', 'PICKED_UP', 'DELIVERED', 'FAILED'] as const) {
        let from: OrderStatus = status;
        const steps = waysOf(status, news);
        for (const to of steps) {
          expect(from === to || mayMove(from, to), `${from} to ${to}`).toBe(true);
          from = to;
        }
        if (/DELIVERED|COMPLETED|RETURNED|CANCELLED|FAILED/.test(status)) expect(steps).toEqual([]);
      }
  });

  test('is noted while the order is not paid, once each', () => {
    const order = { ...accepted, status: 'PAYMENT_PROCESSING' } as const;
    expect(afterCarrying(order, 'UNFULFILLED', 'PICKED_UP')).toEqual([
      { ...order, fulfillmentStatus: 'SHIPPED', event: 'ORDER_FULFILLMENT_UPDATED' },
    ]);
    expect(afterCarrying(order, 'SHIPPED', 'PICKED_UP')).toEqual([]);
  });
});

describe("the owner's steps", () => {
  const taken = (status: OrderStatus, step: Step, paymentStatus = 'NOT_REQUIRED' as const) => {
    try {
      return afterStep({ status, paymentStatus, cancelRequested: false }, step).status;
    } catch (error) {
      return (error as Refusal).code;
    }
  };

  test.each([
    ['approve', 'not_approvable', ['PENDING', 'PAYMENT_PROCESSING']],
    ['deliver', 'not_deliverable', ['CONFIRMED', 'IN_FULFILLMENT', 'SHIPPED']],
    ['complete', 'not_completable', ['CONFIRMED', 'DELIVERED']],
  ] as const)('%s where the table lets them, and nowhere else', (step, refusal, from) => {
    for (const status of ORDER_STATUSES) {
      const became = taken(status, step);
      if ((from as readonly OrderStatus[]).includes(status))
        expect(mayMove(status, became as OrderStatus)).toBe(true);
      else expect(became, status).toBe(refusal);
    }
  });

  test('do not approve what has something to pay', () => {
    const unpaid: OrderState = { ...accepted, paymentStatus: 'PENDING' };
    expect(() => afterStep(unpaid, 'approve')).toThrow(/confirmed by its payment/);
    const placed: OrderState = { ...accepted, paymentStatus: 'NOT_REQUIRED', status: 'CONFIRMED' };
    expect(() => afterStep(placed, 'approve')).toThrow(/CONFIRMED cannot be approved/);
  });

  test('a delivery is told of the goods too', () => {
    const confirmed: OrderState = { ...accepted, status: 'CONFIRMED' };
    expect(afterStep(confirmed, 'deliver').fulfillmentStatus).toBe('DELIVERED');
    expect(afterStep(confirmed, 'complete').fulfillmentStatus).toBeUndefined();
  });
});

describe("the petstore's words", () => {
  test('for every status', () => {
    const told = Object.groupBy(ORDER_STATUSES, (status) => {
      const { status: word, complete } = petstoreStatusOf(status);
      return complete ? `${word}, complete` : word;
    });
    expect(told).toEqual({
      placed: ['PENDING', 'PAYMENT_PROCESSING', 'PAYMENT_FAILED', 'CANCELLED'],
      approved: ['CONFIRMED', 'IN_FULFILLMENT', 'SHIPPED'],
      delivered: ['DELIVERED'],
      'delivered, complete': ['COMPLETED', 'RETURNED'],
    });
  });

  test('a date of shipping is a moment in UTC of years that people live in', () => {
    expect(shipDateOf(undefined)).toBeNull();
    expect(shipDateOf('2026-01-02T03:04:05+02:00')).toBe('2026-01-02T01:04:05.000Z');
    for (const odd of ['0000-01-01T00:00:00Z', '2026-12-31T23:59:60Z', '9999-12-31T23:59:59-01:00'])
      expect(() => shipDateOf(odd), odd).toThrow(Refusal);
  });
});
