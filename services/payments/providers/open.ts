/** Which provider PAYMENT_PROVIDER names. A further one is one file and one line here. */
import type { ServiceContext } from '@waybill/kit/service.ts';
import { providerOf, type PaymentsSettings } from '../context.ts';
import type { PaymentProvider } from '../provider.ts';

type Open = (base: ServiceContext<PaymentsSettings>) => Promise<PaymentProvider>;

const providers: Readonly<Record<'sandbox' | 'stripe', Open>> = {
  sandbox: async ({ settings, key }) =>
    (await import('./sandbox.ts')).openSandboxProvider({
      url: settings.sandboxUrl as string,
      timeoutMs: settings.timeoutSeconds * 1000,
      concurrency: settings.concurrency,
      callbackSecret: settings.sandboxCallbackSecret ?? key('sandbox-callback').toString('hex'),
    }),
  stripe: async ({ settings }) =>
    (await import('./stripe.ts')).openStripeProvider({
      secretKey: settings.stripeSecretKey as string,
      webhookSecret: settings.stripeWebhookSecret as string,
      apiUrl: settings.stripeApiUrl,
      timeoutMs: settings.timeoutSeconds * 1000,
    }),
};

export function openProvider(base: ServiceContext<PaymentsSettings>): Promise<PaymentProvider> {
  return providers[providerOf(base.settings)](base);
}
