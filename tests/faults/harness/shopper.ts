/**
 * Clients as they should be: every change carries an Idempotency-Key, and what ended without a
 * clear answer is asked again with the same key until it has one.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { openCaller, type Caller, type CallerOptions } from './caller.ts';
import { openClientJournal, type ClientJournal } from './journal.ts';

export interface Order {
  readonly id: string;
  readonly status: string;
  readonly version: number;
  readonly payment_status: string;
  readonly payment_attempts: readonly {
    readonly attempt_number: number;
    readonly status: string;
    readonly error_message: string | null;
    readonly created_at: string;
  }[];
}

export interface Shopper {
  readonly journal: ClientJournal;
  /** What an order must have become when everything is at rest. */
  readonly expected: Map<string, readonly string[]>;
  /** Milliseconds that each accepted order took, with the moment it was sent. */
  readonly acceptances: readonly { readonly at: number; readonly ms: number }[];
  place(wish?: Wish): Promise<Order>;
  /** Orders and pays from a wallet that is full, or from an empty one. */
  checkOut(expect: 'CONFIRMED' | 'PAYMENT_FAILED'): Promise<Answered>;
  /** `refused` when it was too late. */
  cancel(id: string): Promise<'cancelled' | 'recorded' | 'refused'>;
  get(id: string): Promise<Order>;
  /** Reads the order until it has one of these states. */
  follow(id: string, states: readonly string[], timeoutMs?: number): Promise<Order>;
  close(): Promise<void>;
}

export interface Wish {
  readonly token?: string;
  /** What must come of it; `CONFIRMED` when left out. */
  readonly expect?: readonly string[];
}

export interface Answered {
  readonly id: string;
  readonly status: string;
  readonly ms: number;
}

export const SETTLED = ['CONFIRMED', 'PAYMENT_FAILED', 'CANCELLED'];

export interface ShopperOptions extends CallerOptions {
  readonly journalFile: string;
}

let shoppers = 0;

export function openShopper(options: ShopperOptions): Shopper {
  const journal = openClientJournal(options.journalFile);
  const expected = new Map<string, readonly string[]>();
  const acceptances: { at: number; ms: number }[] = [];
  const name = `${Date.now().toString(36)}-${shoppers++}`;
  const caller = openCaller(options, name, journal, (at, ms) => acceptances.push({ at, ms }));
  let serial = 0;

  const get = async (id: string) => {
    const path = `/api/v1/orders/${id}`;
    const reply = await caller.ask({ op: 'get', method: 'GET', path, orderId: id });
    if (reply.status !== 200) throw new Error(`reading ${id} was answered ${reply.status}`);
    return reply.body as Order;
  };

  const till = openTill(caller, name);
  const checkOut = async (expect: 'CONFIRMED' | 'PAYMENT_FAILED'): Promise<Answered> => {
    const answered = await till(expect, serial++);
    expected.set(answered.id, [expect]);
    return answered;
  };

  return {
    journal,
    expected,
    acceptances,
    async place({ token = 'tok_ok', expect = ['CONFIRMED'] } = {}) {
      const key = `${name}-${serial++}`;
      const body = requestOf(key, serial, token);
      const path = '/api/v1/orders';
      const reply = await caller.ask({ op: 'create', method: 'POST', path, body, key });
      if (reply.status !== 202) throw new Error(`an order was answered ${reply.status}`);
      const order = reply.body as Order;
      expected.set(order.id, expect);
      return order;
    },
    checkOut,
    async cancel(id) {
      const key = `${name}-${serial++}`;
      const path = `/api/v1/orders/${id}/cancel`;
      const body = { reason: 'changed my mind' };
      const call = { op: 'cancel', method: 'POST', path, body, key, orderId: id } as const;
      const reply = await caller.ask(call);
      if (reply.status === 409) return 'refused';
      if (reply.status >= 300) throw new Error(`cancelling ${id} was answered ${reply.status}`);
      expected.set(id, ['CANCELLED']);
      return reply.status === 200 ? 'cancelled' : 'recorded';
    },
    get,
    async follow(id, states, timeoutMs = 60_000) {
      const end = performance.now() + timeoutMs;
      for (let delay = 30; ; delay = Math.min(delay * 1.4, 1000)) {
        const order = await get(id);
        if (states.includes(order.status)) return order;
        if (performance.now() > end)
          throw new Error(`${id} is ${order.status}, not ${states.join(' or ')}`);
        await pause(delay);
      }
    },
    async close() {
      await caller.close();
      journal.close();
    },
  };
}

/** Checks out from one of two wallets: one that is full, and an empty one. */
function openTill(caller: Caller, name: string) {
  const rich = once(() => openWallet(caller, `${name}-rich`, 1_000_000));
  const poor = once(() => openWallet(caller, `${name}-poor`, 0));
  return async (expect: 'CONFIRMED' | 'PAYMENT_FAILED', serial: number): Promise<Answered> => {
    const username = expect === 'CONFIRMED' ? await rich() : await poor();
    const body = checkoutOf(username, serial);
    const key = `${name}-${serial}`;
    const call = { op: 'create', method: 'POST', path: '/api/v1/order', body, key } as const;
    const begun = performance.now();
    const reply = await caller.ask(call);
    const ms = performance.now() - begun;
    if (reply.status !== 200) throw new Error(`a checkout was answered ${reply.status}`);
    const { id, status } = reply.body as { id: number; status: string };
    return { id: String(id), status, ms };
  };
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return () => (made ??= make());
}

async function openWallet(caller: Caller, username: string, balance: number): Promise<string> {
  const account = '/api/v1/billing/account';
  const ask = async (path: string, body: object) => {
    const key = `${username}-${path}`;
    const call = { op: 'other', method: 'POST', path: `${account}/${path}`, body, key } as const;
    const { status } = await caller.ask(call);
    if (status >= 300) throw new Error(`${path} of a wallet was answered ${status}`);
  };
  await ask('new', { username });
  const deposit = { type: 'DEPOSIT', amount: balance, account: { username } };
  if (balance > 0) await ask('operate', deposit);
  return username;
}

function checkoutOf(username: string, serial: number): object {
  const price = 1 + (serial % 20);
  const orderPositions = [{ productId: serial, price, quantity: 2 }];
  return { username, shopId: 1, totalCost: 2 * price, orderPositions };
}

function requestOf(reference: string, serial: number, token: string): object {
  return {
    customer_id: `customer-${serial % 50}`,
    reference,
    items: [
      { item_id: 'item_1', item_name: 'Burger', quantity: 1 + (serial % 3), price: 12.99 },
      { item_id: 'item_2', item_name: 'Fries', quantity: 1, price: 3.5 },
    ],
    payment: { method: 'card', token },
  };
}
