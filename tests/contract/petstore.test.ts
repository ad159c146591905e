/**
 * The petstore's contract: every operation, status and schema of its document against the running
 * server, and a client made from the document that lives through the whole life of a pet.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve as pathOf } from 'node:path';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import openapi, { astToString } from 'openapi-typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOnce } from '../attacks/client.ts';
import { readPetstore, type Operation, type Schema } from './petstore-document.ts';
import { casesOf, type Case, type World } from './petstore-walk.ts';

const petstore = readPetstore();
const target = startOnce();
const PASSWORD = 'correct-horse-battery';

/** A picture of one pixel. */
const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk' +
    'Jggg==',
  'base64',
);

let serial = 0;
const freshId = () => 700_000 + serial++;
const freshName = () => `walker-${serial++}`;

async function make(path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await target.ask({ path: `/api/v3${path}`, method: 'POST', body });
  expect(answer.status, `POST ${path} ${answer.text}`).toBe(200);
  return answer.json;
}

const world: World = {
  pet: async () => (await make('/pet', { name: 'doggie', photoUrls: [] }))['id'] as number,
  order: async () => (await make('/store/order', { petId: await world.pet() }))['id'] as number,
  async user() {
    const username = freshName();
    await make('/user', { username, email: `${username}@example.com`, password: PASSWORD });
    return username;
  },
  freshId,
  freshName,
  password: PASSWORD,
  picture: PICTURE,
};

const ajv = new Ajv({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema({ $id: 'petstore', components: petstore.components });

/** References of the document mean the document. */
function faultsOf(schema: Schema, value: unknown): string {
  const text = JSON.stringify(schema).replaceAll('"#/', '"petstore#/');
  const validate = ajv.compile(JSON.parse(text) as object);
  return validate(value) ? '' : ajv.errorsText(validate.errors);
}

async function send({ operation, path, body, raw, contentType }: Case) {
  const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const reply = await fetch(target.process.url + path, {
    method: operation.method,
    headers: content === undefined ? {} : { 'content-type': contentType ?? 'application/json' },
    ...(content === undefined ? {} : { body: content }),
  });
  const text = await reply.text();
  const type = reply.headers.get('content-type') ?? '';
  return { status: reply.status, type, text, json: text === '' ? undefined : JSON.parse(text) };
}

const statusesOf = ({ replies }: Operation) => [...replies.keys()];

test('the document has nineteen operations', () => {
  expect(petstore.operations).toHaveLength(19);
  expect(new Set(petstore.operations.map(({ id }) => id)).size).toBe(19);
});

describe.each(petstore.operations)('$method $path', (operation) => {
  test('answers with every status of its document, in the schema of each', async () => {
    const seen = new Set<number>();
    for (const one of await casesOf(petstore, operation, world)) {
      const { status, type, text, json } = await send(one);
      const told = `${one.name}: ${status} ${text.slice(0, 300)}`;
      seen.add(status);
      if (status < 300) {
        const schema = operation.replies.get(status);
        if (schema !== undefined) {
          expect(type, told).toMatch(/^application\/json\b/);
          expect(faultsOf(schema, json), told).toBe('');
        }
      } else {
        expect(type, told).toMatch(/^application\/problem\+json\b/);
        expect(json, told).toMatchObject({ status });
      }
      // Where the document has no word for it, any refusal but ours is as good as ours.
      if (one.expect === 200 || operation.replies.has(one.expect))
        expect(status, told).toBe(one.expect);
      else expect(Math.floor(status / 100), told).toBe(4);
    }
    expect(statusesOf(operation).filter((status) => !seen.has(status))).toEqual([]);
  });

  test('stands in our own document with its parameters and statuses', async () => {
    const { json } = await target.ask({ path: '/openapi.json' });
    const { paths } = json as { paths: Record<string, Record<string, Described>> };
    const ours = paths[operation.path]?.[operation.method.toLowerCase()];
    expect(ours).toBeDefined();
    const names = (ours?.parameters ?? []).map(({ name }) => name);
    const theirs = operation.parameters.filter(({ in: place }) => place !== 'header');
    expect(theirs.map(({ name }) => name).filter((name) => !names.includes(name))).toEqual([]);
    const told = Object.keys(ours?.responses ?? {}).map(Number);
    expect(statusesOf(operation).filter((status) => !told.includes(status))).toEqual([]);
  });
});

interface Described {
  readonly parameters?: readonly { readonly name: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
}

describe('a client made from the document', () => {
  const root = pathOf(import.meta.dirname, '../..');
  const folder = mkdtempSync(join(tmpdir(), 'waybill-petstore-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const run = (command: string, ...values: string[]) =>
    spawnSync(join(root, 'node_modules/.bin', command), values, {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` },
    });

  beforeAll(async () => {
    writeFileSync(join(folder, 'petstore.ts'), astToString(await openapi(petstore.text)));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: 'esnext',
      module: 'nodenext',
      lib: ['esnext', 'dom'],
      types: [],
      allowImportingTsExtensions: true,
    };
    const config = { compilerOptions, files: ['life.ts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  });

  const compile = (program: string) => {
    writeFileSync(join(folder, 'life.ts'), program);
    return run('tsc', '-p', folder).stdout;
  };

  test('compiles, and lives through the whole life of a pet', () => {
    expect(compile(LIFE)).toBe('');
    const { stdout, stderr } = run('node', join(folder, 'life.ts'), target.process.url);
    expect(stderr.replaceAll(/^.*Warning.*$/gm, '').trim()).toBe('');
    expect(stdout.trim().split('\n')).toEqual([
      'user created',
      'logged in',
      'pet available',
      'photo uploaded',
      'found by status and tag',
      'order placed, pet pending',
      'nobody else gets it: 409',
      'it cannot be deleted: 409',
      'order approved, pet sold',
      'order delivered',
      'order complete',
      'inventory counts it',
      'user deleted',
    ]);
  });

  test('does not compile when it is used wrongly', () => {
    expect(compile(LIFE.replace("name: 'Rex'", 'name: 7'))).toMatch(/TS2322/);
    expect(compile(LIFE.replace("'/store/inventory'", "'/store/nothing'"))).toMatch(
      /TS2339|TS2345/,
    );
  });
});

/** The petstore's own part goes through the generated types; the owner's steps are Waybill's. */
const LIFE = `
import type { components, paths } from './petstore.ts';
type Pet = components['schemas']['Pet'];
type Order = components['schemas']['Order'];
type User = components['schemas']['User'];
declare const process: { argv: string[] };
declare const console: { log(text: string): void };

const base = process.argv[2] ?? '';
const PICTURES = 'application/octet-stream';
const JSON_TYPE = 'application/json';
async function call<Result>(
  method: string, path: keyof paths, body?: unknown, values: Record<string, string | number> = {},
  query: Record<string, string> = {},
): Promise<{ status: number; body: Result }> {
  const isPicture = body instanceof Uint8Array;
  const target = path.replace(/\\{(\\w+)\\}/g, (_, name: string) => String(values[name]));
  const reply = await fetch(base + '/api/v3' + target + '?' + new URLSearchParams(query), {
    method,
    headers: body === undefined ? {} : { 'content-type': isPicture ? PICTURES : JSON_TYPE },
    ...(body === undefined ? {} : { body: isPicture ? body as never : JSON.stringify(body) }),
  });
  const text = await reply.text();
  return { status: reply.status, body: (text === '' ? undefined : JSON.parse(text)) as Result };
}
function check(condition: boolean, text: string): void {
  console.log(condition ? text : 'NOT SO: ' + text);
}
async function until(condition: () => Promise<boolean>): Promise<boolean> {
  for (let turn = 0; turn < 100; turn++) {
    if (await condition()) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
}

const name = 'life-' + Math.random().toString(36).slice(2);
const user: User = {
  username: name, firstName: 'Ann', email: name + '@example.com', password: '${PASSWORD}',
};
check((await call<User>('POST', '/user', user)).body.username === name, 'user created');
const session = await call<string>(
  'GET', '/user/login', undefined, {}, { username: name, password: '${PASSWORD}' });
check(session.status === 200 && typeof session.body === 'string', 'logged in');

const wanted: Pet = { name: 'Rex', photoUrls: [], tags: [{ id: 1, name: name }] };
const pet = (await call<Pet>('POST', '/pet', wanted)).body;
const petId = pet.id ?? 0;
check(pet.status === 'available', 'pet available');
const picture = Uint8Array.from(atob('${PICTURE.toString('base64')}'), (c) => c.charCodeAt(0));
const upload = await call<components['schemas']['ApiResponse']>(
  'POST', '/pet/{petId}/uploadImage', picture, { petId });
const photos = (await call<Pet>('GET', '/pet/{petId}', undefined, { petId })).body.photoUrls;
check(upload.status === 200 && photos.length === 1, 'photo uploaded');
const byStatus = await call<Pet[]>(
  'GET', '/pet/findByStatus', undefined, {}, { status: 'available' });
const byTag = await call<Pet[]>('GET', '/pet/findByTags', undefined, {}, { tags: name });
check(
  Array.isArray(byStatus.body) && byTag.body.some(({ id }) => id === petId),
  'found by status and tag');

const wish: Order = { petId, quantity: 1, shipDate: new Date().toISOString() };
const order = (await call<Order>('POST', '/store/order', wish)).body;
const orderId = order.id ?? 0;
const standing = async () =>
  (await call<Pet>('GET', '/pet/{petId}', undefined, { petId })).body.status;
check(order.status === 'placed' && (await standing()) === 'pending', 'order placed, pet pending');
check((await call('POST', '/store/order', wish)).status === 409, 'nobody else gets it: 409');
check((await call('DELETE', '/pet/{petId}', undefined, { petId })).status === 409,
  'it cannot be deleted: 409');

const step = (what: string) =>
  fetch(base + '/api/v1/orders/' + orderId + '/' + what, { method: 'POST' });
const read = async () =>
  (await call<Order>('GET', '/store/order/{orderId}', undefined, { orderId })).body;
await step('approve');
const sold = async () => (await standing()) === 'sold';
check((await read()).status === 'approved' && await until(sold), 'order approved, pet sold');
await step('deliver');
check((await read()).status === 'delivered', 'order delivered');
await step('complete');
check((await read()).complete === true, 'order complete');
type Counts =
  paths['/store/inventory']['get']['responses'][200]['content']['application/json'];
check(
  await until(async () => ((await call<Counts>('GET', '/store/inventory')).body['sold'] ?? 0) > 0),
  'inventory counts it');
check((await call('DELETE', '/user/{username}', undefined, { username: name })).status === 200,
  'user deleted');
`;
