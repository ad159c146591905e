/**
 * The petstore's own document, out of the package that carries it: Swagger's editor shows it to
 * everybody who has none of their own. It is read where it lies, and not copied.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parse } from 'yaml';

export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly example?: unknown;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  /** By media type. */
  readonly body: Readonly<Record<string, { readonly schema: Schema }>>;
  /** The JSON that each status answers with, if any; `default` left out. */
  readonly replies: ReadonlyMap<number, Schema | undefined>;
}

export interface Petstore {
  readonly text: string;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
  readonly operations: readonly Operation[];
}

interface Raw {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, RawOperation>>>>;
  readonly components: Petstore['components'];
}

interface RawOperation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Operation['body'] };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

/** Reads the document: a string in the editor's program that begins like a document. */
export function readPetstore(): Petstore {
  const require = createRequire(import.meta.url);
  const file = require.resolve('swagger-editor-dist/swagger-editor.js');
  const program = readFileSync(file, 'utf8');
  const [literal] = /"openapi: 3\.0\.\d+(?:[^"\\]|\\.)*"/.exec(program) ?? [];
  if (literal === undefined) throw new Error(`${file} holds no document`);
  const text = JSON.parse(literal) as string;
  const { paths, components } = parse(text) as Raw;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, raw]) => operationOf(method, path, raw)),
  );
  return { text, components, operations };
}

function operationOf(method: string, path: string, raw: RawOperation): Operation {
  const statuses = Object.entries(raw.responses).filter(([status]) => status !== 'default');
  return {
    id: raw.operationId,
    method: method.toUpperCase(),
    path: `/api/v3${path}`,
    parameters: raw.parameters ?? [],
    body: raw.requestBody?.content ?? {},
    replies: new Map(
      statuses.map(([status, { content }]) => [
        Number(status),
        content?.['application/json']?.schema,
      ]),
    ),
  };
}

/** The schema itself, where it was only referred to. */
export function resolve({ components }: Petstore, schema: Schema): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : (components.schemas[name] as Schema);
}

/** A value that fits the schema, by its examples; `known` replaces properties by their name. */
export function sample(
  petstore: Petstore,
  schema: Schema,
  known: Readonly<Record<string, unknown>>,
): unknown {
  const { type, example, items, properties, format, enum: values } = resolve(petstore, schema);
  if (example !== undefined) return example;
  if (values !== undefined) return values[0];
  if (type === 'array') return [sample(petstore, items as Schema, {})];
  if (type === 'object')
    return Object.fromEntries(
      Object.entries(properties ?? {}).map(([name, property]) => [
        name,
        name in known ? known[name] : sample(petstore, property, {}),
      ]),
    );
  if (type === 'integer') return 1;
  if (type === 'boolean') return true;
  return format === 'date-time' ? '2026-01-02T03:04:05.000Z' : 'text';
}

/** A value of another type than the schema's. */
export function misfit(petstore: Petstore, schema: Schema): unknown {
  const { type } = resolve(petstore, schema);
  return type === 'string' ? 7 : 'text';
}
