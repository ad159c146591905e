/** Examples from schemas, so that a document shows what a contract means without a second copy. */
import type { TSchema } from './schema.ts';

interface Described {
  readonly type?: string;
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Described[];
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
  readonly format?: string;
}

const WORDS: Readonly<Record<string, string>> = {
  'date-time': '2026-01-02T03:04:05.678Z',
  date: '2026-01-02',
  email: 'ada@example.org',
  uuid: '019a0000-0000-7000-8000-000000000001',
};

/** The schema's own example, or one put together from those of its parts. */
export function exampleOf(schema: TSchema): unknown {
  return example(schema);
}

function example(schema: Described): unknown {
  if (schema.examples !== undefined) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.anyOf !== undefined) return example(schema.anyOf[0] ?? {});
  switch (schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([name, part]) => [name, example(part)]),
      );
    case 'array':
      return schema.items === undefined ? [] : [example(schema.items)];
    case 'integer':
      return 1;
    case 'number':
      return 12.99;
    case 'boolean':
      return true;
    case 'string':
      return WORDS[schema.format ?? ''] ?? 'text';
    default:
      return null;
  }
}
