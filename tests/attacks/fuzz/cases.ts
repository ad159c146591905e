/** Requests for an operation: fitting ones, spoilt ones, and odd ones that may be either. */
import fc from 'fast-check';
import type { Operation, Parameter } from './document.ts';
import { fitting, HOSTILE, spoilt } from './values.ts';

/**
 * `fits`: by the document it must be accepted, or get a documented refusal. `wrong`: it must be
 * refused. `odd`: anything that is documented.
 */
export type Verdict = 'fits' | 'wrong' | 'odd';

/** A parameter's text, or one that an earlier answer told under its name. */
export interface Slot {
  readonly text: string;
  /** Picks among what was told; undefined: the text stands. */
  readonly told?: number;
}

export interface Case {
  readonly operation: Operation;
  readonly verdict: Verdict;
  /** What was done to it. */
  readonly what: string;
  readonly path: Readonly<Record<string, Slot>>;
  readonly query: readonly (readonly [name: string, value: Slot])[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

type Parts = Pick<Case, 'path' | 'query' | 'headers'> & { readonly value: unknown };

/** Requests of every kind for the operation. */
export function casesOf(operation: Operation): fc.Arbitrary<Case> {
  const kinds: { weight: number; arbitrary: fc.Arbitrary<Case> }[] = [
    { weight: 6, arbitrary: fittingCase(operation) },
    { weight: 1, arbitrary: oddCase(operation) },
  ];
  if (operation.parameters.length > 0)
    kinds.push({ weight: 3, arbitrary: wrongParameter(operation) });
  if (givenOnce(operation).length > 0)
    kinds.push({ weight: 1, arbitrary: ambiguousQuery(operation) });
  if (operation.body !== undefined)
    kinds.push(
      { weight: 5, arbitrary: wrongBody(operation) },
      { weight: 2, arbitrary: wrongText(operation) },
      { weight: 1, arbitrary: wrongEnvelope(operation) },
    );
  return fc.oneof(...kinds);
}

/** The parts of a request that fits. */
function parts(operation: Operation): fc.Arbitrary<Parts> {
  const of = (place: Parameter['in']) => operation.parameters.filter((one) => one.in === place);
  const slot = (parameter: Parameter): fc.Arbitrary<Slot> =>
    fc.record(
      {
        text: fitting(parameter.schema).map(String).filter(parameter.allows),
        told: fc.nat({ max: 1000 }),
      },
      { requiredKeys: ['text'] },
    );
  const record = <Value>(
    parameters: readonly Parameter[],
    value: (one: Parameter) => fc.Arbitrary<Value>,
  ) =>
    // Few at a time: of eight filters at once one is nearly always too much.
    fc
      .subarray(optionalOf(parameters), { maxLength: Math.min(3, optionalOf(parameters).length) })
      .map((optional) => [...parameters.filter((one) => one.required), ...optional])
      .chain((all) => fc.record(Object.fromEntries(all.map((one) => [one.name, value(one)]))));
  const { body } = operation;
  const value =
    body === undefined
      ? fc.constant(undefined)
      : fitting(body.schema).filter((made) => body.allows(made) && isPlain(made));
  return fc
    .record({
      path: record(of('path'), slot),
      query: record(of('query'), slot),
      headers: record(of('header'), (one) => fitting(one.schema).map(String)),
      value: body?.required === false ? fc.option(value, { nil: undefined }) : value,
    })
    .map(({ path, query, headers, value: made }) => ({
      path: path as Record<string, Slot>,
      query: Object.entries(query as Record<string, Slot>),
      headers: headers as Record<string, string>,
      value: made,
    }));
}

/** Whether every number is written without an exponent: a strict reader wants them so. */
function isPlain(value: unknown): boolean {
  return !/\d[eE][+-]?\d/.test(JSON.stringify(value).replace(/"(?:[^"\\]|\\.)*"/g, '""'));
}

function build(operation: Operation, verdict: Verdict, what: string, made: Parts): Case {
  const { value, ...rest } = made;
  const body = value === undefined ? undefined : JSON.stringify(value);
  return { operation, verdict, what, ...rest, body };
}

function fittingCase(operation: Operation): fc.Arbitrary<Case> {
  return parts(operation).map((made) => build(operation, 'fits', 'as documented', made));
}

/** One parameter holds what its schema does not allow. */
function wrongParameter(operation: Operation): fc.Arbitrary<Case> {
  const bad = (parameter: Parameter) =>
    fc
      .oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 20 }))
      .map((text) => text.toWellFormed())
      .filter(
        (text) => !parameter.allows(text) && (parameter.in !== 'header' || isFieldValue(text)),
      );
  return fc
    .constantFrom(...operation.parameters)
    .chain((parameter) => fc.tuple(fc.constant(parameter), bad(parameter), parts(operation)))
    .map(([parameter, text, made]) => {
      const what = `${parameter.in} parameter ${parameter.name} does not fit`;
      const slot = { text };
      const others = made.query.filter(([name]) => name !== parameter.name);
      const changed: Parts = {
        ...made,
        path: parameter.in === 'path' ? { ...made.path, [parameter.name]: slot } : made.path,
        query: parameter.in === 'query' ? [...others, [parameter.name, slot]] : made.query,
        headers:
          parameter.in === 'header' ? { ...made.headers, [parameter.name]: text } : made.headers,
      };
      return build(operation, 'wrong', what, changed);
    });
}

/** The query parameters that are no lists. */
function givenOnce({ parameters }: Operation): Parameter[] {
  return parameters.filter((one) => one.in === 'query' && one.schema.type !== 'array');
}

function optionalOf(parameters: readonly Parameter[]): Parameter[] {
  return parameters.filter((one) => !one.required);
}

/** What arrives as it was sent: white space around a header's value is no part of it. */
function isFieldValue(text: string): boolean {
  return /^[ -~]*$/.test(text) && text.trim() === text;
}

/** One query parameter is there twice, or as a list, or is unknown. */
function ambiguousQuery(operation: Operation): fc.Arbitrary<Case> {
  const names = givenOnce(operation).map((one) => one.name);
  return fc
    .tuple(parts(operation), fc.constantFrom(...names), fc.constantFrom('twice', 'list', 'unknown'))
    .map(([made, name, how]) => {
      const slot: Slot = { text: '1' };
      const added: (readonly [string, Slot])[] =
        how === 'twice'
          ? [
              [name, slot],
              [name, slot],
            ]
          : [[how === 'list' ? `${name}[]` : `${name}_`, slot]];
      return build(operation, 'wrong', `query is ambiguous: ${how}`, {
        ...made,
        query: [...made.query, ...added],
      });
    });
}

/** The body was spoilt in one place, so that its schema does not allow it. */
function wrongBody(operation: Operation): fc.Arbitrary<Case> {
  const { body } = operation;
  if (body === undefined) throw new Error('no body to spoil');
  return fc.tuple(parts(operation), spoilt(fitting(body.schema))).map(([made, value]) => {
    const fits = body.allows(value) || (!body.required && value === null);
    return build(operation, fits ? 'odd' : 'wrong', 'body does not fit', { ...made, value });
  });
}

/** The body is no JSON, or JSON that two readers could read differently. */
function wrongText(operation: Operation): fc.Arbitrary<Case> {
  const way = fc.constantFrom<[string, (text: string) => string]>(
    ['is cut', (text) => text.slice(0, -1)],
    ['has more behind', (text) => `${text}x`],
    ['is there twice', (text) => text + text],
    ['has a byte order mark', (text) => `\uFEFF${text}`],
    ['has a trailing comma', (text) => text.replace(/\}$/, ',}')],
    ['has a comment', (text) => `/* */${text}`],
    ['has single quotes', () => "{'a':1}"],
    ['has a key twice', (text) => text.replace(/^\{/, '{"zz":1,"zz":1,').replace(/,\}$/, '}')],
    ['has a polluting key', () => '{"__proto__":{"admin":true}}'],
    ['has a NUL', () => '{"a":"\\u0000"}'],
    ['has half a surrogate pair', () => '{"a":"\\ud800"}'],
    ['has an exponent', () => '{"a":1e3}'],
    ['has a number too large', () => '{"a":1e400}'],
    ['has a number that is none', () => '{"a":NaN}'],
    ['is nested too deep', () => '{"a":'.repeat(100) + '1' + '}'.repeat(100)],
    ['is a text', () => '"x"'],
    ['is a list', () => '[]'],
    ['is not UTF-8', (text) => `${text}\u0000`],
  );
  return fc.tuple(parts(operation), way).map(([made, [what, spoil]]) => ({
    ...build(operation, 'wrong', `body ${what}`, made),
    body: spoil(JSON.stringify(made.value ?? {})),
  }));
}

/** The body is said to be something else. */
function wrongEnvelope(operation: Operation): fc.Arbitrary<Case> {
  const envelope = fc.constantFrom<Record<string, string>>(
    { 'content-type': 'text/plain' },
    { 'content-type': 'application/json garbage' },
    { 'content-type': 'application/json; charset=utf-16' },
    { 'content-type': 'application/x-www-form-urlencoded' },
    { 'content-type': 'multipart/form-data' },
    { 'content-encoding': 'gzip' },
    { 'content-encoding': 'identity' },
  );
  return fc.tuple(parts(operation), envelope).map(([made, headers]) =>
    build(operation, 'wrong', 'envelope does not fit', {
      ...made,
      value: made.value ?? {},
      headers: { ...made.headers, ...headers },
    }),
  );
}

/** A fitting request with something beside it that a server passes over, or may refuse. */
function oddCase(operation: Operation): fc.Arbitrary<Case> {
  const beside = fc.constantFrom<Record<string, string>>(
    { accept: 'text/html' },
    { accept: '*/*;q=0' },
    { 'accept-encoding': 'gzip, br' },
    { 'x-request-id': '<b>\' "' },
    { 'x-request-id': 'x'.repeat(2000) },
    { traceparent: '00-zz-zz-01' },
    { traceparent: 'x'.repeat(5000) },
    { prefer: 'wait=x' },
    { 'if-match': '"1"' },
    { range: 'bytes=0-1' },
    { expect: 'the-unexpected' },
    { 'x-forwarded-for': '10.0.0.1' },
    { forwarded: 'for=10.0.0.1' },
    { origin: 'https://evil.example' },
    { host: 'evil.example' },
    { authorization: 'Bearer x' },
    { authorization: 'Basic eDp4' },
    { 'waybill-identity': 'e30.e30' },
    { 'x-username': 'admin', 'x-roles': 'admin' },
    { 'x-http-method-override': 'DELETE' },
    { 'waybill-deadline': '-1' },
    { cookie: 'a=b; '.repeat(500) },
  );
  return fc.tuple(parts(operation), beside).map(([made, headers]) =>
    build(operation, 'odd', 'something beside', {
      ...made,
      headers: { ...made.headers, ...headers },
    }),
  );
}
