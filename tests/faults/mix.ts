/** A handful of orders that goes every way: paid, declined, failing, cancelled, unclear. */
import { SETTLED, type Shopper } from './harness/shopper.ts';

/** Places the handful at once and follows each to its end. */
export async function placeHandful(shopper: Shopper, timeoutMs = 60_000): Promise<void> {
  const settled = (id: string) => shopper.follow(id, SETTLED, timeoutMs);
  const walk = async (token: string, expect: readonly string[]) =>
    void (await settled((await shopper.place({ token, expect })).id));
  const walks = await Promise.allSettled([
    walk('tok_ok', ['CONFIRMED']),
    walk('tok_ok', ['CONFIRMED']),
    walk('tok_decline', ['PAYMENT_FAILED']),
    walk('tok_500', ['PAYMENT_FAILED']),
    walk('tok_reset_after_charge', ['CONFIRMED']),
    walk('tok_timeout_after_charge', ['CONFIRMED']),
    walk('tok_double_callback', ['CONFIRMED']),
    cancelAtOnce(shopper, 'tok_ok', timeoutMs),
    cancelAtOnce(shopper, 'tok_timeout_after_charge', timeoutMs),
    cancelWhenPaid(shopper, timeoutMs),
    checkOut(shopper, 'CONFIRMED', timeoutMs),
    checkOut(shopper, 'CONFIRMED', timeoutMs),
    checkOut(shopper, 'PAYMENT_FAILED', timeoutMs),
    cancelCheckout(shopper, timeoutMs),
  ]);
  for (const walked of walks) if (walked.status === 'rejected') throw walked.reason as Error;
}

async function cancelAtOnce(shopper: Shopper, token: string, ms: number): Promise<void> {
  const { id } = await shopper.place({ token });
  if ((await shopper.cancel(id)) !== 'refused') await shopper.follow(id, ['CANCELLED'], ms);
}

async function checkOut(
  shopper: Shopper,
  expect: 'CONFIRMED' | 'PAYMENT_FAILED',
  ms: number,
): Promise<void> {
  await shopper.follow((await shopper.checkOut(expect)).id, [expect], ms);
}

async function cancelCheckout(shopper: Shopper, ms: number): Promise<void> {
  const { id } = await shopper.checkOut('CONFIRMED');
  await shopper.cancel(id);
  await shopper.follow(id, ['CANCELLED'], ms);
}

async function cancelWhenPaid(shopper: Shopper, ms: number): Promise<void> {
  const { id } = await shopper.place();
  await shopper.follow(id, ['CONFIRMED'], ms);
  await shopper.cancel(id);
  await shopper.follow(id, ['CANCELLED'], ms);
}
