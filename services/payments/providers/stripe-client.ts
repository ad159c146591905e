/** The official SDK, and calls through it whose failures come back as data. */
import * as http from 'node:http';
import * as https from 'node:https';
import Stripe from 'stripe';
import { sleep } from '@waybill/kit/clock.ts';
import { refuseInTransaction } from '@waybill/kit/db.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { inSpan } from '@waybill/kit/telemetry.ts';
import { troubleOf, type Trouble } from './stripe-answers.ts';

export interface StripeClientOptions {
  readonly secretKey: string;
  /** Elsewhere than at Stripe: for tests against a double. */
  readonly apiUrl: string | undefined;
  readonly timeoutMs: number;
  readonly log: Logger;
}

/** Makes one call to Stripe: the answer, or what its absence means. */
export type Ask = <Value>(
  operation: string,
  call: (stripe: Stripe) => Promise<Value>,
) => Promise<{ readonly kind: 'answered'; readonly value: Value } | Trouble>;

export interface StripeClient {
  readonly ask: Ask;
  readonly close: () => Promise<void>;
}

export function openStripeClient(options: StripeClientOptions): StripeClient {
  const { secretKey, apiUrl, timeoutMs, log } = options;
  const url = new URL(apiUrl ?? 'https://api.stripe.com');
  const plain = url.protocol === 'http:';
  const agent = new (plain ? http : https).Agent({ keepAlive: true });
  const stripe = new Stripe(secretKey, {
    host: url.hostname,
    port: url.port === '' ? (plain ? 80 : 443) : Number(url.port),
    protocol: plain ? 'http' : 'https',
    httpAgent: agent,
    timeout: Math.ceil(timeoutMs),
    // The worker tries again, not the SDK. After a closed connection the SDK sends a call once
    // more all the same, half a second later and under the same idempotency key.
    maxNetworkRetries: 0,
    telemetry: false,
  });
  const ask: Ask = async (operation, call) => {
    refuseInTransaction('Stripe');
    const answered = new AbortController();
    try {
      const value = await inSpan(`${operation} stripe`, 'CLIENT', {}, () =>
        Promise.race([call(stripe), refuseLate(timeoutMs, answered.signal)]),
      );
      return { kind: 'answered', value };
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble.locked) log.error({ operation, reason: trouble.message }, 'Stripe is locked');
      return trouble;
    } finally {
      answered.abort();
    }
  };
  return { ask, close: async () => agent.destroy() };
}

/** The SDK's own limit is for silence on the line; this one is for the whole call. */
async function refuseLate(timeoutMs: number, answered: AbortSignal): Promise<never> {
  await sleep(timeoutMs, answered);
  throw new Stripe.errors.StripeConnectionError({
    detail: Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }),
  });
}
