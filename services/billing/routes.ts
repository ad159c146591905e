/** Wallets for their owners, under the published path and the one of the first clients. */
import type { IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { openNewWallet, operateWallet, type Answered, type BillingContext } from './commands.ts';
import {
  NewWallet,
  OperateWallet,
  StatementQuery,
  Wallet,
  WalletOperation,
  WalletQuery,
  WalletStatement,
} from './contract.ts';
import { internalRoutes } from './internal-routes.ts';
import { readStatement, readWallet } from './views.ts';

const PUBLISHED = '/api/v1/billing/account';

const readers = ['customer', 'operator', 'admin', 'service'] as const;

const foreign = { '403 foreign_account': 'a customer named somebody else' };
const missing = { '404 account_not_found': 'there is no such account' };

export const routes: readonly Route<BillingContext>[] = [
  ...walletRoutes(PUBLISHED),
  ...walletRoutes('/billing/account'),
  ...internalRoutes,
];

function walletRoutes(base: string): readonly Route<BillingContext>[] {
  return [operate(base), openNew(base), balance(base), statement(base)];
}

/** Two paths for one thing are two operations in the document, and need two names. */
function named(base: string, name: string) {
  return base === PUBLISHED ? {} : { operationId: `${name}Alias` };
}

function operate(base: string) {
  return route({
    method: 'POST',
    path: `${base}/operate`,
    ...named(base, 'postBillingAccountOperate'),
    access: ['customer', 'admin', 'service'],
    summary: 'Move money into or out of a wallet.',
    description:
      'DEPOSIT and WITHDRAW are for the owner, PAYMENT and REFUND for services and admins.',
    body: OperateWallet,
    idempotent: true,
    replies: { 200: WalletOperation },
    refusals: {
      '400 invalid_amount': 'the amount is not above 0',
      '400 insufficient_funds': 'the balance is too small',
      '403 forbidden': 'also: a PAYMENT or REFUND of a customer',
      '403 deposit_not_allowed': 'customers deposit with the sandbox provider alone',
      ...foreign,
      ...missing,
      '409 already_charged': 'the order was paid from a wallet already',
      '409 order_not_paid': 'the order was not paid from this wallet',
      '409 refund_exceeds_capture': 'not so much was paid, or it was refunded already',
      '409 balance_too_large': 'the balance would become too large',
      '409 currency_mismatch': 'the account is in another currency than DEFAULT_CURRENCY',
      '422 invalid_body': 'also: more decimals than the currency has',
    },
    async handle({ identity, body, idempotency }, context: BillingContext) {
      const key = published(base, idempotency);
      return reply(await operateWallet(context, identity, body, key));
    },
  });
}

function openNew(base: string) {
  return route({
    method: 'POST',
    path: `${base}/new`,
    ...named(base, 'postBillingAccountNew'),
    access: ['admin', 'service'],
    summary: 'Open a wallet.',
    body: NewWallet,
    idempotent: true,
    replies: { 201: Wallet },
    refusals: { '409 account_exists': 'the person has one already' },
    async handle({ body, idempotency }, context: BillingContext) {
      const key = published(base, idempotency);
      const opened = await openNewWallet(context, body.username, key);
      const location = `${PUBLISHED}/balance?username=${encodeURIComponent(body.username)}`;
      return reply(opened, { location });
    },
  });
}

function balance(base: string) {
  return route({
    method: 'GET',
    path: `${base}/balance`,
    ...named(base, 'getBillingAccountBalance'),
    access: readers,
    summary: 'The balance of a wallet.',
    query: WalletQuery,
    replies: { 200: Wallet },
    refusals: { ...foreign, ...missing },
    async handle({ identity, query }, { db }: BillingContext) {
      return { status: 200, body: await readWallet(db, identity, query.username) };
    },
  });
}

function statement(base: string) {
  return route({
    method: 'GET',
    path: `${base}/full`,
    ...named(base, 'getBillingAccountFull'),
    access: readers,
    summary: 'A wallet with its operations, newest first.',
    query: StatementQuery,
    replies: { 200: WalletStatement },
    refusals: { ...foreign, ...missing, '422 invalid_cursor': 'the cursor belongs elsewhere' },
    async handle({ identity, query }, context: BillingContext) {
      const body = await readStatement(context.db, context.key('cursor'), identity, query);
      return { status: 200, body };
    },
  });
}

/** A repeat under the other of the two paths is a repeat all the same. */
function published(base: string, key: IdempotencyKey | undefined): IdempotencyKey | undefined {
  return key === undefined
    ? undefined
    : { ...key, scope: key.scope.replace(` ${base}/`, ` ${PUBLISHED}/`) };
}

function reply({ status, body, replayed }: Answered, headers: Record<string, string> = {}) {
  return {
    status,
    body,
    headers: replayed ? { ...headers, 'idempotent-replayed': 'true' } : headers,
  };
}
