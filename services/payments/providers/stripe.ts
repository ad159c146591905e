import type { PaymentProvider } from '../provider.ts';

export interface StripeOptions {
  readonly secretKey: string;
  readonly webhookSecret: string;
  readonly apiUrl: string | undefined;
  readonly timeoutMs: number;
}

export function openStripeProvider(_options: StripeOptions): PaymentProvider {
  throw new Error('not built yet');
}
