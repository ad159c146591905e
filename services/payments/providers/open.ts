/** Which provider PAYMENT_PROVIDER names. A further one is one file and one line here. */
import type { ServiceContext } from '@waybill/kit/service.ts';
import type { PaymentProvider } from '../provider.ts';

/** What the providers are told by the service's settings. */
export interface ProviderSettings {
  readonly timeoutSeconds: number;
  readonly concurrency: number;
  readonly sandboxUrl: string | undefined;
  readonly sandboxCallbackSecret: string | undefined;
  readonly stripeSecretKey: string | undefined;
  readonly stripeWebhookSecret: string | undefined;
  readonly stripeApiUrl: string | undefined;
}

type Open = (base: ServiceContext<ProviderSettings>) => Promise<PaymentProvider>;

const providers = {
  sandbox: async (base) => {
    const { settings } = base;
    return (await import('./sandbox.ts')).openSandboxProvider({
      url: settings.sandboxUrl as string,
      timeoutMs: settings.timeoutSeconds * 1000,
      concurrency: settings.concurrency,
      callbackSecret:
        settings.sandboxCallbackSecret ?? base.key('sandbox-callback').toString('hex'),
    });
  },
  stripe: async ({ settings, log }) =>
    (await import('./stripe.ts')).openStripeProvider({
      secretKey: settings.stripeSecretKey as string,
      webhookSecret: settings.stripeWebhookSecret as string,
      apiUrl: settings.stripeApiUrl,
      timeoutMs: settings.timeoutSeconds * 1000,
      log,
    }),
  wallet: async ({ settings, client }) =>
    (await import('./wallet.ts')).openWalletProvider({
      client,
      timeoutMs: settings.timeoutSeconds * 1000,
    }),
} as const satisfies Record<string, Open>;

/** Opens the provider of that name; its settings were checked at start. */
export function openProvider(
  name: keyof typeof providers,
  base: ServiceContext<ProviderSettings>,
): Promise<PaymentProvider> {
  return providers[name](base);
}
