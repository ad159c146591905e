/** A wallet and its operations, newest first. */
import type { Database } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { toMajor } from '@waybill/kit/money.ts';
import { cutPage, DEFAULT_PAGE_SIZE, decodeCursor, encodeCursor } from '@waybill/kit/paging.ts';
import type { OperationType, StatementQuery, Wallet, WalletStatement } from './contract.ts';
import { exponentOf, refusalOf } from './rules.ts';
import { findWallet, type WalletRow } from './store.ts';

/** The wallet that a caller asks for: their own, or for the desk anybody's. */
export async function readWallet(
  db: Database,
  identity: Identity,
  username: string | undefined,
): Promise<Wallet> {
  return renderWallet(await visibleWallet(db, identity, username));
}

interface OperationRow {
  readonly transfer_id: string;
  readonly type: OperationType;
  readonly amount_minor: bigint;
  readonly order_id: string | null;
  readonly created_at: string;
}

/** Above every id: where a statement begins. */
const LAST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** The wallet with a page of its operations. */
export async function readStatement(
  db: Database,
  cursorKey: Buffer,
  identity: Identity,
  query: StatementQuery,
): Promise<WalletStatement> {
  const wallet = await visibleWallet(db, identity, query.username);
  const scope = `statement ${wallet.id}`;
  const size = query.size ?? DEFAULT_PAGE_SIZE;
  const before = query.cursor === undefined ? LAST : decodeCursor(cursorKey, scope, query.cursor);
  const rows = await db.query<OperationRow>(
    `select transfer_id, type, amount_minor, order_id, created_at from entries
     where account_id = $1 and transfer_id < $2 order by transfer_id desc limit $3`,
    [wallet.id, before, size + 1],
  );
  const { shown, next } = cutPage(rows, size, (last) =>
    encodeCursor(cursorKey, scope, last.transfer_id),
  );
  const exponent = exponentOf(wallet.currency);
  return {
    ...renderWallet(wallet),
    operations: shown.map((row) => ({
      id: row.transfer_id,
      createdAt: row.created_at,
      type: row.type,
      amount: toMajor(row.amount_minor, exponent),
      orderId: row.order_id,
    })),
    nextCursor: next,
  };
}

async function visibleWallet(
  db: Database,
  identity: Identity,
  username: string | undefined,
): Promise<WalletRow> {
  const owner = username?.normalize('NFC') ?? identity.subject;
  if (owner !== identity.subject && !isStaff(identity))
    throw new Refusal(403, 'foreign_account', 'The account must be your own.');
  const wallet = await findWallet(db, owner);
  if (wallet === undefined) throw refusalOf('account_not_found');
  return wallet;
}

function renderWallet({ id, username, balance_minor, currency }: WalletRow): Wallet {
  return { id, username, balance: toMajor(balance_minor, exponentOf(currency)) };
}
