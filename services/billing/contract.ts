/**
 * Billing: wallets, and the double-entry ledger behind them.
 *
 * A *wallet* is a person's account; *outside* and *revenue* are the accounts of everybody else's
 * cash and of the shop. A *transfer* moves an amount from one account to another, for ever; its two
 * *entries* are the same amount with opposite signs. A *charge* is what the payments service asks a
 * wallet for under a key, whose first answer is final.
 */
import {
  Amount,
  Identifier,
  Nullable,
  OneOf,
  Text,
  Timestamp,
  Type,
  type Static,
} from '@waybill/kit/schema.ts';

/** The published paths, and the ones that the first clients of this contract know. */
export const billingService = {
  name: 'billing',
  paths: ['/api/v1/billing', '/billing/account'],
} as const;

export const OPERATION_TYPES = ['DEPOSIT', 'WITHDRAW', 'PAYMENT', 'REFUND'] as const;
export type OperationType = (typeof OPERATION_TYPES)[number];

const closed = { additionalProperties: false };
const EXAMPLE_ID = '019a0000-0000-7000-8000-000000000001';
const Username = Identifier(128, { examples: ['ada'] });
/** Nine trillion: more is refused, so that every balance is exact as a JSON number. */
const MAX_MINOR = 900_000_000_000_000;

export const OperateWallet = Type.Object(
  {
    type: OneOf(OPERATION_TYPES, { examples: ['DEPOSIT'] }),
    amount: Type.Number({
      description: "Decimal amount in major units, above 0, with at most the currency's decimals.",
      examples: [150],
    }),
    account: Type.Object({ username: Username }, closed),
    orderId: Type.Optional(
      Nullable(
        Identifier(128, {
          description: 'The order that is paid or refunded; each is paid at most once.',
          examples: [EXAMPLE_ID],
        }),
      ),
    ),
  },
  { ...closed, title: 'OperateWallet' },
);
export type OperateWallet = Static<typeof OperateWallet>;

export const WalletOperation = Type.Object(
  {
    id: Type.String({ description: 'UUIDv7', examples: [EXAMPLE_ID] }),
    createdAt: Timestamp,
    type: OneOf(OPERATION_TYPES, { examples: ['DEPOSIT'] }),
    amount: Amount,
    orderId: Type.Union([Type.String(), Type.Null()], { examples: [null] }),
  },
  { title: 'WalletOperation', description: 'A transfer, as the wallet sees it.' },
);
export type WalletOperation = Static<typeof WalletOperation>;

export const NewWallet = Type.Object({ username: Username }, { ...closed, title: 'NewWallet' });
export type NewWallet = Static<typeof NewWallet>;

const wallet = {
  id: Type.String({ description: 'UUIDv7', examples: [EXAMPLE_ID] }),
  username: Type.String({ examples: ['ada'] }),
  balance: Type.Number({ description: 'Decimal amount in major units.', examples: [131] }),
};

export const Wallet = Type.Object(wallet, { title: 'Wallet', description: 'The wallet.' });
export type Wallet = Static<typeof Wallet>;

export const WalletStatement = Type.Object(
  {
    ...wallet,
    operations: Type.Array(WalletOperation, { description: 'Newest first.' }),
    nextCursor: Nullable(
      Type.String({
        description: 'Pass as cursor for older operations.',
        examples: ['MDE5YQ.c2lnbmF0dXJl'],
      }),
    ),
  },
  { title: 'WalletStatement', description: 'The wallet with its operations.' },
);
export type WalletStatement = Static<typeof WalletStatement>;

const whose = {
  username: Type.Optional(
    Identifier(128, { description: 'Whose wallet; default: the own.', examples: ['ada'] }),
  ),
};

export const WalletQuery = Type.Object(whose, closed);

export const StatementQuery = Type.Object(
  {
    ...whose,
    size: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 400, description: 'nextCursor of an earlier page' }),
    ),
  },
  closed,
);
export type StatementQuery = Static<typeof StatementQuery>;

/** What follows goes from service to service alone. */

export const Account = Type.Object({ id: Type.String(), username: Type.String() });
export const AccountPath = Type.Object({ username: Username }, closed);
export const AccountClosed = Type.Object({ closed: Type.Boolean() });

const key = Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$' });
const uuid = Type.String({
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
});
const money = {
  amount_minor: Type.Integer({ minimum: 1, maximum: MAX_MINOR }),
  currency: Type.String({ pattern: '^[A-Z]{3}$' }),
};

/** What a wallet is charged; the key is a function of order and purpose. */
export const ChargeRequest = Type.Object(
  { key, order_id: uuid, username: Username, ...money },
  closed,
);
export type ChargeRequest = Static<typeof ChargeRequest>;

export const ChargeQuery = Type.Object({ key }, closed);

export const RefundRequest = Type.Object({ key, reference: uuid, ...money }, closed);
export type RefundRequest = Static<typeof RefundRequest>;

/**
 * Why a wallet was not charged. `voided`: the key was given up before it was charged.
 * `already_charged`: the order was paid from a wallet under another key.
 */
export const DECLINE_CODES = [
  'insufficient_funds',
  'account_not_found',
  'currency_mismatch',
  'already_charged',
  'voided',
] as const;
export type DeclineCode = (typeof DECLINE_CODES)[number];

const Captured = Type.Object({
  kind: Type.Literal('captured'),
  reference: Type.String(),
  amount_minor: Type.Integer(),
});
const Declined = Type.Object({
  kind: Type.Literal('declined'),
  code: OneOf(DECLINE_CODES),
  message: Text(200),
});
const None = Type.Object({ kind: Type.Literal('none') });
const Voided = Type.Object({ kind: Type.Literal('voided') });
const Refunded = Type.Object({ kind: Type.Literal('refunded'), reference: Type.String() });

/** A key's answer is final: whoever asks again, whenever, gets the same one. */
export type ChargeAnswer = Static<typeof Captured> | Static<typeof Declined>;
export type FoundCharge = ChargeAnswer | Static<typeof None>;
/** `voided`: nothing was charged under the key, and nothing ever will be. */
export type VoidAnswer = Static<typeof Captured> | Static<typeof Voided>;
export type RefundAnswer = Static<typeof Refunded>;

export const ChargeReply = Type.Union([Captured, Declined]);
export const FoundReply = Type.Union([Captured, Declined, None]);
export const VoidReply = Type.Union([Captured, Voided]);
export const RefundReply = Refunded;

/** Events of an account (its id is the key). */
export interface AccountEvent {
  readonly account_id: string;
  readonly username: string;
  readonly currency: string;
}

/** A transfer that people or programs asked for; what payments asked for, payments tells. */
export interface TransferPosted {
  readonly transfer_id: string;
  readonly account_id: string;
  readonly type: OperationType;
  readonly amount_minor: number;
  readonly currency: string;
  readonly order_id: string | null;
}

export type BillingEventType = 'ACCOUNT_OPENED' | 'ACCOUNT_CLOSED' | 'TRANSFER_POSTED';
