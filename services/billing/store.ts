/** The ledger's functions (migrations/0001_ledger.ts), and what is read of its tables. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import type { ChargeRequest, OperationType, RefundRequest } from './contract.ts';
import type { KeptCharge } from './rules.ts';

export interface WalletRow {
  readonly id: string;
  readonly username: string;
  readonly currency: string;
  readonly balance_minor: bigint;
}

/** Opens a wallet, or finds the one that is there. */
export async function openAccount(tx: Tx, id: string, username: string, currency: string) {
  const rows = await tx.query<{ id: string; currency: string; opened: boolean }>(
    'select id, currency, opened from open_account($1, $2, $3)',
    [id, username, currency],
  );
  return only(rows);
}

/** Closes a wallet without entries; undefined when there is none. */
export async function closeAccount(tx: Tx, username: string) {
  const rows = await tx.query<{ outcome: string; id: string; currency: string }>(
    'select outcome, id, currency from close_account($1)',
    [username],
  );
  return rows[0];
}

export async function findWallet(db: Queryable, username: string): Promise<WalletRow | undefined> {
  const rows = await db.query<WalletRow>(
    'select id, username, currency, balance_minor from accounts where username = $1',
    [username],
  );
  return rows[0];
}

export interface Operation {
  readonly id: string;
  readonly type: OperationType;
  readonly username: string;
  readonly amountMinor: bigint;
  readonly currency: string;
  readonly orderId: string | null;
}

/** Posts a transfer. Unless the outcome is `posted` the caller must roll back. */
export async function postOperation(tx: Tx, operation: Operation) {
  const { id, type, username, amountMinor, currency, orderId } = operation;
  const rows = await tx.query<{ outcome: string; account_id: string; created_at: string }>(
    'select outcome, account_id, created_at from operate($1, $2, $3, $4, $5, $6)',
    [type, username, amountMinor, currency, orderId, id],
  );
  return only(rows);
}

export interface ChargeRow extends KeptCharge {
  readonly order_id: string;
  readonly username: string;
  readonly currency: string;
}

const COLUMNS = 'order_id, username, amount_minor, currency, state, decline_code, transfer_id';

/** Charges a wallet, or finds the key's earlier answer: one statement, one commit. */
export async function chargeWallet(db: Queryable, request: ChargeRequest, transferId: string) {
  const { key, order_id, username, amount_minor, currency } = request;
  const rows = await db.query<ChargeRow>(`select ${COLUMNS} from charge($1, $2, $3, $4, $5, $6)`, [
    key,
    order_id,
    username,
    amount_minor,
    currency,
    transferId,
  ]);
  return only(rows);
}

/** Makes sure that the key charges nothing from now on, or finds its earlier answer. */
export async function voidCharge(db: Queryable, request: ChargeRequest) {
  const { key, order_id, username, amount_minor, currency } = request;
  const rows = await db.query<ChargeRow>(`select ${COLUMNS} from void_charge($1, $2, $3, $4, $5)`, [
    key,
    order_id,
    username,
    amount_minor,
    currency,
  ]);
  return only(rows);
}

export async function findCharge(db: Queryable, key: string): Promise<ChargeRow | undefined> {
  const rows = await db.query<ChargeRow>(`select ${COLUMNS} from charges where key = $1`, [key]);
  return rows[0];
}

/** Refunds a charge, or finds the refund that its key stands for. */
export async function refundCharge(db: Queryable, request: RefundRequest, transferId: string) {
  const { key, reference, amount_minor, currency } = request;
  const rows = await db.query<{ outcome: string; reference: string | null }>(
    'select outcome, reference from refund_charge($1, $2, $3, $4, $5)',
    [key, reference, amount_minor, currency, transferId],
  );
  return only(rows);
}

function only<R>(rows: readonly R[]): R {
  const [row] = rows;
  if (row === undefined) throw new Error('a function of the ledger answered nothing');
  return row;
}
