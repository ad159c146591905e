/**
 * The house rules of STYLE.md that no linter knows, each with a planted violation that proves that
 * it can fail, and with code that it must leave alone.
 */
import ts from 'typescript';
import {
  isCode,
  isGenerated,
  isTest,
  linesMatching,
  lineOf,
  nodes,
  nodesMatching,
  parse,
  within,
  type Source,
} from './sources.ts';

export interface HouseRule {
  readonly name: string;
  readonly applies: (file: string) => boolean;
  /** What breaks the rule, as sentences; empty for a file that keeps it. */
  readonly find: (source: Source) => string[];
  readonly planted: readonly Source[];
  readonly clean: readonly Source[];
}

const limits = { file: 400, function: 70, line: 100 };
const tools = ['scripts/', 'bench/', 'tests/'];

const codeOutside = (places: readonly string[]) => (file: string) =>
  isCode(file) && !isTest(file) && !within(file, places);

/** `object.property`, as in `process.env`. */
function isAccess(node: ts.Node, object: string, properties: readonly string[]): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    node.expression.getText() === object &&
    properties.includes(node.name.text)
  );
}

/** A word used as a value or imported: `randomUUID`, also as `crypto.randomUUID`. */
function isName(node: ts.Node, names: readonly string[]): boolean {
  return ts.isIdentifier(node) && names.includes(node.text);
}

function lines(count: number): string {
  return 'const value = 1;\n'.repeat(count);
}

const sizes: HouseRule[] = [
  {
    name: `a file has at most ${limits.file} lines`,
    applies: (file) => isCode(file) || file.endsWith('.sh'),
    find: ({ text }) => {
      const count = text.replace(/\n$/, '').split('\n').length;
      return count > limits.file ? [`${count} lines`] : [];
    },
    planted: [{ path: 'kit/long.ts', text: lines(limits.file + 1) }],
    clean: [{ path: 'kit/full.ts', text: lines(limits.file) }],
  },
  {
    name: `a line has at most ${limits.line} columns`,
    applies: (file) => !isGenerated(file) && !/\.(md|json|ya?ml)$/.test(file) && file !== 'LICENSE',
    find: ({ text }) =>
      text.split('\n').flatMap((line, index) => {
        const columns = Array.from(line).length;
        if (columns <= limits.line || /https?:\/\/\S{20}/.test(line)) return [];
        return [`line ${index + 1}: ${columns} columns`];
      }),
    planted: [{ path: 'kit/wide.ts', text: `// ${'wide '.repeat(20)}` }],
    clean: [{ path: 'kit/link.ts', text: `// https://example.com/${'a'.repeat(100)}` }],
  },
  {
    name: `a function has at most ${limits.function} lines`,
    applies: isCode,
    find: longFunctions,
    planted: [
      { path: 'kit/a.ts', text: `function long() {\n${lines(limits.function)}}` },
      { path: 'kit/b.test.ts', text: `test('x', () => {\n${lines(limits.function)}});` },
    ],
    clean: [
      { path: 'kit/a.ts', text: `function short() {\n${lines(limits.function - 2)}}` },
      { path: 'kit/b.test.ts', text: `describe('x', () => {\n${lines(limits.function)}});` },
    ],
  },
];

/**
 * A `describe`, or a function that declares tests under `tests/`, is a heading around them, not a
 * function that somebody has to read as one.
 */
function longFunctions(source: Source): string[] {
  const found: string[] = [];
  for (const node of nodes(source)) {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) continue;
    const { parent } = node;
    if (ts.isCallExpression(parent) && /^describe\b/.test(parent.expression.getText())) continue;
    if (source.path.startsWith('tests/') && declaresTests(node.body)) continue;
    const file = node.getSourceFile();
    const from = file.getLineAndCharacterOfPosition(node.getStart(file)).line;
    const count = file.getLineAndCharacterOfPosition(node.end).line - from + 1;
    if (count > limits.function) found.push(`line ${from + 1}: a function of ${count} lines`);
  }
  return found;
}

function declaresTests(body: ts.Node | undefined): boolean {
  const statements = body !== undefined && ts.isBlock(body) ? body.statements : [];
  return statements.some((statement) => /^(it|test)\b/.test(statement.getText()));
}

const places: HouseRule[] = [
  {
    name: 'the environment is read in kit/config.ts',
    applies: codeOutside([...tools, 'kit/config.ts', 'apps/server/waybill.mjs', 'sandbox/main.ts']),
    find: (source) => nodesMatching(source, (node) => isAccess(node, 'process', ['env'])),
    planted: [{ path: 'services/orders/store.ts', text: 'const port = process.env.PORT;' }],
    clean: [{ path: 'kit/db.ts', text: '// process.env is none of its business\nprocess.exit();' }],
  },
  {
    name: 'the time is read in kit/clock.ts',
    applies: codeOutside([...tools, 'kit/clock.ts', 'sandbox/']),
    find: (source) =>
      nodesMatching(
        source,
        (node) =>
          isAccess(node, 'Date', ['now']) ||
          isAccess(node, 'Temporal', ['Now']) ||
          (ts.isNewExpression(node) &&
            node.expression.getText() === 'Date' &&
            (node.arguments?.length ?? 0) === 0),
      ),
    planted: [
      { path: 'kit/db.ts', text: 'const now = Date.now();' },
      { path: 'kit/db.ts', text: 'const now = new Date();' },
      { path: 'services/orders/commands.ts', text: 'const now = Temporal.Now.instant();' },
    ],
    clean: [{ path: 'kit/db.ts', text: "const epoch = new Date(0); const day = new Date('x');" }],
  },
  {
    name: 'randomness comes from kit/ids.ts',
    applies: codeOutside([...tools, 'kit/ids.ts', 'sandbox/']),
    find: (source) =>
      nodesMatching(
        source,
        (node) =>
          isAccess(node, 'Math', ['random']) ||
          isName(node, ['randomUUID', 'randomBytes', 'randomInt', 'getRandomValues']),
      ),
    planted: [
      { path: 'kit/db.ts', text: 'const jitter = Math.random();' },
      { path: 'kit/db.ts', text: "import { randomUUID } from 'node:crypto';" },
      { path: 'kit/db.ts', text: 'const bytes = crypto.getRandomValues(new Uint8Array(8));' },
    ],
    clean: [{ path: 'kit/db.ts', text: "import { newId } from './ids.ts'; Math.round(1.5);" }],
  },
  {
    name: 'a service writes SQL in store.ts, views.ts and migrations',
    applies: (file) =>
      /^services\/.*\.ts$/.test(file) &&
      !isTest(file) &&
      !/\/([a-z]+-)?(store|views)\.ts$|\/migrations\//.test(file),
    find: (source) => nodesMatching(source, isSql),
    planted: [
      { path: 'services/orders/commands.ts', text: "query('select 1 from orders');" },
      { path: 'services/orders/routes.ts', text: 'query(`update orders set a = ${b}`);' },
      { path: 'services/orders/routes.ts', text: 'query(`\n  WITH rows AS (x) y`);' },
      { path: 'services/orders/routes.ts', text: 'query(sql`now()`);' },
    ],
    clean: [{ path: 'services/orders/routes.ts', text: "help('Update the order with care');" }],
  },
];

/** Keywords all in lower or all in upper case: prose that begins with "Update the" is no SQL. */
const statement = new RegExp(
  [
    String.raw`(select|SELECT)\s`,
    String.raw`(insert|INSERT)\s+(into|INTO)\s`,
    String.raw`(update|UPDATE)\s+\S+\s+(set|SET)\s`,
    String.raw`(delete|DELETE)\s+(from|FROM)\s`,
    String.raw`(with|WITH)\s+(recursive\s+|RECURSIVE\s+)?\w+\s+(as|AS)\b`,
  ]
    .map((start) => String.raw`^\s*${start}`)
    .join('|'),
);

function isSql(node: ts.Node): boolean {
  if (ts.isTaggedTemplateExpression(node)) return /^sql\b/.test(node.tag.getText());
  const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node);
  return isText && statement.test(node.text);
}

const language: HouseRule[] = [
  {
    name: 'no enums',
    applies: isCode,
    find: (source) => nodesMatching(source, ts.isEnumDeclaration),
    planted: [{ path: 'kit/a.ts', text: 'export enum Colour { red }' }],
    clean: [{ path: 'kit/a.ts', text: "type Colour = 'enum';" }],
  },
  {
    name: 'no decorators',
    applies: isCode,
    find: (source) => nodesMatching(source, ts.isDecorator),
    planted: [{ path: 'kit/a.ts', text: '@injectable class A {}' }],
    clean: [{ path: 'kit/a.ts', text: "import { x } from '@waybill/kit/x.ts';" }],
  },
  {
    name: 'no default exports',
    applies: (file) => isCode(file) && !/(^|\/)(\.[\w-]+|[\w-]+\.config)\.(ts|mjs)$/.test(file),
    find: (source) =>
      nodesMatching(
        source,
        (node) => ts.isExportAssignment(node) || node.kind === ts.SyntaxKind.DefaultKeyword,
      ).filter((line) => !line.includes('default:')),
    planted: [
      { path: 'kit/a.ts', text: 'const a = 1;\nexport default a;' },
      { path: 'kit/a.ts', text: 'export default function start() {}' },
    ],
    clean: [{ path: 'kit/a.ts', text: 'switch (a) {\n  default:\n    b();\n}' }],
  },
  {
    name: 'no barrels',
    applies: isCode,
    find: (source) => {
      const { statements } = parse(source);
      const isExport = (node: ts.Statement) =>
        ts.isExportDeclaration(node) || ts.isImportDeclaration(node);
      const passesOn = statements.some(ts.isExportDeclaration) && statements.every(isExport);
      return passesOn ? ['the file only passes on what others export'] : [];
    },
    planted: [
      { path: 'kit/all.ts', text: "export * from './a.ts';\nexport { b } from './b.ts';" },
      { path: 'kit/all.ts', text: "import { a } from './a.ts';\nexport { a };" },
    ],
    clean: [{ path: 'kit/a.ts', text: "export { Type } from 'typebox';\nexport const b = 1;" }],
  },
  {
    name: 'no casts to any',
    applies: isCode,
    find: (source) =>
      nodesMatching(
        source,
        (node) =>
          (ts.isAsExpression(node) || ts.isTypeAssertionExpression(node)) &&
          node.type.kind === ts.SyntaxKind.AnyKeyword,
      ),
    planted: [{ path: 'kit/a.ts', text: 'const a = b as any;' }],
    clean: [{ path: 'kit/a.ts', text: "const a = 'as any' as string;" }],
  },
  {
    name: 'no silenced compiler',
    applies: isCode,
    find: (source) => linesMatching(source, new RegExp(`@ts-${'(ignore|nocheck)'}`)),
    planted: [{ path: 'kit/a.ts', text: `// @ts-${'ignore'}\nconst a: string = 1;` }],
    clean: [{ path: 'kit/a.ts', text: 'const a = 1;' }],
  },
  {
    name: 'no test is skipped or favoured',
    applies: (file) => isCode(file) && isTest(file),
    find: (source) =>
      nodesMatching(
        source,
        (node) =>
          ts.isCallExpression(node) &&
          /^(test|it|describe|suite|bench)\b.*\.(skip|only|todo|fails)\b/.test(
            node.expression.getText(),
          ),
      ),
    planted: [
      { path: 'kit/a.test.ts', text: "test.skip('x', () => {});" },
      { path: 'kit/a.test.ts', text: "describe.only('x', () => {});" },
      { path: 'kit/a.test.ts', text: "it.only.each([1])('x', () => {});" },
    ],
    clean: [{ path: 'kit/a.test.ts', text: "test.skipIf(!here)('x', () => {});\nlist.skip(3);" }],
  },
];

// The words are put together here so that this file does not break its own rules.
// In quotes the third is a currency code that stands for no currency.
const promises = new RegExp(`\\b(${'TO' + 'DO'}|${'FIX' + 'ME'}|(?<!')${'XX' + 'X'}(?!'))\\b`);
const ownFolders = ['home', 'Users', 'root', 'work', 'workspace'].join('|');
const workplace = new RegExp(`(^|[^\\w./])/(${ownFolders})/`);
const hosts = new RegExp(
  [
    String.raw`\b${'registry'}\.(npmjs|yarnpkg|npmmirror)\b`,
    String.raw`\bnpm\.pkg\.github\b`,
    String.raw`"${'resolved'}":\s*"http`,
  ].join('|'),
);

const words: HouseRule[] = [
  {
    name: 'nothing is promised in comments: it is done, or it is an issue',
    applies: (file) => file !== 'package-lock.json',
    find: (source) => linesMatching(source, promises),
    planted: [{ path: 'kit/a.ts', text: `// ${'TO' + 'DO'}: later` }],
    clean: [{ path: 'kit/a.ts', text: 'const todos = [];' }],
  },
  {
    name: 'no path of somebody’s machine',
    applies: (file) => file !== 'package-lock.json',
    find: (source) => linesMatching(source, workplace),
    planted: [
      { path: 'docs/a.md', text: `see /${'home'}/olga/notes.md` },
      { path: 'docs/a.md', text: `/${'root'}/README.md` },
    ],
    clean: [{ path: 'docs/a.md', text: 'network/work/flow and ./work/ and node_modules/work' }],
  },
  {
    name: 'no package host is named',
    applies: () => true,
    find: (source) => linesMatching(source, hosts),
    planted: [
      { path: 'package-lock.json', text: `  "${'resolved'}": "https://packages.example/a.tgz",` },
      { path: '.npmrc', text: `@x:registry=https://${'registry'}.npmjs.org/` },
    ],
    clean: [{ path: 'package-lock.json', text: `  "${'resolved'}": "services/orders",` }],
  },
];

export const houseRules: readonly HouseRule[] = [...sizes, ...places, ...language, ...words];

/** The settings declared in the code: object literals with an `env` and a `help`. */
export function declaredSettings(source: Source): { name: string; fallback: string | undefined }[] {
  const found: { name: string; fallback: string | undefined }[] = [];
  for (const node of nodes(source)) {
    if (!ts.isObjectLiteralExpression(node)) continue;
    const values = new Map<string, string>();
    for (const property of node.properties) {
      if (!ts.isPropertyAssignment(property)) continue;
      const { initializer: value } = property;
      values.set(property.name.getText(), ts.isStringLiteralLike(value) ? value.text : '');
    }
    const name = values.get('env');
    if (name === undefined || !values.has('help')) continue;
    if (name === '') throw new Error(`${source.path}:${lineOf(node)}: env must be a literal`);
    found.push({ name, fallback: values.get('fallback') });
  }
  return found;
}
