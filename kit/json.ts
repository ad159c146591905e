/**
 * Strict JSON: what a careful peer sends, and nothing that two parsers could read differently.
 * JSON.parse alone keeps the last of two equal keys, accepts any depth (which JSON.stringify then
 * cannot write back) and turns 1e400 into Infinity.
 */
import { isUtf8 } from 'node:buffer';
import { Refusal, type Fault } from './errors.ts';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

const MAX_DEPTH = 32;
/** A megabyte of `{},{},…` holds 350 000, and takes a tenth of a second to parse. */
const MAX_VALUES = 50_000;
const QUOTE = 34;
const BACKSLASH = 92;
const COLON = 58;
const COMMA = 44;
const PLUS = 43;
const MINUS = 45;
const POINT = 46;
const CAPITAL_E = 69;
const SMALL_E = 101;
const ZERO = 48;
const NINE = 57;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;

function malformed(detail: string): Refusal {
  return new Refusal(400, 'malformed_json', detail);
}

interface Scan {
  /** How many object keys the text spells. */
  readonly keys: number;
  /** Whether a number is written so that it would not be kept. */
  readonly unkept: boolean;
}

/** One pass over the text: depth, values, keys, numbers. About 1 µs for 300 characters. */
function scan(text: string): Scan {
  let depth = 0;
  let keys = 0;
  let values = 1;
  let unkept = false;
  const length = text.length;
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      index++;
      for (; index < length; index++) {
        const inner = text.charCodeAt(index);
        if (inner === BACKSLASH) index++;
        else if (inner === QUOTE) break;
      }
    } else if (code === COLON) keys++;
    else if (code === COMMA) values++;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      values++;
      if (++depth > MAX_DEPTH)
        throw malformed(`The JSON is nested deeper than ${MAX_DEPTH} levels.`);
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    else if (code === MINUS || isDigit(code)) {
      const end = endOfNumber(text, index);
      const last = endOfExponent(text, end);
      // The plain short number, which is nearly every one, is not even copied.
      if (last !== end || end - index > SURE_DIGITS)
        unkept ||= faultOfNumber(text.slice(index, last)) !== undefined;
      index = last - 1;
    }
  }
  if (values > MAX_VALUES)
    throw new Refusal(413, 'body_too_large', `A body holds at most ${MAX_VALUES} values.`);
  return { keys, unkept };
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** Past the digits, points and signs that begin here. */
function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  for (; ; end++) {
    const code = text.charCodeAt(end);
    if (!isDigit(code) && code !== POINT && code !== MINUS && code !== PLUS) return end;
  }
}

/** Past the exponent, if one follows. */
function endOfExponent(text: string, start: number): number {
  const code = text.charCodeAt(start);
  return code === CAPITAL_E || code === SMALL_E ? endOfNumber(text, start) : start;
}

/** Every number of so many digits is kept exactly by a double and comes back as it was written. */
const SURE_DIGITS = 15;
/** Far shorter than what a double turns into 0 without an exponent. */
const MAX_NUMBER = 100;

/** Why a number would not be kept as it is written: 1e400, 9007199254740993. */
function faultOfNumber(number: string): string | undefined {
  if (/e/i.test(number)) return 'must be written without an exponent';
  if (number.length <= SURE_DIGITS) return undefined;
  if (number.length > MAX_NUMBER) return 'is too long';
  const plain = number.includes('.') ? number.replace(/\.?0+$/, '') : number;
  const digits = plain.replace(/^-?0*\.?0*/, '').replace('.', '');
  const whole = !plain.includes('.') && Number.isSafeInteger(Number(plain));
  return whole || digits.length <= SURE_DIGITS ? undefined : 'has more digits than are kept';
}

/** Counts the keys that survived parsing and finds text that no store could keep. */
function inspect(value: unknown, suspicious: boolean, pointer: string): number {
  if (typeof value === 'string') {
    if (suspicious && (value.includes('\u0000') || !value.isWellFormed()))
      throw new Refusal(422, 'invalid_body', 'A text holds a NUL or half of a surrogate pair.', {
        faults: [{ pointer, detail: 'must not hold U+0000 or a lone surrogate' }],
      });
    return 0;
  }
  if (typeof value !== 'object' || value === null) return 0;
  let keys = 0;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++)
      keys += inspect(value[index], suspicious, suspicious ? `${pointer}/${index}` : '');
    return keys;
  }
  for (const key in value) {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype')
      throw malformed(`The key "${key}" is not accepted.`);
    if (suspicious && (key.includes('\u0000') || !key.isWellFormed()))
      throw malformed('A key holds a NUL or half of a surrogate pair.');
    const below = suspicious ? `${pointer}/${token(key)}` : '';
    keys += 1 + inspect((value as Record<string, unknown>)[key], suspicious, below);
  }
  return keys;
}

/**
 * Parses a request body. Refuses with 400: anything that is not UTF-8 JSON, a key given twice,
 * `__proto__` and its kin, nesting past 32. With 413: too many values. With 422: NUL, lone
 * surrogates, numbers with exponents (1e3, 1e400) or more digits than a double keeps, whose value
 * depends on who reads them.
 */
export function parseStrictJson(body: Buffer): Json {
  if (!isUtf8(body)) throw malformed('The body is not UTF-8.');
  const text = body.toString('utf8');
  const { keys, unkept } = scan(text);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw malformed(`The body is not JSON: ${(error as Error).message.slice(0, 120)}`);
  }
  if (inspect(value, text.includes('\\u'), '') !== keys)
    throw malformed('The body gives a key twice.');
  if (unkept)
    throw new Refusal(422, 'invalid_body', 'A number could not be kept as it is written.', {
      faults: faultsOfNumbers(text),
    });
  return value;
}

/** Where the numbers are that would not be kept. Parses once more: only a refusal pays for it. */
function faultsOfNumbers(text: string): Fault[] {
  const faults: Fault[] = [];
  const marked = JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    const fault = typeof value === 'number' ? faultOfNumber(context?.source ?? '') : undefined;
    return fault === undefined ? value : { [UNKEPT]: fault };
  }) as unknown;
  collect(marked, '', faults);
  return faults;
}

const UNKEPT = Symbol('unkept');

function collect(value: unknown, pointer: string, faults: Fault[]): void {
  if (typeof value !== 'object' || value === null || faults.length >= 50) return;
  const detail = (value as { [UNKEPT]?: string })[UNKEPT];
  if (detail !== undefined) faults.push({ pointer, detail });
  for (const [key, part] of Object.entries(value))
    collect(part, `${pointer}/${token(key)}`, faults);
}

/** A key as a part of a JSON pointer. */
function token(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** JSON with object keys in order, so that equal values have equal text (RFC 8785 in spirit). */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const record = value as Record<string, unknown>;
  const members: string[] = [];
  for (const key of Object.keys(record).sort())
    if (record[key] !== undefined)
      members.push(`${JSON.stringify(key)}:${canonicalJson(record[key])}`);
  return `{${members.join(',')}}`;
}
