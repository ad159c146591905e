/** Requests against their schemas: strictly, with every fault named by its place. */
import { Ajv, type ErrorObject } from 'ajv';
import addFormats from 'ajv-formats';
import type { FastifySchemaValidationError } from 'fastify';
import { Refusal, type Fault } from './errors.ts';

/** Nothing is coerced or dropped. `quick` stops at the first fault, `patient` finds all. */
interface Validators {
  readonly quick: Ajv;
  readonly patient: Ajv;
}

/** The validators of one server. */
export function createValidators(): Validators {
  return { quick: createValidator(false), patient: createValidator(true) };
}

function createValidator(allErrors: boolean): Ajv {
  const ajv = new Ajv({
    allErrors,
    useDefaults: true,
    removeAdditional: false,
    strictNumbers: true,
    strict: false,
    verbose: allErrors,
  });
  addFormats.default(ajv);
  return ajv;
}

/** Values with more parts than this get one fault told; a megabyte of faults takes seconds. */
const MAX_EXPLAINED = 10_000;

/** A validator of bodies. */
export function compileBody(validators: Validators, schema: object) {
  const quick = validators.quick.compile(schema);
  const patient = validators.patient.compile(schema);
  const check = (value: unknown): boolean => {
    if (quick(value)) return true;
    const explained = countParts(value, MAX_EXPLAINED) < MAX_EXPLAINED && !patient(value);
    check.errors = ((explained ? patient : quick).errors ?? null) as Faults;
    return false;
  };
  check.errors = null as Faults;
  return check;
}

type Faults = FastifySchemaValidationError[] | null;

function countParts(value: unknown, enough: number): number {
  if (typeof value !== 'object' || value === null) return 1;
  let count = 1;
  for (const key in value) {
    if (count >= enough) break;
    count += countParts((value as Record<string, unknown>)[key], enough - count);
  }
  return count;
}

const WHOLE = /^-?(0|[1-9]\d{0,15})$/;

/**
 * A validator of path or query parameters, which are all text: what is declared a number is read
 * as one when it is written in the one plain way, and is kept exactly. Ajv's own coercion takes
 * `0x10`, ` 7 ` and 1e3 too. What is declared an array is one, however often it was given.
 */
export function compileParameters({ patient }: Validators, schema: object) {
  const validate = patient.compile(schema);
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> };
  const declared = (type: string) =>
    Object.keys(properties).filter((name) => properties[name]?.type === type);
  const whole = declared('integer');
  const many = declared('array');
  const check = (values: Record<string, unknown>): boolean => {
    for (const name of whole) {
      const text = values[name];
      if (typeof text !== 'string' || !WHOLE.test(text)) continue;
      if (Number.isSafeInteger(Number(text))) values[name] = Number(text);
    }
    for (const name of many) if (typeof values[name] === 'string') values[name] = [values[name]];
    const fits = validate(values);
    check.errors = (validate.errors ?? null) as Faults;
    return fits;
  };
  check.errors = null as Faults;
  return check;
}

/** Query parameters as they were parsed; none where the path has no question mark. */
export type Query = Readonly<Record<string, string | string[]>> | undefined;

/** The parameters that are declared as arrays, and so may be given more than once. */
export function repeatableIn(query: object | undefined): ReadonlySet<string> {
  const { properties = {} } = (query ?? {}) as { properties?: Record<string, { type?: string }> };
  return new Set(Object.keys(properties).filter((name) => properties[name]?.type === 'array'));
}

/**
 * `status=a&status=b` and `status[]=a` mean different things to different parsers, and PostgreSQL
 * keeps no text with U+0000.
 */
export function refuseAmbiguousQuery(query: Query, many: ReadonlySet<string>): void {
  for (const name in query) {
    const value = query[name] ?? '';
    if ((typeof value !== 'string' && !many.has(name)) || name.endsWith(']'))
      throw new Refusal(
        400,
        'repeated_parameter',
        `The parameter "${name}" is given more than once.`,
        {
          faults: [{ pointer: `?${name}`, detail: 'must be given once' }],
        },
      );
    if ([value].flat().some((text) => text.includes('\u0000')))
      throw new Refusal(422, 'invalid_query', `The parameter "${name}" holds a NUL.`, {
        faults: [{ pointer: `?${name}`, detail: 'must not hold U+0000' }],
      });
  }
}

/** More are not told. */
const MAX_FAULTS = 50;

/** The faults of a request, each once: what may also be null is told what else it must be. */
export function faultsOf(errors: readonly ErrorObject[], part: string): Fault[] {
  return errors
    .filter(({ keyword, params }) => {
      const { type } = params as { type?: unknown };
      return keyword !== 'anyOf' && !(keyword === 'type' && type === 'null');
    })
    .slice(0, MAX_FAULTS)
    .map((error) => faultOf(error, part));
}

/** A fault as problem details name it. */
function faultOf(error: ErrorObject, part: string): Fault {
  const { additionalProperty, missingProperty } = error.params as Params;
  const below = additionalProperty ?? missingProperty;
  const path =
    error.instancePath +
    (below === undefined ? '' : `/${below.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  const detail = detailOf(error, part);
  if (part === 'body') return { pointer: path, detail };
  const name = path.slice(1);
  return { pointer: part === 'params' ? `{${name}}` : `?${name}`, detail };
}

interface Params {
  readonly additionalProperty?: string;
  readonly missingProperty?: string;
  readonly allowedValues?: readonly string[];
  readonly limit?: number;
  readonly format?: string;
}

function detailOf({ keyword, params, parentSchema, message }: ErrorObject, part: string): string {
  const { allowedValues, limit, format } = params as Params;
  const must: unknown = parentSchema?.['x-must'];
  if (keyword === 'additionalProperties')
    return part === 'body' ? 'is not a known field' : 'is not a known parameter';
  if (keyword === 'required') return 'is required';
  if (keyword === 'minLength' && limit === 1) return 'must not be empty';
  if (keyword === 'pattern' && typeof must === 'string') return `must ${must}`;
  if (format === 'date-time') return 'must be an RFC 3339 time such as 2026-01-02T15:04:05Z';
  if (allowedValues !== undefined) return `must be one of ${allowedValues.join(', ')}`;
  return message ?? 'is not valid';
}
