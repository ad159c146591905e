/** What services ask: accounts for auth, charges by key for payments. */
import { route, type Route } from '@waybill/kit/route.ts';
import { Identifier, Text, Type } from '@waybill/kit/schema.ts';
import {
  charge,
  closeAccount,
  findCharge,
  openAccount,
  refund,
  voidCharge,
  type BillingContext,
} from './commands.ts';
import {
  Account,
  AccountClosed,
  AccountPath,
  ChargeQuery,
  ChargeReply,
  ChargeRequest,
  FoundReply,
  NewWallet,
  RefundReply,
  RefundRequest,
  VoidReply,
} from './contract.ts';
import { findWallet } from './store.ts';
import { readStatement } from './views.ts';

const EXPORT_PAGE = 1000;
const internal = { access: ['service'], internal: true } as const;
const reused = { '409 key_reused': 'the key stands for something else' };

export const internalRoutes: readonly Route<BillingContext>[] = [
  route({
    ...internal,
    method: 'POST',
    path: '/internal/billing/accounts',
    summary: 'The wallet of a person, opened where there is none.',
    body: NewWallet,
    replies: { 200: Account, 201: Account },
    async handle({ body }, context: BillingContext) {
      const { opened, account } = await openAccount(context, body.username);
      return { status: opened ? 201 : 200, body: account };
    },
  }),
  route({
    ...internal,
    method: 'DELETE',
    path: '/internal/billing/accounts/{username}',
    summary: 'Closes a wallet without entries; the same when there is none.',
    params: AccountPath,
    replies: { 200: AccountClosed },
    refusals: { '409 account_in_use': 'it has entries' },
    async handle({ params }, context: BillingContext) {
      return { status: 200, body: { closed: await closeAccount(context, params.username) } };
    },
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/billing/charges',
    summary: "Charges a wallet for an order. A key's answer is final.",
    body: ChargeRequest,
    replies: { 200: ChargeReply },
    refusals: reused,
    async handle({ body }, context: BillingContext) {
      return { status: 200, body: await charge(context, body) };
    },
  }),
  route({
    ...internal,
    method: 'GET',
    path: '/internal/billing/charges',
    summary: 'What became of a key.',
    query: ChargeQuery,
    replies: { 200: FoundReply },
    async handle({ query }, context: BillingContext) {
      return { status: 200, body: await findCharge(context, query.key) };
    },
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/billing/charges/void',
    summary: 'Makes sure that the key charges nothing from now on, unless it did already.',
    body: ChargeRequest,
    replies: { 200: VoidReply },
    refusals: reused,
    async handle({ body }, context: BillingContext) {
      return { status: 200, body: await voidCharge(context, body) };
    },
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/billing/refunds',
    summary: 'Pays a charge back, in whole or in part, once for each key.',
    body: RefundRequest,
    replies: { 200: RefundReply },
    refusals: {
      ...reused,
      '404 charge_not_found': 'the reference is of no charge',
      '409 currency_mismatch': 'the charge is in another currency',
      '409 refund_exceeds_capture': 'not so much was captured, or it was refunded already',
      '409 balance_too_large': 'the balance would become too large',
    },
    async handle({ body }, context: BillingContext) {
      return { status: 200, body: await refund(context, body) };
    },
  }),
  route({
    ...internal,
    method: 'GET',
    path: '/internal/billing/export',
    summary: "A person's wallet with its operations, for their export.",
    query: Type.Object(
      { username: Identifier(128), after: Type.Optional(Text(400)) },
      { additionalProperties: false },
    ),
    replies: { 200: { description: 'A page.' } },
    async handle({ identity, query }, context: BillingContext) {
      const username = query.username.normalize('NFC');
      if ((await findWallet(context.db, username)) === undefined)
        return { status: 200, body: { items: [], next: null } };
      const { nextCursor: next, ...statement } = await readStatement(
        context.db,
        context.key('cursor'),
        identity,
        {
          username,
          size: EXPORT_PAGE,
          ...(query.after === undefined ? {} : { cursor: query.after }),
        },
      );
      return { status: 200, body: { items: [statement], next } };
    },
  }),
];
