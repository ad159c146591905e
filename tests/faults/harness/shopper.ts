/**
 * Clients as they should be: every change carries an Idempotency-Key, and what ended without a
 * clear answer is asked again with the same key until it has one.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request as send } from 'undici';
import { openClientJournal, type ClientJournal, type Operation } from './journal.ts';

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

export const SETTLED = ['CONFIRMED', 'PAYMENT_FAILED', 'CANCELLED'];

interface Call {
  readonly op: Operation;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly key?: string;
  readonly orderId?: string;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

export interface ShopperOptions {
  readonly url: string;
  readonly journalFile: string;
  readonly attemptMs?: number;
  /** How long it goes on asking before it gives the outcome up as unknown. */
  readonly patienceMs?: number;
}

let shoppers = 0;

export function openShopper(options: ShopperOptions): Shopper {
  const { url, attemptMs = 4000, patienceMs = 60_000 } = options;
  const journal = openClientJournal(options.journalFile);
  const agent = new Agent({ connections: 64, connect: { timeout: 1000 } });
  const expected = new Map<string, readonly string[]>();
  const acceptances: { at: number; ms: number }[] = [];
  const name = `${Date.now().toString(36)}-${shoppers++}`;
  let serial = 0;

  /** One attempt; undefined when its outcome is not known. */
  const attempt = async (call: Call): Promise<Reply | undefined> => {
    const begun = performance.now();
    let reply: Reply | undefined;
    try {
      const answer = await send(url + call.path, {
        method: call.method,
        dispatcher: agent,
        signal: AbortSignal.timeout(attemptMs),
        headers: {
          'content-type': 'application/json',
          ...(call.key === undefined ? {} : { 'idempotency-key': call.key }),
        },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      });
      const text = await answer.body.text();
      reply = { status: answer.statusCode, body: text === '' ? {} : JSON.parse(text) };
    } catch {
      // No answer, or half of one: the outcome is not known.
    }
    const clear = reply !== undefined && isClear(reply);
    const body = (clear ? reply?.body : {}) as Partial<Order>;
    const tookMs = performance.now() - begun;
    journal.record({
      client: name,
      op: call.op,
      outcome: !clear ? 'unknown' : (reply?.status ?? 0) < 300 ? 'ok' : 'fail',
      http: reply?.status ?? null,
      order_id: body.id ?? call.orderId ?? null,
      idem_key: call.key ?? null,
      version: body.version ?? null,
      sent_at: new Date(Date.now() - tookMs).toISOString(),
      took_ms: Math.round(tookMs * 10) / 10,
    });
    if (call.op === 'create' && reply?.status === 202) acceptances.push({ at: begun, ms: tookMs });
    return clear ? reply : undefined;
  };

  const ask = async (call: Call): Promise<Reply> => {
    const end = performance.now() + patienceMs;
    for (;;) {
      const reply = await attempt(call);
      if (reply !== undefined) return reply;
      if (performance.now() > end)
        throw new Error(`${call.method} ${call.path} had no clear answer in ${patienceMs} ms`);
      await pause(50 + Math.random() * 150);
    }
  };

  const get = async (id: string) => {
    const path = `/api/v1/orders/${id}`;
    const reply = await ask({ op: 'get', method: 'GET', path, orderId: id });
    if (reply.status !== 200) throw new Error(`reading ${id} was answered ${reply.status}`);
    return reply.body as Order;
  };

  return {
    journal,
    expected,
    acceptances,
    async place({ token = 'tok_ok', expect = ['CONFIRMED'] } = {}) {
      const key = `${name}-${serial++}`;
      const body = {
        customer_id: `customer-${serial % 50}`,
        reference: key,
        items: [
          { item_id: 'item_1', item_name: 'Burger', quantity: 1 + (serial % 3), price: 12.99 },
          { item_id: 'item_2', item_name: 'Fries', quantity: 1, price: 3.5 },
        ],
        payment: { method: 'card', token },
      };
      const path = '/api/v1/orders';
      const reply = await ask({ op: 'create', method: 'POST', path, body, key });
      if (reply.status !== 202) throw new Error(`an order was answered ${reply.status}`);
      const order = reply.body as Order;
      expected.set(order.id, expect);
      return order;
    },
    async cancel(id) {
      const key = `${name}-${serial++}`;
      const path = `/api/v1/orders/${id}/cancel`;
      const body = { reason: 'changed my mind' };
      const call = { op: 'cancel', method: 'POST' } as const;
      const reply = await ask({ ...call, path, body, key, orderId: id });
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
      await agent.destroy();
      journal.close();
    },
  };
}

/** A 5xx may come from before or after the commit; a key in use says nothing about the effect. */
function isClear({ status, body }: Reply): boolean {
  const { code } = body as { code?: string };
  return status < 500 && status !== 408 && status !== 429 && code !== 'request_in_progress';
}
