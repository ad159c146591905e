/** The wallet's part of the faultless day: a ledger as its own functions write it. */
import type pg from 'pg';

/** An order that was to be paid from the wallet. */
export interface WalletOrder {
  readonly id: string;
  readonly total: number;
  readonly outcome: 'captured' | 'refunded' | 'declined' | 'voided';
}

/** Whose wallet it is, and what is in it before any order. */
const OWNER = 'anna';
const FILLED = 15_000;

/** The transfer that paid an order. */
export function transferOf(orderId: string): string {
  return marked(orderId, 'a');
}

/** Writes the ledger with its events; another person's account was closed again. */
export async function writeWallets(client: pg.Client, orders: readonly WalletOrder[]) {
  await client.query(
    `select billing.open_account('01980000-0000-7000-8000-00000000a001', $1, 'USD'),
       billing.open_account('01980000-0000-7000-8000-00000000a002', 'gone', 'USD')`,
    [OWNER],
  );
  await client.query("select billing.close_account('gone')");
  await operate(client, 'DEPOSIT', FILLED, null, 'b001');
  await operate(client, 'WITHDRAW', 100, null, 'b002');
  await operate(client, 'PAYMENT', 40, null, 'b003');
  await operate(client, 'REFUND', 15, null, 'b004');
  await operate(client, 'PAYMENT', 60, 'paid at the desk', 'b005');
  await operate(client, 'REFUND', 10, 'paid at the desk', 'b006');
  for (const order of orders) await writeCharge(client, order);
  await client.query(
    `insert into billing.log (key, version, type, data)
     select id::text, 1, 'ACCOUNT_OPENED', '{}'::json from billing.accounts
       where kind in ('wallet', 'closed')
     union all select id::text, 2, 'ACCOUNT_CLOSED', '{}' from billing.accounts
       where kind = 'closed'
     union all select id::text, 1, 'TRANSFER_POSTED', '{}' from billing.transfers
       where key is null or key like 'operation:%'`,
  );
}

async function writeCharge(client: pg.Client, { id, total, outcome }: WalletOrder): Promise<void> {
  const request = [`${id}:charge`, id, OWNER, total, 'USD'];
  if (outcome === 'voided') {
    await client.query('select billing.void_charge($1, $2, $3, $4, $5)', request);
    return;
  }
  const transfer = transferOf(id);
  await client.query('select billing.charge($1, $2, $3, $4, $5, $6)', [...request, transfer]);
  if (outcome === 'refunded')
    await client.query("select billing.refund_charge($1, $2, $3, 'USD', $4)", [
      `${id}:refund`,
      transfer,
      total,
      marked(id, 'c'),
    ]);
}

function operate(
  client: pg.Client,
  type: string,
  amount: number,
  orderId: string | null,
  last: string,
) {
  const id = `01980000-0000-7000-8000-00000000${last}`;
  return client.query("select billing.operate($1, $2, $3, 'USD', $4, $5)", [
    type,
    OWNER,
    amount,
    orderId,
    id,
  ]);
}

function marked(id: string, mark: string): string {
  return `${id.slice(0, -4)}${mark}${id.slice(-3)}`;
}
