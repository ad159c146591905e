/**
 * Clients of wallets: they ask for everything that moves money, repeat what had no answer under the
 * same key until it has one, and keep books of their own.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { openIdentitySigner, type Identity } from '@waybill/kit/identity.ts';
import { newId } from '@waybill/kit/ids.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';

export const LEDGER_SECRET = 'a-secret-of-the-ledger-run';

export interface Tellers {
  /** What every wallet must hold, by all answers. */
  readonly balances: ReadonlyMap<string, number>;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly waits: readonly number[];
  repeats(): number;
  open(username: string, amountMinor: number): Promise<void>;
  /** One of the things that can be done, by the call's number, with one wallet or two. */
  serve(index: number, one: string, other: string): Promise<void>;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

type Ask = (path: string, body: object, key?: string) => Promise<Answer>;

/** A charge that may still be refunded. */
interface Charged {
  readonly username: string;
  readonly reference: string;
  left: number;
}

interface Books {
  readonly ask: Ask;
  readonly charged: Charged[];
  count(outcome: string): void;
  move(username: string, minor: number): void;
}

export function openTellers(urls: readonly string[]): Tellers {
  const balances = new Map<string, number>();
  const outcomes: Record<string, number> = {};
  const waits: number[] = [];
  const agent = new Agent({ connections: 32 });
  let repeats = 0;
  const ask = createAsk(urls, agent, () => repeats++);
  const books: Books = {
    ask,
    charged: [],
    count: (outcome) => void (outcomes[outcome] = (outcomes[outcome] ?? 0) + 1),
    move: (username, minor) => balances.set(username, (balances.get(username) ?? 0) + minor),
  };
  return {
    balances,
    outcomes,
    waits,
    repeats: () => repeats,
    async open(username, amountMinor) {
      await ask('/internal/billing/accounts', { username });
      await operate(books, 'DEPOSIT', username, amountMinor);
    },
    async serve(index, one, other) {
      const begun = performance.now();
      await DEEDS[index % DEEDS.length]?.(books, index, one, other);
      waits.push(performance.now() - begun);
    },
    close: () => agent.destroy(),
  };
}

const PATIENCE_MS = 120_000;

/** Asks until there is an answer: with the same key, of whichever process answers. */
function createAsk(urls: readonly string[], dispatcher: Agent, repeated: () => void): Ask {
  const signer = openIdentitySigner(deriveKey(LEDGER_SECRET, 'identity'));
  const identity: Identity = { subject: 'teller', roles: ['service'] };
  let turn = 0;
  return async (path, body, key) => {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const url = urls[turn++ % urls.length] ?? '';
      try {
        const reply = await request(url + path, {
          method: 'POST',
          dispatcher,
          headersTimeout: 15_000,
          bodyTimeout: 15_000,
          headers: {
            'content-type': 'application/json',
            'waybill-identity': signer.sign(identity, 'billing'),
            ...(key === undefined ? {} : { 'idempotency-key': key }),
          },
          body: JSON.stringify(body),
        });
        const text = await reply.body.text();
        if (reply.statusCode < 500)
          return { status: reply.statusCode, body: JSON.parse(text) as Answer['body'] };
        if (reply.statusCode === 500) throw new Error(`${path} was answered 500`);
      } catch (error) {
        if (performance.now() > end || String(error).includes('answered 500')) throw error;
      }
      repeated();
      await pause(20 + Math.random() * 80);
    }
  };
}

type Deed = (books: Books, index: number, one: string, other: string) => Promise<unknown>;

const amountOf = (index: number) => 1 + (Math.imul(index + 1, 40_503) & 0xfff);

const DEEDS: readonly Deed[] = [
  (books, index, one) => operate(books, 'DEPOSIT', one, amountOf(index)),
  (books, index, one) => operate(books, 'WITHDRAW', one, amountOf(index)),
  (books, index, one) => charge(books, one, amountOf(index)),
  (books, index, _one, other) => charge(books, other, amountOf(index)),
  (books, index) => refund(books, amountOf(index)),
  (books, index, one) => chargeOrVoid(books, one, amountOf(index)),
  (books, index, one, other) => moveOver(books, one, other, amountOf(index)),
  (books, index, one) => chargeTwice(books, one, amountOf(index)),
  (books, index, one) => operateTwice(books, one, amountOf(index)),
];

const SIGNS: Readonly<Record<string, number>> = {
  DEPOSIT: 1,
  WITHDRAW: -1,
  PAYMENT: -1,
  REFUND: 1,
};

const OPERATE = '/api/v1/billing/account/operate';

async function operate(books: Books, type: string, username: string, minor: number) {
  const body = { type, amount: minor / 100, account: { username } };
  const answer = await books.ask(OPERATE, body, newId());
  const done = answer.status === 200;
  books.count(`${type} ${done ? 'done' : String(answer.body['code'])}`);
  if (done) books.move(username, minor * (SIGNS[type] ?? 0));
  else if (answer.body['code'] !== 'insufficient_funds') throw new Error(JSON.stringify(answer));
  return done;
}

/** Two at once under one key: one operation. A refusal is not kept, so that one may be refused. */
async function operateTwice(books: Books, username: string, minor: number): Promise<void> {
  const body = { type: 'PAYMENT', amount: minor / 100, account: { username } };
  const key = newId();
  const ask = () => books.ask(OPERATE, body, key);
  const done = (await Promise.all([ask(), ask()])).filter(({ status }) => status === 200);
  if (new Set(done.map((answer) => answer.body['id'])).size > 1)
    throw new Error(`${JSON.stringify(done)} under one key`);
  books.count(`PAYMENT ${done.length === 0 ? 'refused' : 'done'}`);
  if (done.length > 0) books.move(username, -minor);
}

/** From one wallet to another: out of the first, and into the second once that is certain. */
async function moveOver(books: Books, one: string, other: string, minor: number) {
  if (await operate(books, 'WITHDRAW', one, minor)) await operate(books, 'DEPOSIT', other, minor);
}

function chargeRequest(username: string, minor: number) {
  const orderId = newId();
  const money = { amount_minor: minor, currency: 'USD' };
  return { key: `${orderId}:charge`, order_id: orderId, username, ...money };
}

type Charge = ReturnType<typeof chargeRequest>;

async function charge(books: Books, username: string, minor: number): Promise<void> {
  const request = chargeRequest(username, minor);
  const { body } = await books.ask('/internal/billing/charges', request);
  record(books, request, body);
}

/** Two at once under one key, of two processes: one charge, and two equal answers. */
async function chargeTwice(books: Books, username: string, minor: number): Promise<void> {
  const request = chargeRequest(username, minor);
  const ask = () => books.ask('/internal/billing/charges', request);
  const [one, other] = await Promise.all([ask(), ask()]);
  if (JSON.stringify(one.body) !== JSON.stringify(other.body))
    throw new Error(`${JSON.stringify(one.body)} and ${JSON.stringify(other.body)}`);
  record(books, request, one.body);
}

/** Both at once: both are told the same. */
async function chargeOrVoid(books: Books, username: string, minor: number): Promise<void> {
  const request = chargeRequest(username, minor);
  const [charged, voided] = await Promise.all([
    books.ask('/internal/billing/charges', request),
    books.ask('/internal/billing/charges/void', request),
  ]);
  const captured = charged.body['kind'] === 'captured';
  if (captured !== (voided.body['kind'] === 'captured'))
    throw new Error(`${JSON.stringify(charged.body)} and ${JSON.stringify(voided.body)}`);
  record(books, request, charged.body);
}

function record(books: Books, request: Charge, answer: Answer['body']): void {
  const captured = answer['kind'] === 'captured';
  books.count(`charge ${captured ? 'captured' : String(answer['code'])}`);
  if (!captured) return;
  const { username, amount_minor: left } = request;
  books.move(username, -left);
  books.charged.push({ username, reference: String(answer['reference']), left });
}

/** A part of a charge, or a cent more than is left of it, which must be refused. */
async function refund(books: Books, minor: number): Promise<void> {
  const charged = books.charged.shift();
  if (charged === undefined) return books.count('refund of nothing');
  const tooMuch = minor % 5 === 0;
  const amount = tooMuch ? charged.left + 1 : Math.max(1, Math.min(minor, charged.left));
  const money = { amount_minor: amount, currency: 'USD' };
  const body = { key: newId(), reference: charged.reference, ...money };
  const answer = await books.ask('/internal/billing/refunds', body);
  if ((answer.status === 200) === tooMuch) throw new Error(JSON.stringify(answer));
  books.count(`refund ${tooMuch ? String(answer.body['code']) : 'done'}`);
  if (!tooMuch) {
    books.move(charged.username, amount);
    charged.left -= amount;
  }
  if (charged.left > 0) books.charged.push(charged);
}
