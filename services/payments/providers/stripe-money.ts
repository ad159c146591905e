/**
 * Amounts as Stripe wants them: mostly ISO 4217's minor units, with exceptions of its own
 * (docs.stripe.com/currencies). Money is never rounded: what cannot be said is not charged.
 */
import { currencyExponent } from '@waybill/kit/money.ts';

/** Charged in whole units. MGA is among them, although it has minor units. */
const WHOLE = 'BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF'.split(' ');
/** Charged in thousandths, of which the last digit must be 0. */
const THOUSANDTHS = 'BHD JOD KWD OMR TND'.split(' ');

/** All others in hundredths, also ISK and UGX, which have none. */
function stripeExponent(currency: string): number {
  if (WHOLE.includes(currency)) return 0;
  return THOUSANDTHS.includes(currency) ? 3 : 2;
}

/** How many of ISO's minor units one of Stripe's is, or the other way round when negative. */
function shiftOf(currency: string): number {
  return stripeExponent(currency) - (currencyExponent(currency) ?? 2);
}

/** ISO minor units as Stripe's; undefined when Stripe cannot charge exactly this. */
export function toStripeAmount(amountMinor: number, currency: string): number | undefined {
  const shift = shiftOf(currency);
  const amount = shift >= 0 ? amountMinor * 10 ** shift : amountMinor / 10 ** -shift;
  const step = stripeExponent(currency) === 3 ? 10 : 1;
  return Number.isSafeInteger(amount) && amount % step === 0 ? amount : undefined;
}

/** What Stripe says was charged, in ISO minor units. */
export function fromStripeAmount(amount: number, currency: string): number {
  const shift = shiftOf(currency);
  const amountMinor = shift >= 0 ? amount / 10 ** shift : amount * 10 ** -shift;
  if (!Number.isSafeInteger(amountMinor))
    throw new Error(`Stripe speaks of ${amount} ${currency}, which is no whole minor unit`);
  return amountMinor;
}
