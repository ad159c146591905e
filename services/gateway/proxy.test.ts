import { afterEach, describe, expect, test } from 'vitest';
import { ask, sendRaw, stopAll } from '../../tests/support/entrance.ts';
import {
  closeServers,
  gatewayTo,
  orders,
  ordersPath,
  strange,
} from '../../tests/support/upstreams.ts';

const path = ordersPath;
const json = { 'content-type': 'application/json' };

afterEach(async () => {
  await stopAll();
  closeServers();
});

describe('what passes', () => {
  test('path, query, body and allowed fields go there, and a signed identity', async () => {
    const { url } = await gatewayTo((await orders('one')).url);
    const sent = await ask(`${url}${path}`, {
      method: 'POST',
      headers: {
        ...json,
        'idempotency-key': 'k-1',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'x-request-id': 'request-7',
        prefer: 'wait=1',
        x_username: 'root',
        'x-roles': 'admin',
        'waybill-identity': 'forged',
        'waybill-deadline-ms': '1',
        cookie: 'a=b',
      },
      body: '{"text":"жук"}',
    });
    expect(sent.status).toBe(200);
    expect(sent.json).toMatchObject({
      instance: 'one',
      identity: { subject: 'demo-admin' },
      body: { text: 'жук' },
    });
    expect(sent.json.headers).toMatchObject({
      'idempotency-key': 'k-1',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'x-request-id': 'request-7',
      prefer: 'wait=1',
      'waybill-deadline-ms': '30000',
      'x-username': 'demo-admin',
      'x-roles': 'admin,operator',
    });
    const strangers = ['x_username', 'cookie', 'authorization', 'accept-encoding'];
    for (const name of strangers) expect(sent.json.headers).not.toHaveProperty(name);
    expect((await ask(`${url}${path}/a%20b?x=1&y=%2F`)).status).toBe(200);
    expect((await ask(`${url}${path}?x=1&x=2`)).json.code).toBe('repeated_parameter');
  });

  test('a request id that is none is replaced by one', async () => {
    const { url } = await gatewayTo((await orders('one')).url);
    for (const headers of [{}, { 'x-request-id': 'a b' }, { 'x-request-id': 'x'.repeat(65) }])
      expect((await ask(`${url}${path}`, { headers })).json.headers['x-request-id']).toMatch(
        /^[\da-f-]{36}$/,
      );
  });

  test('refusals of the service come back as they are, with the request id', async () => {
    const { url } = await gatewayTo((await orders('one')).url);
    const answer = await ask(`${url}${path}/x/nothing`, { headers: { 'x-request-id': 'r-1' } });
    expect(answer.json).toMatchObject({ status: 404, code: 'not_found', request_id: 'r-1' });
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    const malformed = await ask(`${url}${path}`, { method: 'POST', headers: json, body: '{"a":' });
    expect(malformed.json.code).toBe('malformed_json');
    const odd = await ask(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: 'a',
    });
    expect(odd.json.code).toBe('unsupported_media_type');
  });

  test('a service alone, without its gateway, knows nobody', async () => {
    const service = await orders('one');
    expect((await ask(`${service.url}${path}`)).status).toBe(401);
    const headers = { 'x-username': 'root', 'waybill-identity': 'e30.AAAA' };
    expect((await ask(`${service.url}${path}`, { headers })).status).toBe(401);
  });

  test('HEAD, empty answers and large ones', async () => {
    const big = 'x'.repeat(3_000_000);
    const upstream = await strange((request, response) => {
      if (request.method === 'DELETE') response.writeHead(204).end();
      else if (request.url?.endsWith('/big')) response.end(big);
      else response.writeHead(202, { 'content-length': '0', location: '/there' }).end();
    });
    const { url } = await gatewayTo(upstream);
    const head = await fetch(`${url}${path}`, { method: 'HEAD' });
    expect([head.status, head.headers.get('location')]).toEqual([202, '/there']);
    expect((await fetch(`${url}${path}/1`, { method: 'DELETE' })).status).toBe(204);
    const empty = await fetch(`${url}${path}`, { method: 'POST' });
    expect([empty.status, await empty.text()]).toEqual([202, '']);
    expect(await (await fetch(`${url}${path}/big`)).text()).toBe(big);
  });

  test('fields of one connection and internal ones do not come back', async () => {
    const upstream = await strange((_request, response) => {
      response.writeHead(200, {
        connection: 'close, x-hop',
        'content-type': 'application/json',
        etag: '"1"',
        server: 'secret/1.0',
        'waybill-secret': '1',
        'x-hop': '1',
      });
      response.end('{}');
    });
    const { headers } = await ask(`${(await gatewayTo(upstream)).url}${path}`);
    expect(headers.get('etag')).toBe('"1"');
    for (const name of ['server', 'waybill-secret', 'x-hop']) expect(headers.get(name)).toBeNull();
    expect(headers.get('connection')).toBe('keep-alive');
  });

  test('an answer is streamed as it comes', async () => {
    const waiting = Promise.withResolvers<void>();
    const upstream = await strange((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: one\n\n');
      void waiting.promise.then(() => response.end('data: two\n\n'));
    });
    const reply = await fetch(`${(await gatewayTo(upstream)).url}${path}`);
    const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe('data: one\n\n');
    waiting.resolve();
    expect((await reader.read()).value).toBe('data: two\n\n');
    expect((await reader.read()).done).toBe(true);
  });

  test('a body over the limit is refused and never arrives', async () => {
    let calls = 0;
    const service = await orders('one', { onCall: () => void calls++ });
    const gateway = await gatewayTo(service.url);
    const body = JSON.stringify({ text: 'x'.repeat(1_100_000) });
    const post = { method: 'POST', headers: json, body };
    const whole = await ask(`${gateway.url}${path}`, post);
    expect([whole.status, whole.json.code]).toEqual([413, 'body_too_large']);
    const chunks = new Blob([body]).stream();
    const chunked = { ...post, body: chunks, duplex: 'half' } as RequestInit;
    expect((await ask(`${gateway.url}${path}`, chunked)).status).toBe(413);
    expect(calls).toBe(0);
  });

  test('requests that two parsers read differently are refused', async () => {
    const gateway = await gatewayTo((await orders('one')).url);
    const head = [
      `POST ${path} HTTP/1.1`,
      'Host: localhost',
      'Content-Type: application/json',
      'Connection: close',
    ];
    const smuggled = '0\r\n\r\nGET /internal/orders/mirror HTTP/1.1\r\nHost: x';
    const both = await sendRaw(
      gateway.port,
      ...head,
      'Content-Length: 4',
      'Transfer-Encoding: chunked',
      '',
      smuggled,
    );
    expect(both.status).toBe(400);
    const twice = await sendRaw(
      gateway.port,
      ...head,
      'Content-Length: 4',
      'Content-Length: 5',
      '',
      '{}',
    );
    expect(twice.status).toBe(400);
    const odd = await sendRaw(gateway.port, ...head, 'Transfer-Encoding: xchunked', '', '{}');
    expect(odd.status).toBe(400);
    const packed = await ask(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { ...json, 'content-encoding': 'br' },
      body: 'x',
    });
    expect(packed.status).toBe(415);
  });
});
