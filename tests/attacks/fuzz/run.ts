/**
 * The fuzzer: sends requests that it makes from a server's own OpenAPI document, and holds every
 * answer against it. What answers tell (ids, cursors) goes into later requests.
 */
import fc from 'fast-check';
import { MAX_HEAD_BYTES } from '../../../kit/raw-requests.ts';
import { ask, type Answer, type Sent } from '../wire.ts';
import { casesOf, type Case, type Slot } from './cases.ts';
import { readOperations, type Document, type Operation } from './document.ts';
import { isOverload, judge, type Failure } from './verdicts.ts';

export interface FuzzOptions {
  readonly url: string;
  readonly requests: number;
  readonly seed: number;
  readonly lanes?: number;
}

export interface Finding extends Failure {
  readonly operation: string;
  readonly what: string;
  /** The smallest request found that shows it, for a shell. */
  readonly curl: string;
  readonly answer: string;
  /** Makes fast-check repeat the request: `seed` and path. */
  readonly seed: number;
  readonly path: string;
}

export interface FuzzReport {
  readonly seed: number;
  readonly requests: number;
  readonly seconds: number;
  readonly overloads: number;
  /** How often each verdict was sent. */
  readonly verdicts: Readonly<Record<Case['verdict'], number>>;
  /** Answers by operation and status. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly findings: readonly Finding[];
}

const MAX_FINDINGS = 20;
const MAX_SHRINKS = 150;
/** A server that hangs takes its time to show it again. */
const MAX_SHRINK_MS = 10_000;
const MAX_TOLD = 500;

interface State {
  readonly url: string;
  readonly told: Map<string, string[]>;
  readonly answers: Record<string, Record<string, number>>;
  readonly verdicts: Record<Case['verdict'], number>;
  readonly findings: Finding[];
  /** What was found already, so that it is reported once. */
  readonly known: Set<string>;
  sent: number;
  overloads: number;
}

class Found extends Error {
  readonly failure: Failure;
  readonly request: Sent;
  readonly answer: Answer | undefined;
  constructor(failure: Failure, request: Sent, answer: Answer | undefined) {
    super(failure.kind);
    this.failure = failure;
    this.request = request;
    this.answer = answer;
  }
}

/** Fuzzes the server whose document is at /openapi.json. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { url, requests, seed, lanes = 8 } = options;
  const document = (await ask(url, { path: '/openapi.json' })).json as unknown as Document;
  const operations = readOperations(document);
  const state: State = {
    url,
    told: new Map(),
    answers: {},
    verdicts: { fits: 0, wrong: 0, odd: 0 },
    findings: [],
    known: new Set(),
    sent: 0,
    overloads: 0,
  };
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: lanes }, (_, lane) =>
      runLane(state, operations, Math.ceil(requests / lanes), seed * 1000 + lane),
    ),
  );
  const { findings, answers, verdicts, overloads, sent } = state;
  const seconds = (performance.now() - begun) / 1000;
  return { seed, requests: sent, seconds, overloads, verdicts, answers, findings };
}

/** One stream of requests; after a finding it goes on behind it. */
async function runLane(state: State, operations: readonly Operation[], runs: number, seed: number) {
  const cases = fc.oneof(
    ...operations.map((one) => ({ weight: weightOf(one), arbitrary: casesOf(one) })),
  );
  for (let left = runs, turn = 0; left > 0 && state.findings.length < MAX_FINDINGS; turn++) {
    let mine: string | undefined;
    let shrinks = 0;
    let foundAt = 0;
    const property = fc.asyncProperty(cases, async (asked) => {
      if (mine !== undefined) {
        shrinks++;
        if (shrinks > MAX_SHRINKS || performance.now() - foundAt > MAX_SHRINK_MS) return;
      }
      const found = await send(state, asked);
      for (const one of found) {
        const { kind, detail } = one.failure;
        const print = `${asked.operation.id} ${kind} ${detail.slice(0, 60)}`;
        if (mine === undefined && !state.known.has(print)) {
          state.known.add(print);
          mine = print;
          foundAt = performance.now();
        }
        if (mine === print) throw one;
      }
    });
    const outcome = await fc.check(property, { seed: seed + turn * 100, numRuns: left });
    left -= Math.max(1, outcome.numRuns);
    if (!outcome.failed) return;
    const [asked] = outcome.counterexample ?? [];
    if (!(outcome.errorInstance instanceof Found) || asked === undefined)
      throw new Error('the fuzzer itself failed', { cause: outcome.errorInstance });
    const { failure, request, answer } = outcome.errorInstance;
    state.findings.push({
      ...failure,
      operation: asked.operation.id,
      what: asked.what,
      curl: curlOf(state.url, request),
      answer: answer === undefined ? '' : `${answer.status} ${answer.text.slice(0, 500)}`,
      seed: outcome.seed,
      path: outcome.counterexamplePath ?? '',
    });
  }
}

/** What changes something and what takes parameters has more to go wrong. */
function weightOf({ body, parameters }: Operation): number {
  return 1 + Math.min(parameters.length, 4) + (body === undefined ? 0 : 4);
}

/** Sends one request and whatever follows from its answer. */
async function send(state: State, asked: Case): Promise<Found[]> {
  const request = requestOf(state, asked);
  state.sent++;
  state.verdicts[asked.verdict]++;
  const answer = await ask(state.url, request).catch((error: Error) => error);
  if (answer instanceof Error) {
    const failure = { kind: 'no answer', detail: answer.message } as const;
    return [new Found(failure, request, undefined)];
  }
  const counts = (state.answers[asked.operation.id] ??= {});
  counts[answer.status] = (counts[answer.status] ?? 0) + 1;
  if (isOverload(answer)) state.overloads++;
  // Not the operation's answer: the line and the fields are larger than any route gets to see.
  if (answer.status === 431 && headBytes(request) > MAX_HEAD_BYTES * 0.9) return [];
  const found = judge(asked, answer).map((failure) => new Found(failure, request, answer));
  if (answer.status >= 200 && answer.status < 300) {
    remember(state, answer.json);
    found.push(...(await followUp(state, request, answer)));
  }
  return found;
}

function headBytes({ path = '', headers = {} }: Sent): number {
  return path.length + JSON.stringify(headers).length;
}

/** A Location can be read at once; a repeat under the same key gets the same answer. */
async function followUp(state: State, request: Sent, first: Answer): Promise<Found[]> {
  const found: Found[] = [];
  const { location } = first.headers;
  if (typeof location === 'string' && state.sent % 5 === 0) {
    const answer = await ask(state.url, { path: location });
    if (answer.status !== 200) {
      const failure = { kind: 'location leads nowhere', detail: String(answer.status) } as const;
      found.push(new Found(failure, { path: location }, answer));
    }
  }
  const key = request.headers?.['Idempotency-Key'];
  // 204 to a poll: nothing took effect, so nothing was kept.
  const effective = first.status !== 204;
  if (key !== undefined && effective && state.sent % 3 === 0) {
    const again = await ask(state.url, request);
    const same = again.status === first.status && shownOf(again) === shownOf(first);
    const kept = same && again.headers['idempotent-replayed'] === 'true';
    if (!kept && !(await isGone(state, location, again))) {
      const detail = `${again.status} ${again.text.slice(0, 200)}`;
      found.push(new Found({ kind: 'replay differs', detail }, request, again));
    }
  }
  return found;
}

/** The answer but for its tokens, which are kept nowhere: a repeat is given fresh ones. */
function shownOf({ text }: Answer): string {
  return text.replaceAll(/"(access|refresh)Token":"[^"]+"/g, '"$1Token":"…"');
}

/** What was made has been erased meanwhile, with its person: it is not told again. */
async function isGone(state: State, location: unknown, again: Answer): Promise<boolean> {
  if (again.status !== 404 || typeof location !== 'string') return false;
  return (await ask(state.url, { path: location })).status === 404;
}

/** Keeps what was told by the name it was told under. */
function remember(state: State, value: unknown, name = ''): void {
  if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value))
      remember(state, part, Array.isArray(value) ? name : key);
  } else if (typeof value === 'string' || typeof value === 'number') {
    const known = state.told.get(name) ?? [];
    state.told.set(name, known);
    if (known.length < MAX_TOLD) known.push(String(value));
    else known[state.sent % MAX_TOLD] = String(value);
  }
}

/** `order_id` was told as such or as an order's `id`; `cursor` as `next_cursor`. */
function pick(state: State, operation: Operation, name: string, { text, told }: Slot): string {
  if (told === undefined) return text;
  const parameter = operation.parameters.find((one) => one.name === name);
  const names = [name, `next_${name}`, ...(/(^|_)id$/.test(name) ? ['id', 'number'] : [])];
  const known = names
    .flatMap((one) => state.told.get(one) ?? [])
    .filter((one) => parameter?.allows(one));
  return known[told % known.length] ?? text;
}

function requestOf(state: State, { operation, path, query, headers, body }: Case): Sent {
  const filled = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(pick(state, operation, name, path[name] ?? { text: '' })),
  );
  const pairs = query.map(
    ([name, slot]) => `${name}=${encodeURIComponent(pick(state, operation, name, slot))}`,
  );
  return {
    method: operation.method,
    path: pairs.length === 0 ? filled : `${filled}?${pairs.join('&')}`,
    headers,
    ...(body === undefined ? {} : { body }),
  };
}

function curlOf(url: string, { method = 'GET', path = '/', headers = {}, body }: Sent): string {
  const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const all = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers };
  const fields = Object.entries(all).map(
    ([name, value]) => `-H ${quoted(`${name}: ${String(value)}`)}`,
  );
  const data = typeof body === 'string' ? [`--data-binary ${quoted(body)}`] : [];
  return ['curl -sS -g', `-X ${method}`, ...fields, ...data, quoted(url + path)].join(' ');
}
