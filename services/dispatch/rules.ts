/** What an assignment costs, in exact decimal arithmetic, and where it may go (pure functions). */
import { assert, Refusal } from '@waybill/kit/errors.ts';
import { currencyExponent, MAX_AMOUNT_MINOR } from '@waybill/kit/money.ts';
import type { AssignmentState, CostLine } from './contract.ts';

/** Where an assignment may go from where it is. */
export const ASSIGNMENT_TRANSITIONS = {
  ASSIGNED: ['ACQUIRED', 'CANCELLED', 'REPLACED'],
  ACQUIRED: ['PICKED_UP', 'DELIVERED', 'FAILED', 'REPLACED'],
  PICKED_UP: ['DELIVERED', 'FAILED', 'REPLACED'],
  DELIVERED: [],
  FAILED: [],
  CANCELLED: [],
  REPLACED: [],
} as const satisfies Record<AssignmentState, readonly AssignmentState[]>;

/** The states from which an assignment may go there. */
export function originsOf(to: AssignmentState): AssignmentState[] {
  return (Object.keys(ASSIGNMENT_TRANSITIONS) as AssignmentState[]).filter((from) =>
    (ASSIGNMENT_TRANSITIONS[from] as readonly AssignmentState[]).includes(to),
  );
}

/** What it is told to an executor who reports from a state that does not lead there. */
export function refuseProgress(from: AssignmentState, to: AssignmentState): Refusal {
  const is = from.toLowerCase().replace('_', ' ');
  const wanted = to.toLowerCase().replace('_', ' ');
  return new Refusal(409, 'wrong_state', `An assignment that is ${is} cannot become ${wanted}.`);
}

const FINISHED = new Set(['DELIVERED', 'COMPLETED', 'RETURNED', 'CANCELLED', 'PAYMENT_FAILED']);

/** Whether nobody will carry an order of this status any more. */
export function isFinished(orderStatus: string | null): boolean {
  return orderStatus !== null && FINISHED.has(orderStatus);
}

/** An exact decimal: `digits` × 10^-`scale`. */
export interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

const DECIMAL = /^(-?)(\d{1,40})(?:\.(\d{1,40}))?(?:e([+-]?\d{1,2}))?$/i;

/** Reads a number or a decimal text exactly; undefined when it is neither, or absurdly long. */
export function decimalOf(value: unknown): Decimal | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  const match = typeof text === 'string' ? DECIMAL.exec(text) : null;
  if (match === null) return undefined;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const scale = fraction.length - Number(exponent);
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

function rescale({ digits, scale }: Decimal, to: number): bigint {
  return digits * 10n ** BigInt(to - scale);
}

function add(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { digits: rescale(a, scale) + rescale(b, scale), scale };
}

function multiply(a: Decimal, b: Decimal): Decimal {
  return { digits: a.digits * b.digits, scale: a.scale + b.scale };
}

function negate({ digits, scale }: Decimal): Decimal {
  return { digits: -digits, scale };
}

function isLess(a: Decimal, b: Decimal): boolean {
  const scale = Math.max(a.scale, b.scale);
  return rescale(a, scale) < rescale(b, scale);
}

/** `4.40` is written 4.4: a number's shortest text. */
export function textOf({ digits, scale }: Decimal): string {
  const size = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
  const whole = size.slice(0, size.length - scale);
  const fraction = size.slice(size.length - scale).replace(/0+$/, '');
  return `${digits < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/** Rounds to so many decimals; what lies exactly between goes to the even one. */
export function roundHalfEven({ digits, scale }: Decimal, decimals: number): bigint {
  if (scale <= decimals) return rescale({ digits, scale }, decimals);
  const unit = 10n ** BigInt(scale - decimals);
  const size = digits < 0n ? -digits : digits;
  const low = size / unit;
  const twice = (size % unit) * 2n;
  const up = twice > unit || (twice === unit && low % 2n === 1n);
  const rounded = low + (up ? 1n : 0n);
  return digits < 0n ? -rounded : rounded;
}

export interface CostFactors {
  /** In major units, as are bonus and cost. */
  readonly base: Decimal;
  readonly coefficient: Decimal;
  /** The most that the coefficient may be; none when undefined. */
  readonly maximum: Decimal | undefined;
  readonly bonus: Decimal;
  readonly currency: string;
}

export interface Cost {
  readonly costMinor: number;
  readonly breakdown: readonly CostLine[];
}

const ONE: Decimal = { digits: 1n, scale: 0 };

/** base × min(coefficient, maximum) + bonus, rounded half even to the currency, line by line. */
export function costOf(factors: CostFactors): Cost {
  const { base, coefficient, maximum, bonus, currency } = factors;
  const exponent = currencyExponent(currency);
  assert(exponent !== undefined, `${currency} is a currency`);
  const capped = maximum !== undefined && isLess(maximum, coefficient) ? maximum : coefficient;
  const exact = add(multiply(base, capped), bonus);
  const costMinor = roundHalfEven(exact, exponent);
  if (costMinor < 0n || costMinor > MAX_AMOUNT_MINOR)
    throw new Refusal(422, 'cost_out_of_range', 'The cost of this order is out of range.');
  const rounding = add({ digits: costMinor, scale: exponent }, negate(exact));
  const least =
    maximum === undefined ? textOf(coefficient) : `min(${textOf(coefficient)}, ${textOf(maximum)})`;
  const line = (name: CostLine['line'], amount: Decimal, explanation: string): CostLine => ({
    line: name,
    amount: Number(textOf(amount)),
    explanation,
  });
  return {
    costMinor: Number(costMinor),
    breakdown: [
      line('base', base, 'base amount of the order'),
      line(
        'coefficient',
        multiply(base, add(capped, negate(ONE))),
        `${textOf(base)} × (${least} − 1)`,
      ),
      line('bonus', bonus, 'toll bonus'),
      ...(rounding.digits === 0n
        ? []
        : [line('rounding', rounding, `to ${exponent} decimals, half to even`)]),
    ],
  };
}
