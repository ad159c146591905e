/**
 * A double of the Stripe API over real HTTP: the few calls that charge and refund cards, with
 * Stripe's idempotency keys, errors and signed webhooks, and with faults that Stripe does not
 * produce on demand. What it holds is lost with its process: it is for tests.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { choosePort } from '../chance.ts';
import { parseForm, textIn } from './form.ts';
import type { Form } from './form.ts';
import { createLedger } from './intents.ts';
import type { Ledger } from './intents.ts';
import { createKeys } from './keys.ts';
import type { Answer, Keys } from './keys.ts';
import { failure, missing } from './replies.ts';
import type { Reply } from './replies.ts';
import { deliver, eventOf } from './webhooks.ts';
import type { SignedEvent } from './webhooks.ts';

export type Operation =
  | 'create'
  | 'confirm'
  | 'retrieve'
  | 'cancel'
  | 'search'
  | 'refund'
  | 'list_refunds';

export interface Call {
  readonly operation: Operation;
  readonly key: string | undefined;
  /** The order of the intent in question, once there is one. */
  readonly orderId: string;
  /** How many calls of this operation the order has seen, this one included. */
  readonly count: number;
}

/**
 * `error_*`: a 500, saved under the key, before or after the effect. `unsaved`: a 500 of which
 * nothing is remembered. `timeout_*`, `reset_*`: no answer, before or after the effect. `cut`: half
 * an answer. The others are answered by something in front of the API.
 */
export type Fault =
  | 'error_before'
  | 'error_after'
  | 'unsaved'
  | 'timeout_before'
  | 'timeout_after'
  | 'reset_before'
  | 'reset_after'
  | 'cut'
  | 'html_502'
  | 'unavailable'
  | 'rate_limited';

export interface DoubleOptions {
  readonly secretKey: string;
  readonly webhookSecret: string;
  readonly latencyMs?: number;
  /** Asked before each call. */
  readonly behave?: Rule;
}

export interface StripeDouble {
  readonly url: string;
  readonly ledger: Ledger;
  /** Every call that got through, oldest first. */
  readonly calls: readonly Call[];
  readonly events: readonly SignedEvent[];
  /** Sends events from now on, each as often as told; one after the other. */
  sendTo(url: string, copies?: number): void;
  behave(rule: Rule): void;
  forgetKeys(): void;
  close(): Promise<void>;
}

interface Request {
  readonly operation: Operation;
  readonly id: string;
  readonly form: Form;
}

type Rule = (call: Call) => Fault | undefined;

export async function startStripeDouble(options: DoubleOptions): Promise<StripeDouble> {
  const events: SignedEvent[] = [];
  const calls: Call[] = [];
  const keys = createKeys();
  let rule: Rule = options.behave ?? (() => undefined);
  let target = { url: '', copies: 0 };
  let sending: Promise<unknown> = Promise.resolve();
  const ledger = createLedger((type, intent) => {
    const event = eventOf(type, intent);
    events.push(event);
    const { url, copies } = target;
    for (let copy = 0; copy < copies; copy++)
      sending = sending.then(() => deliver(url, event, options.webhookSecret));
  });
  const handle = createHandler(options, ledger, keys, calls, (call) => rule(call));
  const server = createServer((message, response) => {
    void handle(message, response).catch(() => response.destroy());
  });
  return {
    url: await listen(server),
    ledger,
    calls,
    events,
    sendTo(url, copies = 1) {
      target = { url, copies };
    },
    behave(next) {
      rule = next;
    },
    forgetKeys: () => keys.forget(),
    async close() {
      target = { url: '', copies: 0 };
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await Promise.all([closed, sending]);
    },
  };
}

function createHandler(
  options: DoubleOptions,
  ledger: Ledger,
  keys: Keys,
  calls: Call[],
  rule: Rule,
) {
  const note = (request: Request, key: string | undefined): Call => {
    const orderId = orderOf(request, ledger);
    const { operation } = request;
    const before = calls.filter((one) => one.operation === operation && one.orderId === orderId);
    const call: Call = { operation, key, orderId, count: before.length + 1 };
    calls.push(call);
    return call;
  };
  const work = async (request: Request, fault: Fault | undefined): Promise<Reply> => {
    await sleep(options.latencyMs ?? 0);
    if (fault === 'error_before') return failure(500, 'api_error', 'An error happened.');
    // A copy, because a saved answer goes on showing things as they were.
    const reply = structuredClone(perform(ledger, request));
    return fault === 'error_after' ? failure(500, 'api_error', 'An error happened.') : reply;
  };
  return async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(message);
    if (message.headers.authorization !== `Bearer ${options.secretKey}`)
      return send(response, unsaved(failure(401, 'invalid_request_error', 'Invalid API Key')));
    const request = requestOf(message, body);
    if (request === undefined) return send(response, unsaved(missing('route')));
    const key = message.headers['idempotency-key'] as string | undefined;
    const fault = rule(note(request, key));
    if (fault === 'timeout_before' || fault === 'reset_before') return vanish(response, fault);
    const inFront = fault === undefined ? undefined : IN_FRONT[fault];
    if (inFront !== undefined) return send(response, inFront);
    const line = [message.method, message.url, body].join(' ');
    const answer =
      key === undefined
        ? unsaved(await work(request, fault))
        : await keys.once(key, line, () => work(request, fault));
    if (fault === 'cut') return cut(response, answer);
    if (fault === 'timeout_after' || fault === 'reset_after') return vanish(response, fault);
    send(response, answer);
  };
}

const html: Answer = {
  reply: { status: 502, body: '<html>Bad Gateway</html>', saved: false },
  replayed: false,
};

const IN_FRONT: Readonly<Partial<Record<Fault, Answer>>> = {
  html_502: html,
  unsaved: unsaved(failure(500, 'api_error', 'An error happened.')),
  unavailable: unsaved(failure(503, 'api_error', 'Try again.')),
  rate_limited: unsaved(failure(429, 'invalid_request_error', 'Too many requests.', 'rate_limit')),
};

function unsaved(reply: Reply): Answer {
  return { reply, replayed: false };
}

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  for (;;) {
    const port = choosePort();
    const listening = once(server.listen(port, '127.0.0.1'), 'listening');
    if (
      await listening.then(
        () => true,
        () => false,
      )
    )
      return `http://127.0.0.1:${port}`;
  }
}

async function readBody(message: IncomingMessage): Promise<string> {
  let body = '';
  message.setEncoding('utf8');
  for await (const part of message) body += part as string;
  return body;
}

const ROUTES: readonly [string, RegExp, Operation][] = [
  ['POST', /^\/v1\/payment_intents$/, 'create'],
  ['POST', /^\/v1\/payment_intents\/(\w+)\/confirm$/, 'confirm'],
  ['POST', /^\/v1\/payment_intents\/(\w+)\/cancel$/, 'cancel'],
  ['GET', /^\/v1\/payment_intents\/search$/, 'search'],
  ['GET', /^\/v1\/payment_intents\/(\w+)$/, 'retrieve'],
  ['POST', /^\/v1\/refunds$/, 'refund'],
  ['GET', /^\/v1\/refunds$/, 'list_refunds'],
];

function requestOf({ method, url = '' }: IncomingMessage, body: string): Request | undefined {
  const [path = '', query = ''] = url.split('?');
  for (const [verb, pattern, operation] of ROUTES) {
    const match = verb === method ? pattern.exec(path) : null;
    if (match !== null)
      return { operation, id: match[1] ?? '', form: parseForm(verb === 'GET' ? query : body) };
  }
  return undefined;
}

function orderOf({ id, form }: Request, { intents }: Ledger): string {
  const metadata = form['metadata'];
  const intent = intents.get(id === '' ? textIn(form, 'payment_intent') : id);
  const own = typeof metadata === 'object' ? textIn(metadata, 'order_id') : '';
  return own === '' ? textIn(intent?.metadata ?? {}, 'order_id') : own;
}

function perform(ledger: Ledger, { operation, id, form }: Request): Reply {
  switch (operation) {
    case 'create':
      return ledger.create(form);
    case 'confirm':
      return ledger.confirm(id, form);
    case 'retrieve':
      return ledger.retrieve(id);
    case 'cancel':
      return ledger.cancel(id);
    case 'search':
      return ledger.search(textIn(form, 'query'));
    case 'refund':
      return ledger.refund(form);
    case 'list_refunds':
      return ledger.listRefunds(textIn(form, 'payment_intent'));
  }
}

function textOf({ reply }: Answer): string {
  return typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body);
}

function send(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.reply.status, {
    'content-type': typeof answer.reply.body === 'string' ? 'text/html' : 'application/json',
    'request-id': `req_${Math.random().toString(36).slice(2)}`,
    ...(answer.replayed && { 'idempotent-replayed': 'true' }),
  });
  response.end(textOf(answer));
}

function cut(response: ServerResponse, answer: Answer): void {
  const text = textOf(answer);
  response.writeHead(answer.reply.status, { 'content-length': String(text.length) });
  response.write(text.slice(0, text.length / 2), () => response.destroy());
}

/** A reset closes the connection; a time-out leaves it open until the client gives up. */
function vanish(response: ServerResponse, fault: Fault): void {
  if (fault.startsWith('reset')) response.socket?.resetAndDestroy();
}
