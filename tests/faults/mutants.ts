/**
 * Planted bugs, as data: each is a classic of the trade, written into a copy of the sources, and a
 * hunt that must catch it. A harness that misses one of them proves nothing by finding nothing.
 */
import { LEDGER_MUTANTS } from './ledger-mutants.ts';
import type { Mutant } from './mutant.ts';
import { ORDER_MUTANTS } from './order-mutants.ts';
import { PAYMENT_MUTANTS } from './payment-mutants.ts';

export const MUTANTS: readonly Mutant[] = [...ORDER_MUTANTS, ...PAYMENT_MUTANTS, ...LEDGER_MUTANTS];
