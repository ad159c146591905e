/** A typed client, generated from the published document, compiles – and refuses what is wrong. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import openapi, { astToString } from 'openapi-typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'waybill-client-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  const document = readFileSync(join(root, 'docs', 'openapi.json'), 'utf8');
  writeFileSync(join(folder, 'schema.ts'), astToString(await openapi(document)));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'esnext',
    module: 'nodenext',
    lib: ['esnext', 'dom'],
    types: [],
    allowImportingTsExtensions: true,
    exactOptionalPropertyTypes: true,
  };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['use.ts'] }),
  );
});

/** What the compiler says of a program that uses the client. */
function compile(program: string): string {
  writeFileSync(join(folder, 'use.ts'), `${CLIENT}\n${program}\n`);
  const { stdout, status } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}` },
  });
  return status === 0 ? '' : stdout;
}

const CLIENT = `
import type { components, operations } from './schema.ts';
type Order = components['schemas']['Order'];
type NewOrder = components['schemas']['CreateOrder'];
type Refused = operations['postOrders']['responses'][422]['content']['application/problem+json'];

async function accept(order: NewOrder, key: string): Promise<Order | Refused> {
  const response = await fetch('/api/v1/orders', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(order),
  });
  return (await response.json()) as Order | Refused;
}
const item = { item_id: 'i', item_name: 'Burger', quantity: 2, price: 12.99 };
`;

test('an everyday use compiles', () => {
  const program = `
    const answer = await accept({ customer_id: 'c', items: [item], currency: 'USD' }, 'k');
    if ('code' in answer) {
      const code: 'idempotency_key_reused' | 'invalid_body' | string = answer.code;
      console.log(code, answer.errors?.map((fault) => fault.pointer));
    } else {
      const cancelled: boolean = answer.status === 'CANCELLED';
      const total: number = answer.total_amount;
      console.log(cancelled, total, answer.payment_attempts.at(-1)?.error_message ?? 'none');
    }
    const query: operations['getOrders']['parameters']['query'] = { status: 'paid', page_size: 5 };
    const list = {} as operations['getOrders']['responses'][200]['content']['application/json'];
    const next: string | null = list.next_cursor;
    console.log(query, next, list.orders[0]?.number.toFixed());
`;
  expect(compile(program)).toBe('');
});

test.each([
  ['a status that there is not', 'TS2367', `({} as Order).status === 'PAID';`],
  ['an order without items', 'TS2741', `await accept({ customer_id: 'c' }, 'k');`],
  [
    'a price as text',
    'TS2322',
    `await accept({ customer_id: 'c', items: [{ ...item, price: '1' }] }, 'k');`,
  ],
  ['a code that is not documented', 'TS2367', `({} as Refused).code === 'out_of_stock';`],
  ['a field that there is not', 'TS2339', `({} as Order).total;`],
])('%s does not compile', (_what, fault, program) => {
  const faults = compile(program).match(/error TS\d+/g);
  expect(faults).toEqual([`error ${fault}`]);
});
