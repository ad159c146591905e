/** Effects that are there once, however often they are asked for under one Idempotency-Key. */
import type { Tx } from '@waybill/kit/db.ts';
import { claimKey, judgeKept, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import type { Reply } from '@waybill/kit/route.ts';
import type { AuthContext } from './context.ts';
import { readKey } from './views.ts';

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
  if (key !== undefined) {
    const row = await readKey(db, key.scope, key.key);
    if (row !== undefined) {
      judgeKept(key, row);
      return replay;
    }
  }
  const effect = await prepare();
  const twin = await db.transaction(async (tx) => {
    if (key !== undefined && (await claimKey(tx, key)) !== undefined) return true;
    await effect(tx);
    if (key !== undefined) await keepAnswer(tx, key, { status, response: '' });
    return false;
  });
  return twin ? replay : { status };
}
