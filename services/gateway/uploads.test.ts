/** Uploads through the entrance: on their way to a service of another process. */
import { afterEach, expect, test } from 'vitest';
import { route } from '@waybill/kit/route.ts';
import { defineService } from '@waybill/kit/service.ts';
import { start, startGateway, stopAll } from '../../tests/support/entrance.ts';

afterEach(stopAll);

const MAX = 8 * 1024 * 1024;
const path = '/api/v1/orders/upload';

/** Stands where the gateway expects the orders service. */
const orders = defineService({
  name: 'orders',
  description: 'Takes uploads.',
  paths: ['/api/v1/orders'],
  settings: {},
  create: (base) => base,
  routes: [
    route({
      method: 'POST',
      path,
      access: ['operator'],
      summary: 'Counts bytes.',
      upload: { maxBytes: MAX },
      replies: { 200: { description: 'How many there were.' } },
      handle: async ({ rawBody }) => ({ status: 200, body: { bytes: rawBody?.length } }),
    }),
  ],
  consumers: [],
  tasks: [],
  sweeps: [],
});

async function send(url: string, bytes: number, type = 'application/octet-stream') {
  const reply = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': type },
    body: new Uint8Array(bytes),
  });
  return { status: reply.status, json: (await reply.json()) as Record<string, unknown> };
}

test.each(['together', 'apart'])('pass up to the limit of their route, %s', async (topology) => {
  const { url } =
    topology === 'together'
      ? await startGateway({}, [orders])
      : await startGateway({ DISCOVERY_URL: `static:orders=${(await start([orders])).url}` });
  expect(await send(url, MAX)).toEqual({ status: 200, json: { bytes: MAX } });
  for (const bytes of [MAX + 1, 11 * 1024 * 1024])
    expect(await send(url, bytes)).toMatchObject({
      status: 413,
      json: {
        code: 'body_too_large',
        detail: expect.stringMatching(/ (8388608|10485760) bytes/) as string,
      },
    });
  expect((await send(url, 10, 'image/png')).status).toBe(415);
  // What is no upload keeps the limit of a megabyte.
  expect((await send(url, 1024 * 1024 + 1, 'application/json')).status).not.toBe(200);
});

test('of callers who are not known are not taken in', async () => {
  const behind = await start([orders]);
  const { url } = await startGateway({
    AUTH_MODE: 'jwt',
    DISCOVERY_URL: `static:orders=${behind.url}`,
  });
  expect(await send(url, 10)).toMatchObject({ status: 401, json: { code: 'unauthenticated' } });
});
