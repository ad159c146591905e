/** An OpenAPI document as the fuzzer needs it: operations with validators for what they promise. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly examples?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly schema: Schema;
  /** Whether a text, as it stands in the request, is what the parameter allows. */
  readonly allows: (text: string) => boolean;
}

export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body:
    | { readonly required: boolean; readonly schema: Schema; readonly allows: ValidateFunction }
    | undefined;
  /** What each status may carry: validators by media type; none for an empty body. */
  readonly responses: ReadonlyMap<number, ReadonlyMap<string, ValidateFunction>>;
  /** `status code` of the noes that a well-formed request may get. */
  readonly refusals: readonly string[];
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
}

interface DescribedOperation {
  readonly operationId: string;
  readonly parameters?: readonly (Omit<Parameter, 'allows'> & { required?: boolean })[];
  readonly requestBody?: Content & { readonly required?: boolean };
  readonly responses: Readonly<Record<string, Content>>;
  readonly 'x-refusals'?: readonly string[];
}

export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DescribedOperation>>>>;
}

/** Every operation of the document. */
export function readOperations(document: Document): Operation[] {
  const ajv = new Ajv2020({ strict: false, validateFormats: true });
  addFormats.default(ajv);
  const whole = resolve(document, document) as Document;
  return Object.entries(whole.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) =>
      readOperation(ajv, path, method, described),
    ),
  );
}

function readOperation(
  ajv: Ajv2020,
  path: string,
  method: string,
  described: DescribedOperation,
): Operation {
  const body = described.requestBody?.content?.['application/json']?.schema;
  return {
    id: described.operationId,
    method: method.toUpperCase(),
    path,
    parameters: (described.parameters ?? []).map((parameter) => ({
      ...parameter,
      required: parameter.required === true,
      allows: allowing(ajv, parameter.schema),
    })),
    body:
      body === undefined
        ? undefined
        : {
            required: described.requestBody?.required === true,
            schema: body,
            allows: ajv.compile(body),
          },
    responses: new Map(
      Object.entries(described.responses).map(([status, { content = {} }]) => [
        Number(status),
        new Map(
          Object.entries(content).map(([type, { schema = {} }]) => [type, ajv.compile(schema)]),
        ),
      ]),
    ),
    refusals: described['x-refusals'] ?? [],
  };
}

/** Parameters are text; a whole number is one written plainly, and a list has one value here. */
function allowing(ajv: Ajv2020, schema: Schema): (text: string) => boolean {
  const validate = ajv.compile(schema);
  if (schema.type === 'array') return (text) => validate([text]) && !text.includes('\0');
  if (schema.type !== 'integer') return (text) => validate(text) && !text.includes('\0');
  return (text) =>
    /^-?(0|[1-9]\d{0,15})$/.test(text) &&
    Number.isSafeInteger(Number(text)) &&
    validate(Number(text));
}

/** A copy in which every reference is replaced by what it names. */
function resolve(part: unknown, document: unknown): unknown {
  if (typeof part !== 'object' || part === null) return part;
  if (Array.isArray(part)) return part.map((one) => resolve(one, document));
  const { $ref } = part as { $ref?: string };
  if (typeof $ref === 'string') {
    let named: unknown = document;
    for (const key of $ref.split('/').slice(1)) named = (named as Record<string, unknown>)[key];
    if (named === undefined) throw new Error(`the document names ${$ref} and does not hold it`);
    return resolve(named, document);
  }
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) => [key, resolve(value, document)]),
  );
}
