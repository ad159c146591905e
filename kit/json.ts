/**
 * Strict JSON: what a careful peer sends, and nothing that two parsers could read differently.
 * JSON.parse alone keeps the last of two equal keys, accepts any depth (which JSON.stringify then
 * cannot write back) and turns 1e400 into Infinity.
 */
import { isUtf8 } from 'node:buffer';
import { Refusal } from './errors.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const MAX_DEPTH = 32;
const QUOTE = 34;
const BACKSLASH = 92;
const COLON = 58;
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
  /** Whether a number is written with an exponent. */
  readonly exponent: boolean;
}

/** One pass over the text: depth, number of keys, exponents. About 1 µs for 300 characters. */
function scan(text: string): Scan {
  let depth = 0;
  let keys = 0;
  let exponent = false;
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
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth > MAX_DEPTH) throw malformed(`The JSON is nested deeper than ${MAX_DEPTH} levels.`);
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    else if (code === 69 || (code === 101 && isDigit(text.charCodeAt(index - 1)))) {
      exponent = true;
    }
  }
  return { keys, exponent };
}

function isDigit(code: number): boolean {
  return (code >= 48 && code <= 57) || code === 46;
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
    const below = suspicious ? `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}` : '';
    keys += 1 + inspect((value as Record<string, unknown>)[key], suspicious, below);
  }
  return keys;
}

/**
 * Parses a request body. Refuses with 400: anything that is not UTF-8 JSON, a key given twice,
 * `__proto__` and its kin, nesting past 32. With 422: NUL, lone surrogates, numbers with exponents
 * (1e3, 1e400), whose value depends on who reads them.
 */
export function parseStrictJson(body: Buffer): Json {
  if (!isUtf8(body)) throw malformed('The body is not UTF-8.');
  const text = body.toString('utf8');
  const { keys, exponent } = scan(text);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw malformed(`The body is not JSON: ${(error as Error).message.slice(0, 120)}`);
  }
  if (inspect(value, text.includes('\\u'), '') !== keys)
    throw malformed('The body gives a key twice.');
  if (exponent)
    throw new Refusal(422, 'invalid_body', 'Numbers are written without an exponent.', {
      faults: [{ pointer: '', detail: 'a number is written with an exponent' }],
    });
  return value;
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
