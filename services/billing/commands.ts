/** What can be done with wallets: open, close, operate; charge, void and refund for payments. */
import type { Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { failpoint } from '@waybill/kit/failpoints.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import { newId } from '@waybill/kit/ids.ts';
import type { Json } from '@waybill/kit/json.ts';
import { toMajor } from '@waybill/kit/money.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import { counter } from '@waybill/kit/telemetry.ts';
import type {
  AccountEvent,
  BillingEventType,
  ChargeAnswer,
  ChargeRequest,
  FoundCharge,
  OperateWallet,
  RefundAnswer,
  RefundRequest,
  TransferPosted,
  VoidAnswer,
  Wallet,
  WalletOperation,
} from './contract.ts';
import {
  amountOf,
  answerOf,
  exponentOf,
  isOwnersOperation,
  refusalOf,
  voidAnswerOf,
} from './rules.ts';
import { mayDeposit, type BillingSettings } from './settings.ts';
import * as store from './store.ts';

export type BillingContext = ServiceContext<BillingSettings>;

const operations = counter('waybill_billing_operations_total', 'Transfers asked for', ['type']);
const charges = counter('waybill_billing_charges_total', 'Charges of wallets', ['outcome']);

/** An answer as JSON text: a repeat gets the same bytes. */
export interface Answered {
  readonly status: number;
  readonly body: string;
  readonly replayed: boolean;
}

/** Moves money into or out of a wallet. */
export async function operateWallet(
  context: BillingContext,
  identity: Identity,
  request: OperateWallet,
  idempotency: IdempotencyKey | undefined,
): Promise<Answered> {
  const { currency } = context.settings;
  const { type, amount } = request;
  const amountMinor = amountOf(amount, currency);
  const username = request.account.username.normalize('NFC');
  refuseForeign(context, identity, type, username);
  const orderId = request.orderId?.normalize('NFC') ?? null;
  const operation = { id: newId(), type, username, amountMinor, currency, orderId };
  return answerOnce(context, idempotency, 200, async (tx) => {
    const posted = await store.postOperation(tx, operation);
    if (posted.outcome !== 'posted') throw refusalOf(posted.outcome);
    const event: TransferPosted = {
      transfer_id: operation.id,
      account_id: posted.account_id,
      type,
      amount_minor: Number(amountMinor),
      currency,
      order_id: orderId,
    };
    await tell(tx, 'TRANSFER_POSTED', operation.id, 1, event);
    tx.onCommit(() => operations.inc({ type }));
    const answer: WalletOperation = {
      id: operation.id,
      createdAt: posted.created_at,
      type,
      amount: toMajor(amountMinor, exponentOf(currency)),
      orderId,
    };
    return answer;
  });
}

/** Opens a wallet that must not be there yet. */
export function openNewWallet(
  context: BillingContext,
  username: string,
  idempotency: IdempotencyKey | undefined,
): Promise<Answered> {
  const owner = username.normalize('NFC');
  return answerOnce(context, idempotency, 201, async (tx) => {
    const { id, opened } = await open(tx, owner, context.settings.currency);
    if (!opened) throw new Refusal(409, 'account_exists', 'The account is there already.');
    const answer: Wallet = { id, username: owner, balance: 0 };
    return answer;
  });
}

/** Opens the wallet of a person who registers; the same again when it is there. */
export async function openAccount({ db, settings }: BillingContext, username: string) {
  const owner = username.normalize('NFC');
  const { id, opened } = await db.transaction((tx) => open(tx, owner, settings.currency));
  return { opened, account: { id, username: owner } };
}

/** Undoes a registration: closes a wallet that nothing was ever moved into. */
export async function closeAccount({ db }: BillingContext, username: string): Promise<boolean> {
  const owner = username.normalize('NFC');
  return db.transaction(async (tx) => {
    const closed = await store.closeAccount(tx, owner);
    if (closed === undefined) return false;
    if (closed.outcome !== 'closed')
      throw new Refusal(409, 'account_in_use', 'The account has entries.');
    const { id, currency } = closed;
    const event: AccountEvent = { account_id: id, username: owner, currency };
    await tell(tx, 'ACCOUNT_CLOSED', id, 2, event);
    return true;
  });
}

/** Charges a wallet for an order, once for each key. */
export async function charge(
  { db }: BillingContext,
  request: ChargeRequest,
): Promise<ChargeAnswer> {
  const asked = normal(request);
  await failpoint('billing.charge.before');
  const row = await store.chargeWallet(db, asked, newId());
  await failpoint('billing.charge.after_commit');
  refuseOtherRequest(asked, row);
  const answer = answerOf(row);
  charges.inc({ outcome: answer.kind === 'captured' ? 'captured' : answer.code });
  return answer;
}

/** What became of a key. */
export async function findCharge({ db }: BillingContext, key: string): Promise<FoundCharge> {
  const row = await store.findCharge(db, key);
  return row === undefined ? { kind: 'none' } : answerOf(row);
}

/** Gives a key up, unless it was charged. */
export async function voidCharge(
  { db }: BillingContext,
  request: ChargeRequest,
): Promise<VoidAnswer> {
  const asked = normal(request);
  const row = await store.voidCharge(db, asked);
  refuseOtherRequest(asked, row);
  return voidAnswerOf(row);
}

/** Pays a charge back, in whole or in part. */
export async function refund(
  { db }: BillingContext,
  request: RefundRequest,
): Promise<RefundAnswer> {
  await failpoint('billing.refund.before');
  const { outcome, reference } = await store.refundCharge(db, request, newId());
  await failpoint('billing.refund.after_commit');
  if (outcome !== 'refunded') throw refusalOf(outcome);
  return { kind: 'refunded', reference: String(reference) };
}

/** Whether the caller acts for everybody: the desk looks, but moves nobody's money. */
function movesForOthers({ roles }: Identity): boolean {
  return roles.includes('admin') || roles.includes('service');
}

function refuseForeign(
  { settings, platform }: BillingContext,
  identity: Identity,
  type: OperateWallet['type'],
  username: string,
): void {
  if (movesForOthers(identity)) return;
  if (!isOwnersOperation(type))
    throw new Refusal(403, 'forbidden', `A ${type} is not yours to make.`);
  if (username !== identity.subject)
    throw new Refusal(403, 'foreign_account', 'The account must be your own.');
  if (type === 'DEPOSIT' && !mayDeposit(settings, platform))
    throw new Refusal(403, 'deposit_not_allowed', 'Wallets are not filled by hand here.');
}

async function open(tx: Tx, username: string, currency: string) {
  const account = await store.openAccount(tx, newId(), username, currency);
  const event: AccountEvent = { account_id: account.id, username, currency };
  if (account.opened) await tell(tx, 'ACCOUNT_OPENED', account.id, 1, event);
  return account;
}

function tell(tx: Tx, type: BillingEventType, key: string, version: number, data: object) {
  return emit(tx, 'billing', [{ key, version, type, data: data as Json }]);
}

/** Carries a command out once for its idempotency key, and keeps its answer. */
function answerOnce(
  { db }: BillingContext,
  idempotency: IdempotencyKey | undefined,
  status: number,
  work: (tx: Tx) => Promise<object>,
): Promise<Answered> {
  return db.transaction(async (tx) => {
    const kept = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (kept !== undefined) return { status: kept.status, body: kept.response, replayed: true };
    const body = JSON.stringify(await work(tx));
    if (idempotency !== undefined) await keepAnswer(tx, idempotency, { status, response: body });
    return { status, body, replayed: false };
  });
}

function normal(request: ChargeRequest): ChargeRequest {
  return { ...request, username: request.username.normalize('NFC') };
}

/** A key is a function of order and purpose, so that another request under it is a mistake. */
function refuseOtherRequest(asked: ChargeRequest, row: store.ChargeRow): void {
  const same =
    row.order_id === asked.order_id &&
    row.username === asked.username &&
    row.currency === asked.currency &&
    row.amount_minor === BigInt(asked.amount_minor);
  if (!same) throw refusalOf('key_reused');
}
