/** The Stripe provider in front of the double, as one test uses them. */
import { afterEach, vi } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import type { ChargeRequest } from '@waybill/payments/provider.ts';
import { openStripeProvider } from '@waybill/payments/providers/stripe.ts';
import {
  startStripeDouble,
  type Call,
  type DoubleOptions,
  type Fault,
} from '@waybill/sandbox/stripe/double.ts';

export const webhookSecret = 'whsec_of_the_tests';

const closings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0)) await close();
});

export interface StripeTestOptions extends Partial<DoubleOptions> {
  readonly timeoutMs?: number;
  /** The key that the provider uses; the double wants `sk_test_double` unless told otherwise. */
  readonly providerKey?: string;
}

/** A double and a provider that talks to it; both end with the test. */
export async function startStripe(options: StripeTestOptions = {}) {
  const secretKey = options.secretKey ?? 'sk_test_double';
  const double = await startStripeDouble({ ...options, secretKey, webhookSecret });
  const log = openLogger('silent');
  const errors = vi.spyOn(log, 'error');
  const provider = openStripeProvider({
    secretKey: options.providerKey ?? secretKey,
    webhookSecret,
    apiUrl: double.url,
    timeoutMs: options.timeoutMs ?? 5000,
    log,
  });
  let open = true;
  const closeDouble = async () => {
    if (open) await double.close();
    open = false;
  };
  closings.push(() => provider.close(), closeDouble);
  return { double, provider, errors, closeDouble };
}

/** A request to charge a new order. */
export function newCharge(changes: Partial<ChargeRequest> = {}): ChargeRequest {
  const orderId = newId();
  return {
    key: `${orderId}:charge`,
    orderId,
    customerId: 'ada',
    amountMinor: 1299,
    currency: 'USD',
    token: 'pm_card_visa',
    ...changes,
  };
}

/** A rule by which the first so many calls of an operation end in a fault. */
export function first(times: number, operation: Call['operation'], fault: Fault) {
  return (call: Call) => (call.operation === operation && call.count <= times ? fault : undefined);
}
