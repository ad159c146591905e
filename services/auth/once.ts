/** Effects that are there once, however often they are asked for under one Idempotency-Key. */
import type { Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { claimKey, findKept, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import type { Reply } from '@waybill/kit/route.ts';
import type { AuthContext } from './context.ts';

/** What is to be committed, once everything that takes time has been done. */
export type Effect = (tx: Tx) => Promise<void>;

/** Prepares and commits an effect; a repeat is told the same, and prepares nothing. */
export async function once(
  { db }: AuthContext,
  key: IdempotencyKey | undefined,
  status: number,
  prepare: () => Promise<Effect>,
): Promise<Reply> {
  const replay = { status, headers: { 'idempotent-replayed': 'true' } };
  const isAnswered = async () => key !== undefined && (await findKept(db, key)) !== undefined;
  if (await isAnswered()) return replay;
  let effect: Effect;
  try {
    effect = await prepare();
  } catch (error) {
    // What a twin has done meanwhile may be why it cannot be done: the password is changed already.
    if (error instanceof Refusal && (await isAnswered())) return replay;
    throw error;
  }
  const twin = await db.transaction(async (tx) => {
    if (key !== undefined && (await claimKey(tx, key)) !== undefined) return true;
    await effect(tx);
    if (key !== undefined) await keepAnswer(tx, key, { status, response: '' });
    return false;
  });
  return twin ? replay : { status };
}
