/** The invariants of the platform, as data. The statements read the relations of relations.ts. */
import type { Check } from './check.ts';
import { clientChecks } from './client-checks.ts';
import { dispatchChecks } from './dispatch-checks.ts';
import { consumerChecks, logChecks, taskChecks } from './event-checks.ts';
import { ledgerChecks, walletChecks } from './ledger-checks.ts';
import { noticeChecks } from './notice-checks.ts';
import { orderChecks } from './order-checks.ts';
import { journalChecks, paymentChecks } from './payment-checks.ts';
import { petChecks, stockChecks } from './pet-checks.ts';
import { userChecks } from './user-checks.ts';

export const checks: readonly Check[] = [
  ...orderChecks,
  ...paymentChecks,
  ...journalChecks,
  ...ledgerChecks,
  ...walletChecks,
  ...petChecks,
  ...stockChecks,
  ...dispatchChecks,
  ...userChecks,
  ...noticeChecks,
  ...logChecks,
  ...consumerChecks,
  ...taskChecks,
  ...clientChecks,
];
