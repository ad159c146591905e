/** The published document: what the server serves, what is committed, and what its examples say. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { beforeAll, describe, expect, test } from 'vitest';
import { startOnce } from '../attacks/client.ts';

interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly description?: string;
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}

interface Content {
  readonly content?: Readonly<
    Record<string, { readonly schema: object; readonly example?: unknown }>
  >;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const target = startOnce();
const file = join(resolve(import.meta.dirname, '../..'), 'docs', 'openapi.json');
const committed = JSON.parse(readFileSync(file, 'utf8')) as Document;
let served: Document;

beforeAll(async () => {
  served = (await target.ask({ path: '/openapi.json' })).json as unknown as Document;
});

const operations = Object.entries(committed.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

test('what the server serves is what is committed', () => {
  expect(served).toEqual(committed);
});

test('every operation has a name of its own, says what it does, and how it fails', () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { operation } of operations) {
    expect(operation.summary, operation.operationId).toMatch(/^.{10,100}\.$/);
    expect(operation.description, operation.operationId).toBeTruthy();
    expect(Object.keys(operation.responses).some((status) => status.startsWith('4'))).toBe(true);
  }
});

describe('examples', () => {
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  ajv.addSchema(committed, 'document');
  /** References of the document mean the document, wherever the part of it stands. */
  const validate = (schema: object) =>
    ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as object);

  test('fit their schemas', () => {
    let seen = 0;
    for (const { operation } of operations)
      for (const part of [operation.requestBody, ...Object.values(operation.responses)])
        for (const { schema, example } of Object.values(part?.content ?? {})) {
          if (example === undefined) continue;
          seen++;
          const fits = validate(schema);
          expect(fits(example), `${operation.operationId} ${ajv.errorsText(fits.errors)}`).toBe(
            true,
          );
        }
    expect(seen).toBeGreaterThan(operations.length);
  });

  test('of a new order is accepted, and answered as the document shows', async () => {
    const create = committed.paths['/api/v1/orders']?.['post'];
    const shown = (part: Content | undefined) => part?.content?.['application/json']?.example;
    const answer = await target.order(shown(create?.requestBody));
    expect(answer.status, answer.text).toBe(202);
    const { id, number, version, created_at, updated_at, ...rest } = answer.json;
    expect([typeof id, typeof number, version]).toEqual(['string', 'number', 1]);
    expect(created_at).toBe(updated_at);
    expect(shown(create?.responses['202'])).toMatchObject(rest);
  });
});
