/**
 * Money: integer minor units and an ISO 4217 code inside, decimal major units on the wire.
 * Never a float in between: the decimal text of the number is read digit by digit.
 */

/** Every amount stays below this, so that it is exact as a JSON number and as a bigint column. */
export const MAX_AMOUNT_MINOR = 9_000_000_000_000_00n;

/**
 * ISO 4217's minor units where they are not two. Intl.NumberFormat knows how many decimals people
 * usually see, which is less: none for HUF, IDR or PKR, which all have cents.
 */
const UNUSUAL: Readonly<Record<number, string>> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF',
  3: 'BHD IQD JOD KWD LYD OMR TND',
};

const exponents = new Map<string, number>();

/** Decimals of a currency (USD 2, JPY 0, KWD 3), or undefined if the code is none in use. */
export function currencyExponent(currency: string): number | undefined {
  if (exponents.size === 0) {
    for (const code of Intl.supportedValuesOf('currency')) {
      // Codes with X are metals, baskets and tests, but for these five, which people pay with.
      if (code.startsWith('X') && !/^X(AF|CD|CG|OF|PF)$/.test(code)) continue;
      exponents.set(code, 2);
    }
    for (const [exponent, codes] of Object.entries(UNUSUAL))
      for (const code of codes.split(' '))
        if (exponents.has(code)) exponents.set(code, Number(exponent));
  }
  return exponents.get(currency);
}

/**
 * A wire amount as minor units, or a sentence saying why it is none.
 * `12.99` USD → 1299n; `0.005` USD → a refusal, never a rounding.
 */
export function toMinor(amount: number, exponent: number): bigint | string {
  if (!Number.isFinite(amount)) return 'must be a finite number';
  const text = String(amount);
  if (text.includes('e')) return 'is out of range';
  const dot = text.indexOf('.');
  const decimals = dot === -1 ? 0 : text.length - dot - 1;
  if (decimals > exponent) return `must have at most ${exponent} decimals`;
  const digits = dot === -1 ? text : text.slice(0, dot) + text.slice(dot + 1);
  const minor = BigInt(digits) * 10n ** BigInt(exponent - decimals);
  const size = minor < 0n ? -minor : minor;
  return size > MAX_AMOUNT_MINOR ? 'is out of range' : minor;
}

const SCALES = [1, 10, 100, 1000, 10_000];

/** Minor units as the wire's decimal number. Exact below 2^53 minor units. */
export function toMajor(minor: bigint | number, exponent: number): number {
  return Number(minor) / (SCALES[exponent] ?? 10 ** exponent);
}
