/** What an operation may be, and what the ledger's answers mean. */
import { assert, invalidBody, Refusal } from '@waybill/kit/errors.ts';
import { currencyExponent, toMinor } from '@waybill/kit/money.ts';
import {
  DECLINE_CODES,
  type ChargeAnswer,
  type DeclineCode,
  type OperationType,
  type VoidAnswer,
} from './contract.ts';

/** Operations on one's own wallet; the others are the shop's. */
export function isOwnersOperation(type: OperationType): boolean {
  return type === 'DEPOSIT' || type === 'WITHDRAW';
}

/** Minor units of an amount as it was sent. */
export function amountOf(amount: number, currency: string): bigint {
  if (!(amount > 0))
    throw new Refusal(400, 'invalid_amount', 'The amount must be above 0.', {
      faults: [{ pointer: '/amount', detail: 'must be above 0' }],
    });
  const minor = toMinor(amount, exponentOf(currency));
  if (typeof minor === 'string') throw invalidBody([{ pointer: '/amount', detail: minor }]);
  return minor;
}

export function exponentOf(currency: string): number {
  const exponent = currencyExponent(currency);
  assert(exponent !== undefined, `${currency} was a currency when the wallet was opened`);
  return exponent;
}

/** Why an operation on a wallet was not carried out: status and sentence by the ledger's word. */
const OPERATION_REFUSALS: Readonly<Record<string, readonly [status: number, detail: string]>> = {
  account_not_found: [404, 'There is no such account.'],
  insufficient_funds: [400, 'The balance is too small.'],
  currency_mismatch: [409, 'The account is in another currency.'],
  balance_too_large: [409, 'The balance would become too large.'],
  already_charged: [409, 'The order was paid from a wallet already.'],
  order_not_paid: [409, 'The order was not paid from this wallet.'],
  refund_exceeds_capture: [409, 'Not so much was paid, or it was refunded already.'],
  charge_not_found: [404, 'There is no such charge.'],
  key_reused: [409, 'The key was used for something else.'],
};

/** The refusal that the ledger's word means. */
export function refusalOf(outcome: string): Refusal {
  const [status, detail] = OPERATION_REFUSALS[outcome] ?? [];
  assert(status !== undefined && detail !== undefined, `the ledger answered "${outcome}"`);
  return new Refusal(status, outcome, detail);
}

/** A key's final answer, as the ledger keeps it. */
export interface KeptCharge {
  readonly state: 'captured' | 'declined' | 'voided';
  readonly decline_code: string | null;
  readonly transfer_id: string | null;
  readonly amount_minor: bigint;
}

const DECLINES: Readonly<Record<DeclineCode, string>> = {
  insufficient_funds: 'The balance is too small.',
  account_not_found: 'There is no such account.',
  currency_mismatch: 'The account is in another currency.',
  already_charged: 'The order was paid from a wallet already.',
  voided: 'The charge was given up before it was made.',
};

/** The answer to a charge, now and for ever. */
export function answerOf(kept: KeptCharge): ChargeAnswer {
  if (kept.state === 'captured')
    return {
      kind: 'captured',
      reference: String(kept.transfer_id),
      amount_minor: Number(kept.amount_minor),
    };
  const said = kept.state === 'voided' ? 'voided' : kept.decline_code;
  const code = DECLINE_CODES.find((known) => known === said);
  assert(code !== undefined, `a charge was declined as "${String(said)}"`);
  return { kind: 'declined', code, message: DECLINES[code] };
}

/** The answer to whoever gives a key up. A declined one never charges either. */
export function voidAnswerOf(kept: KeptCharge): VoidAnswer {
  const answer = answerOf(kept);
  return answer.kind === 'captured' ? answer : { kind: 'voided' };
}
