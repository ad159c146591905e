/**
 * Proves that every boundary of .dependency-cruiser.mjs can be seen to be crossed: a small
 * repository that keeps them all, then the same one with one violation of each.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from './support/sources.ts';

const parts = ['apps/server', 'kit', 'services/orders', 'services/payments', 'sandbox', 'bench'];

/** One file of each kind, joined as the house joins them. */
const lawful: Readonly<Record<string, string>> = {
  'kit/errors.ts': 'export class Refusal extends Error {}',
  'kit/money.ts':
    "import { Refusal } from './errors.ts';\nexport const none = () => new Refusal();",
  'kit/schema.ts': "import { Type } from 'typebox';\nexport const Name = Type.String();",
  'kit/db.ts': "import { none } from './money.ts';\nexport const tx = none;",
  'kit/lonely.ts': "import { tx } from './db.ts';\nexport const alone = tx;",
  'services/payments/contract.ts':
    "import { Name } from '@waybill/kit/schema.ts';\nexport const Payment = Name;",
  'services/payments/commands.ts':
    "import { Payment } from './contract.ts';\nexport const charge = Payment;",
  'services/payments/index.ts': "import { charge } from './commands.ts';\nexport const p = charge;",
  'services/orders/contract.ts':
    "import { Name } from '@waybill/kit/schema.ts';\nexport const Order = Name;",
  'services/orders/door-contract.ts':
    "import { Order } from './contract.ts';\nexport const Door = Order;",
  'services/orders/rules.ts':
    "import { none } from '@waybill/kit/money.ts';\nimport { Order } from './contract.ts';\n" +
    "import { Door } from './door-contract.ts';\nexport const rule = [none, Order, Door];",
  'services/orders/store.ts':
    "import { tx } from '@waybill/kit/db.ts';\nimport { rule } from './rules.ts';\n" +
    'export const save = [tx, rule];',
  'services/orders/commands.ts':
    "import { Payment } from '@waybill/payments/contract.ts';\n" +
    "import { save } from './store.ts';\n" +
    'export const accept = [Payment, save];',
  'services/orders/index.ts': "import { accept } from './commands.ts';\nexport const o = accept;",
  'services/orders/service.test.ts':
    "import { charge } from '@waybill/payments/commands.ts';\nexport const t = charge;",
  'sandbox/main.ts': "import { Type } from 'typebox';\nexport const sandbox = Type;",
  'apps/server/main.ts':
    "export const table = { orders: () => import('@waybill/orders/index.ts') };\n" +
    "export const sandbox = () => import('@waybill/sandbox/main.ts');",
};

/** What is imported in addition, and the rule that must then speak. */
const unlawful: readonly { rule: string; file: string; adds: string; to: string }[] = [
  {
    rule: 'a-contract-of-a-door-is-a-leaf',
    file: 'services/orders/door-contract.ts',
    adds: '@waybill/payments/contract.ts',
    to: 'services/payments/contract.ts',
  },
  {
    rule: 'only-the-contract-of-another-service',
    file: 'services/orders/commands.ts',
    adds: '@waybill/payments/commands.ts',
    to: 'services/payments/commands.ts',
  },
  {
    rule: 'only-the-contract-of-another-service',
    file: 'services/orders/index.ts',
    adds: '../payments/index.ts',
    to: 'services/payments/index.ts',
  },
  {
    rule: 'a-contract-is-a-leaf',
    file: 'services/orders/contract.ts',
    adds: '@waybill/payments/contract.ts',
    to: 'services/payments/contract.ts',
  },
  {
    rule: 'a-contract-is-a-leaf',
    file: 'services/payments/contract.ts',
    adds: '@waybill/kit/db.ts',
    to: 'kit/db.ts',
  },
  {
    rule: 'a-contract-is-a-leaf',
    file: 'services/payments/contract.ts',
    adds: 'node:fs',
    to: 'fs',
  },
  {
    rule: 'the-kit-knows-no-service',
    file: 'kit/db.ts',
    adds: '@waybill/payments/contract.ts',
    to: 'services/payments/contract.ts',
  },
  { rule: 'rules-are-pure', file: 'services/orders/rules.ts', adds: 'node:crypto', to: 'crypto' },
  {
    rule: 'rules-are-pure',
    file: 'services/orders/rules.ts',
    adds: '@waybill/kit/db.ts',
    to: 'kit/db.ts',
  },
  {
    rule: 'rules-are-pure',
    file: 'services/orders/rules.ts',
    adds: '@waybill/payments/contract.ts',
    to: 'services/payments/contract.ts',
  },
  {
    rule: 'a-store-knows-its-own-data',
    file: 'services/orders/store.ts',
    adds: '@waybill/payments/contract.ts',
    to: 'services/payments/contract.ts',
  },
  {
    rule: 'a-store-knows-its-own-data',
    file: 'services/orders/store.ts',
    adds: './commands.ts',
    to: 'services/orders/commands.ts',
  },
  {
    rule: 'a-service-knows-no-host',
    file: 'services/orders/index.ts',
    adds: '@waybill/sandbox/main.ts',
    to: 'sandbox/main.ts',
  },
  {
    rule: 'the-sandbox-stands-alone',
    file: 'sandbox/main.ts',
    adds: '@waybill/kit/errors.ts',
    to: 'kit/errors.ts',
  },
  {
    rule: 'an-app-opens-a-service-by-its-index',
    file: 'apps/server/main.ts',
    adds: '@waybill/orders/store.ts',
    to: 'services/orders/store.ts',
  },
  {
    rule: 'nothing-runs-on-tests',
    file: 'kit/lonely.ts',
    adds: '@waybill/orders/service.test.ts',
    to: 'services/orders/service.test.ts',
  },
  { rule: 'nothing-unresolvable', file: 'kit/db.ts', adds: './nowhere.ts', to: './nowhere.ts' },
];

let folder = '';

function write(file: string, text: string) {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), `${text}\n`);
}

/** The violations that dependency-cruiser reports in the small repository, as `rule from to`. */
function violations(): { found: string[]; read: number } {
  const folders = ['apps', 'kit', 'services', 'sandbox', 'bench'];
  const output = execFileSync(
    path.join(root, 'node_modules/.bin/depcruise'),
    ['--config', '.dependency-cruiser.mjs', '--output-type', 'json', ...folders],
    { cwd: folder, encoding: 'utf8' },
  );
  const report = JSON.parse(output) as {
    modules: { source: string }[];
    summary: { violations: { rule: { name: string }; from: string; to: string }[] };
  };
  return {
    found: report.summary.violations.map(({ rule, from, to }) => `${rule.name} ${from} ${to}`),
    read: report.modules.filter(({ source }) => source in lawful).length,
  };
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'waybill-boundaries-'));
  for (const file of ['.dependency-cruiser.mjs', 'tsconfig.json'])
    cpSync(path.join(root, file), path.join(folder, file));
  write('package.json', '{"name":"small","type":"module","dependencies":{"typebox":"1.0.0"}}');
  mkdirSync(path.join(folder, 'node_modules/@waybill'), { recursive: true });
  for (const name of ['typebox', 'fastify'])
    symlinkSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name));
  for (const part of parts) {
    const name = `@waybill/${path.basename(part)}`;
    write(`${part}/package.json`, `{"name":"${name}","type":"module","exports":{"./*":"./*"}}`);
    symlinkSync(path.join(folder, part), path.join(folder, 'node_modules', name));
  }
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('a repository that keeps every boundary passes', () => {
  for (const [file, text] of Object.entries(lawful)) write(file, text);
  expect(violations()).toEqual({ found: [], read: Object.keys(lawful).length });
});

test('every boundary that is crossed is reported', () => {
  const additions = new Map<string, string>();
  for (const { file, adds } of unlawful)
    additions.set(file, `${additions.get(file) ?? ''}import '${adds}';\n`);
  for (const [file, text] of Object.entries(lawful))
    write(file, (additions.get(file) ?? '') + text);
  write('kit/orphan.ts', 'export const orphan = 1;');
  write('kit/package-user.ts', "import 'fastify';\nimport './circle.ts';");
  write('kit/circle.ts', "import './package-user.ts';");
  const { found } = violations();
  const expected = unlawful.map(({ rule, file, to }) => `${rule} ${file} ${to}`);
  expect(found).toEqual(expect.arrayContaining(expected));
  expect(found).toContain('no-orphans kit/orphan.ts kit/orphan.ts');
  expect(found).toContain('no-cycles kit/circle.ts kit/package-user.ts');
  expect(found.some((line) => line.startsWith('no-undeclared-packages kit/package-user.ts'))).toBe(
    true,
  );
});
