/** What the payments service works with. */
import { breakerSettings } from '@waybill/kit/breaker.ts';
import {
  choice,
  decimal,
  integer,
  isLoopback,
  text,
  url,
  type Platform,
  type Values,
} from '@waybill/kit/config.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { gather } from '@waybill/kit/gather.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import { createProviderBreaker, type ProviderBreaker } from './breaker.ts';
import type { PaymentProvider } from './provider.ts';
import { openProvider } from './providers/open.ts';
import { openBegun, usualRate, type BegunPayment } from './store.ts';

export const settings = {
  provider: choice(
    {
      env: 'PAYMENT_PROVIDER',
      help: 'Who is charged: sandbox (default on loopback), stripe, or wallet (no cards at all).',
    },
    ['sandbox', 'stripe', 'wallet'],
  ),
  retryAttempts: integer(
    {
      env: 'PAYMENT_RETRY_ATTEMPTS',
      help: 'Answered faults before a payment fails.',
      fallback: '3',
    },
    { min: 1, max: 100 },
  ),
  retryDelaySeconds: decimal(
    {
      env: 'PAYMENT_RETRY_DELAY',
      help: 'Seconds before the second attempt; doubles.',
      fallback: '1',
    },
    { min: 0, max: 3600 },
  ),
  deadlineSeconds: integer(
    {
      env: 'PAYMENT_DEADLINE',
      help: 'Seconds that a payment waits out an outage before it fails.',
      fallback: '86400',
    },
    { min: 1, max: 31_536_000 },
  ),
  timeoutSeconds: decimal(
    {
      env: 'PAYMENT_TIMEOUT',
      help: 'Seconds that one call to the provider may take.',
      fallback: '10',
    },
    { min: 0.1, max: 120 },
  ),
  concurrency: integer(
    { env: 'PAYMENT_CONCURRENCY', help: 'Calls in flight at once in a process.', fallback: '64' },
    { min: 1, max: 1000 },
  ),
  ...breakerSettings,
  drainFactor: decimal(
    {
      env: 'PAYMENT_DRAIN_FACTOR',
      help: 'After an outage the backlog is charged at most this many times as fast as usual.',
      fallback: '1.5',
    },
    { min: 1, max: 1000 },
  ),
  sandboxUrl: url(
    { env: 'SANDBOX_URL', help: 'Where the sandbox gateway listens, if `serve` did not start it.' },
    ['http', 'https'],
  ),
  sandboxCallbackSecret: text({
    env: 'SANDBOX_CALLBACK_SECRET',
    help: "Signs the sandbox's callbacks; default: derived from WAYBILL_SECRET.",
    secret: true,
  }),
  stripeSecretKey: text({ env: 'STRIPE_SECRET_KEY', help: 'API key of Stripe.', secret: true }),
  stripeWebhookSecret: text({
    env: 'STRIPE_WEBHOOK_SECRET',
    help: "Secret of the Stripe webhook's signature.",
    secret: true,
  }),
  stripeApiUrl: url(
    { env: 'STRIPE_API_URL', help: 'Where the Stripe API is; for tests against a double.' },
    ['http', 'https'],
  ),
} as const;

export type PaymentsSettings = Values<typeof settings>;

export const CHARGE_WALLET = 'payments.charge_wallet';

/** Opens a payment with its first call written down; false when there was one already. */
export type OpenBegun = (payment: BegunPayment) => Promise<boolean>;

/** A provider with the breaker in front of it. */
export interface Processor {
  readonly provider: PaymentProvider;
  readonly breaker: ProviderBreaker;
  /** The longest wait between tries in an outage. */
  readonly outageCapMs: number;
}

export interface PaymentsContext extends ServiceContext<PaymentsSettings> {
  /** Who PAYMENT_PROVIDER names. */
  readonly card: Processor;
  /** The customers' wallets; the same as `card` where PAYMENT_PROVIDER is wallet. */
  readonly wallet: Processor;
  readonly openBegun: OpenBegun;
}

/** Who charges a payment: the row names its provider. */
export function processorOf(context: PaymentsContext, provider: string): Processor {
  return provider === 'wallet' ? context.wallet : context.card;
}

/** Payments a second after an outage, however few there usually are. */
const SLOWEST_DRAIN = 5;
/** The part of the calls that charge; the others ask what became of a call without an answer. */
const CHARGES = 0.95;

export async function createContext(
  base: ServiceContext<PaymentsSettings>,
): Promise<PaymentsContext> {
  const { settings: values } = base;
  const wallet = await openWallet(base);
  const name = providerOf(values);
  if (name === 'wallet') return { ...base, card: wallet, wallet, openBegun: createOpening(base) };
  const provider = await openProvider(name, base);
  const breaker = createProviderBreaker(provider.name, {
    ...values,
    drainRate: async () =>
      Math.max(SLOWEST_DRAIN, values.drainFactor * CHARGES * (await usualRate(base.db))),
  });
  const card: Processor = { provider, breaker, outageCapMs: 60_000 };
  return { ...base, card, wallet, openBegun: createOpening(base) };
}

/**
 * The wallet is a service of this installation: it is tried again every few seconds, so that an
 * order settles within a minute of its return, and nobody there has to be spared a backlog.
 */
async function openWallet(base: ServiceContext<PaymentsSettings>): Promise<Processor> {
  const { settings: values } = base;
  const breaker = createProviderBreaker('wallet', {
    ...values,
    recoverySeconds: Math.min(values.recoverySeconds, 5),
    drainRate: async () => 1_000_000,
  });
  return { provider: await openProvider('wallet', base), breaker, outageCapMs: 10_000 };
}

/** Checkouts that arrive while a statement is in flight share the next one (ADR 0005). */
function createOpening({ db, settings: values }: ServiceContext<PaymentsSettings>): OpenBegun {
  return gather(
    async (batch) => {
      const first = new Map(batch.map((payment) => [payment.order_id, payment]));
      const kind = CHARGE_WALLET;
      const opened = await openBegun(db, 'wallet', kind, values.deadlineSeconds, [
        ...first.values(),
      ]);
      return batch.map(
        (payment) => opened.has(payment.order_id) && first.get(payment.order_id) === payment,
      );
    },
    {
      maxBatch: 64,
      flights: 1,
      maxWaiting: 5000,
      overflow: () => new Outage('database', 'too many payments are waiting to be opened'),
    },
  );
}

/** Which provider is meant: the sandbox by default, but only where nobody else can reach it. */
function providerOf(values: PaymentsSettings): 'sandbox' | 'stripe' | 'wallet' {
  return values.provider ?? 'sandbox';
}

export function checkSettings(values: PaymentsSettings, platform: Platform): readonly string[] {
  const faults: string[] = [];
  if (values.provider === undefined && !isLoopback(platform.host))
    faults.push(
      `PAYMENT_PROVIDER: must be named when HOST is ${platform.host}: sandbox, stripe or wallet.`,
    );
  if (providerOf(values) === 'sandbox' && values.sandboxUrl === undefined)
    faults.push('SANDBOX_URL: is needed where `serve` does not start the sandbox itself.');
  if (providerOf(values) === 'stripe')
    for (const [env, value] of [
      ['STRIPE_SECRET_KEY', values.stripeSecretKey],
      ['STRIPE_WEBHOOK_SECRET', values.stripeWebhookSecret],
    ] as const)
      if (value === undefined) faults.push(`${env}: is needed with PAYMENT_PROVIDER=stripe.`);
  return faults;
}
