/** What routes may say of their bodies, parameters and answers, over real HTTP. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort, start, stopAll } from '../tests/support/entrance.ts';
import { route } from './route.ts';
import { Type } from './schema.ts';
import { defineService } from './service.ts';

const access = 'public' as const;
const summary = 'A route of the test.';
const replies = { 200: { description: 'What came.' } };
let received = 0;

const things = defineService({
  name: 'things',
  description: 'Routes of the test.',
  paths: ['/things'],
  settings: {},
  create: (base) => base,
  routes: [
    route({
      method: 'POST',
      path: '/things/upload',
      access,
      summary,
      replies,
      upload: { maxBytes: 2000 },
      idempotent: true,
      query: Type.Object({ name: Type.Optional(Type.String()) }, { additionalProperties: false }),
      async handle({ body, rawBody, idempotency }) {
        received++;
        const fingerprint = idempotency?.fingerprint.toString('hex');
        return { status: 200, body: { body, bytes: rawBody?.toString('hex'), fingerprint } };
      },
    }),
    route({
      method: 'POST',
      path: '/things/json',
      access,
      summary,
      replies,
      body: Type.Object({}, { additionalProperties: true }),
      handle: async ({ body, rawBody }) => ({ status: 200, body: { body, raw: rawBody } }),
    }),
    route({
      method: 'GET',
      path: '/things/{id}',
      access,
      summary,
      replies,
      params: Type.Object({ id: Type.Integer() }),
      query: Type.Object(
        {
          many: Type.Optional(Type.Array(Type.String({ maxLength: 5 }), { maxItems: 3 })),
          one: Type.Optional(Type.String()),
        },
        { additionalProperties: false },
      ),
      handle: async ({ params, query }) => ({ status: 200, body: { ...params, ...query } }),
    }),
    route({
      method: 'GET',
      path: '/things/picture',
      access,
      summary,
      replies,
      handle: async () => ({
        status: 200,
        body: Buffer.from([0, 255, 1]),
        headers: { 'content-type': 'image/webp' },
      }),
    }),
  ],
  consumers: [],
  tasks: [],
  sweeps: [],
});

let url: string;
let port: number;

beforeAll(async () => {
  port = await freePort();
  url = `${(await start([things], { PORT: String(port) })).url}/things`;
});
afterAll(stopAll);

async function ask(path: string, init: RequestInit = {}) {
  const reply = await fetch(url + path, init);
  return { status: reply.status, json: (await reply.json()) as Record<string, unknown> };
}

const octets = { 'content-type': 'application/octet-stream' };
const json = { 'content-type': 'application/json' };
const upload = (body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = octets) =>
  ask('/upload', { method: 'POST', headers, body });

describe('an upload', () => {
  test('is taken as it came, whatever it looks like', async () => {
    for (const bytes of [Uint8Array.of(0, 255, 10), Buffer.from('{"a":1,"a":2}')]) {
      const { status, json: told } = await upload(new Uint8Array(bytes));
      expect([status, told['bytes'], told['body']]).toEqual([
        200,
        Buffer.from(bytes).toString('hex'),
        undefined,
      ]);
    }
  });

  test('may be empty or absent, which is for the route to judge', async () => {
    expect((await ask('/upload', { method: 'POST' })).status).toBe(200);
    expect((await upload('')).status).toBe(200);
  });

  test('is held to the limit of its route, and to its type', async () => {
    expect((await upload(new Uint8Array(2000))).status).toBe(200);
    const large = await upload(new Uint8Array(2001));
    expect(large).toMatchObject({ status: 413, json: { code: 'body_too_large' } });
    expect(large.json['detail']).toContain('2000');
    const types = ['application/json', 'image/png', 'text/plain', 'application/octet-stream; a=b'];
    for (const type of types)
      expect(await upload('{}', { 'content-type': type })).toMatchObject({
        status: 415,
        json: { code: 'unsupported_media_type' },
      });
    const packed = await upload('x', { ...octets, 'content-encoding': 'gzip' });
    expect(packed.json['code']).toBe('unsupported_encoding');
  });

  test('has a fingerprint of its bytes', async () => {
    const of = async (text: string) =>
      (await upload(text, { ...octets, 'idempotency-key': 'k' })).json['fingerprint'];
    expect(await of('a')).toMatch(/^[\da-f]{64}$/);
    expect(await of('a')).toBe(await of('a'));
    expect(await of('a')).not.toBe(await of('b'));
  });

  test('that stops half-way reaches nobody', async () => {
    const before = received;
    const socket = connect(port, '127.0.0.1');
    socket.write(
      'POST /things/upload HTTP/1.1\r\nhost: 127.0.0.1\r\n' +
        'content-type: application/octet-stream\r\ncontent-length: 1000\r\n\r\nhalf',
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.destroy();
    expect((await upload('after')).status).toBe(200);
    expect(received).toBe(before + 1);
  });
});

test('every other route takes JSON alone, of the usual size', async () => {
  const send = (headers: Record<string, string>, body: string) =>
    ask('/json', { method: 'POST', headers, body });
  expect((await send(octets, '{}')).json['code']).toBe('unsupported_media_type');
  expect((await send(json, '{"a":1,"a":2}')).json['code']).toBe('malformed_json');
  expect((await send(json, `{"a":"${'x'.repeat(2000)}"}`)).status).toBe(200);
  const large = await send(json, `{"a":"${'x'.repeat(1024 * 1024)}"}`);
  expect(large).toMatchObject({ status: 413, json: { code: 'body_too_large' } });
});

describe('a parameter', () => {
  test('that is declared an array is one, however often it is given', async () => {
    expect((await ask('/1?many=a')).json).toMatchObject({ many: ['a'] });
    expect((await ask('/1?many=a&many=b,c')).json).toMatchObject({ many: ['a', 'b,c'] });
    expect((await ask('/1')).json).toEqual({ id: 1 });
  });

  test.each([
    ['many=a&many=b&many=c&many=d', 422, 'invalid_query'],
    ['many=a&many=toolong', 422, 'invalid_query'],
    ['many=a&many=%00', 422, 'invalid_query'],
    ['many[]=a', 400, 'repeated_parameter'],
    ['one=a&one=b', 400, 'repeated_parameter'],
  ])('%s is refused', async (query, status, code) => {
    expect(await ask(`/1?${query}`)).toMatchObject({ status, json: { code } });
  });

  test('that is declared a whole number is read when it is kept exactly', async () => {
    expect((await ask('/9007199254740991')).json['id']).toBe(9_007_199_254_740_991);
    expect((await ask('/-1')).json['id']).toBe(-1);
    for (const text of ['9007199254740993', '99999999999999999999', '01', '1e3', '0x10', '1.5'])
      expect(await ask(`/${text}`)).toMatchObject({ status: 400, json: { code: 'invalid_path' } });
  });
});

test('an answer of bytes has the type that it names', async () => {
  const reply = await fetch(`${url}/picture`);
  expect(reply.headers.get('content-type')).toBe('image/webp');
  expect(Buffer.from(await reply.arrayBuffer())).toEqual(Buffer.from([0, 255, 1]));
});
