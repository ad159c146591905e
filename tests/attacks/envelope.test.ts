/** What surrounds a body: B13 lengths and transfer codings, B14 content types, C07, C08. */
import { connect } from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { expectRefusal, orderWith, startOnce } from './client.ts';
import { json, LEAKS } from './wire.ts';

const target = startOnce();
let before: number;

beforeEach(async () => {
  before = await target.count();
});

const stored = async () => (await target.count()) - before;
const good = JSON.stringify(orderWith());
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`;

/** A request to accept an order, written by hand. */
function post(fields: readonly string[], body = ''): string {
  const lines = ['POST /api/v1/orders HTTP/1.1', 'Host: localhost', ...fields];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

const type = 'Content-Type: application/json';
const length = (value: number | string) => `Content-Length: ${value}`;
const coding = (value: string) => `Transfer-Encoding: ${value}`;

describe('B13 lengths and codings', () => {
  test('the same body is accepted with a length, and in chunks', async () => {
    const whole = await target.raw(post([type, length(good.length), 'Connection: close'], good));
    const chunked = await target.raw(
      post([type, coding('chunked'), 'Connection: close'], chunk(good)),
    );
    expect([whole.statuses, chunked.statuses]).toEqual([[202], [202]]);
    expect(await stored()).toBe(2);
  });

  test.each([
    ['length and coding', post([type, length(5), coding('chunked')], chunk(good))],
    ['coding and length', post([type, coding('chunked'), length(5)], chunk(good))],
    ['two lengths', post([type, length(good.length), length(5)], good)],
    ['two lengths in one', post([type, length(`${good.length}, 5`)], good)],
    ['a signed length', post([type, length(`+${good.length}`)], good)],
    ['a negative length', post([type, length(-1)], good)],
    ['a hexadecimal length', post([type, length('0x10')], good)],
    ['an enormous length', post([type, length('99999999999999999999')], good)],
    ['an unknown coding', post([type, coding('xchunked')], chunk(good))],
    ['a coding after chunked', post([type, coding('chunked, identity')], chunk(good))],
    ['a space before the colon', post([type, 'Transfer-Encoding : chunked'], chunk(good))],
    ['a folded coding', post([type, 'Transfer-Encoding:\r\n chunked'], chunk(good))],
    ['a bare line feed', post([type, 'X: y\nTransfer-Encoding: chunked'], chunk(good))],
    ['a chunk size that is none', post([type, coding('chunked')], `zz\r\n${good}\r\n0\r\n\r\n`)],
    ['no Host', 'GET /api/v1/orders HTTP/1.1\r\n\r\n'],
    ['a space in the target', 'GET /api/v1/or ders HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a NUL in a header', post([type, 'X: a\0b', length(good.length)], good)],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['another version', 'GET / HTTP/9.9\r\nHost: localhost\r\n\r\n'],
  ])('%s', async (_what, bytes) => {
    const answer = await target.raw(bytes);
    expect(answer.closed, answer.text).toBe(true);
    expect(answer.statuses).toEqual([400]);
    expect(answer.text).not.toMatch(LEAKS);
    expect(await stored()).toBe(0);
  });

  test('a body without a length is no body, and what follows is no second request', async () => {
    const answer = await target.raw(post([type], good));
    expect([[422, 400], [400]]).toContainEqual(answer.statuses);
    expect(answer.closed).toBe(true);
    expect(await stored()).toBe(0);
  });

  test('a length that is too short cuts the body; the rest is refused', async () => {
    const answer = await target.raw(post([type, length(10)], good));
    expect([[400, 400], [400]]).toContainEqual(answer.statuses);
    expect(answer.closed).toBe(true);
    expect(await stored()).toBe(0);
  });

  test('a body that ends early stores nothing', async () => {
    const answer = await target.raw(post([type, length(good.length + 100)], good), 500);
    expect(answer.statuses).toEqual([]);
    expect(await stored()).toBe(0);
  });

  test('more than a megabyte, announced and not', async () => {
    const limit = 1024 * 1024;
    const announced = await target.raw(post([type, length(limit + 1)], '{'));
    expect(announced.statuses).toEqual([413]);
    const big = JSON.stringify(orderWith({ reference: 'x'.repeat(limit) }));
    const silent = await target.raw(post([type, coding('chunked')], chunk(big)), 5000);
    expect(silent.statuses).toEqual([413]);
    for (const { text } of [announced, silent]) expect(text).toContain('"code":"body_too_large"');
    expect(await stored()).toBe(0);
  });
});

describe('B14 content types', () => {
  test.each([
    'application/json',
    'Application/JSON',
    'application/json;charset=utf-8',
    'application/json; charset="UTF-8"',
  ])('%s is JSON, and its body is validated', async (contentType) => {
    const headers = { 'content-type': contentType };
    expect((await target.order(orderWith(), headers)).status).toBe(202);
    expectRefusal(await target.order(orderWith({ status: 'PAID' }), headers), 422, 'invalid_body');
    expect(await stored()).toBe(1);
  });

  test.each([
    'application/json\ta',
    'application/json garbage',
    'application/json;garbage',
    'application/json; charset=utf-7',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8; charset=utf-7',
    'application/json, text/plain',
    'application/json,application/json',
    'application/json ',
    'application/jsonp',
    'application/problem+json',
    'application/vnd.api+json',
    'text/json',
    'text/plain',
    'application/xml',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'json',
    '*/*',
    '',
  ])('"%s" is not', async (contentType) => {
    for (const body of [orderWith(), orderWith({ status: 'PAID' })]) {
      // Node trims the value, as the standard asks, so the trailing space has to be told by hand.
      const text = JSON.stringify(body);
      const fields = [`Content-Type: ${contentType}`, length(text.length), 'Connection: close'];
      const answer = await target.raw(post(fields, text));
      if (contentType.trim() === 'application/json') continue;
      expect(answer.statuses, answer.text).toEqual([415]);
      expect(answer.text).toContain('"code":"unsupported_media_type"');
    }
    if (contentType !== 'application/json ') expect(await stored()).toBe(0);
  });

  test('none at all, and two', async () => {
    const none = await target.raw(post([length(good.length), 'Connection: close'], good));
    expect(none.statuses).toEqual([415]);
    const chunked = await target.raw(post([coding('chunked'), 'Connection: close'], chunk(good)));
    expect(chunked.statuses).toEqual([415]);
    const two = post(
      ['Content-Type: text/plain', type, length(good.length), 'Connection: close'],
      good,
    );
    expect((await target.raw(two)).statuses).toEqual([415]);
    expect(await stored()).toBe(0);
  });
});

describe('C08 headers', () => {
  test.each([
    ['one of 17 kB', { 'x-long': 'x'.repeat(17 * 1024) }],
    ['ten thousand cookies', { cookie: Array(10_000).fill('a=b').join('; ') }],
    [
      'five thousand of them',
      Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`x-${index}`, 'y'])),
    ],
  ])('%s', async (_what, headers) => {
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const answer = await target.raw(post([type, length(good.length), ...fields], good));
    expect(answer.statuses).toEqual([431]);
    expect(answer.text).toContain('"code":"headers_too_large"');
    expect(answer.closed).toBe(true);
    expect(await stored()).toBe(0);
  });

  test('those of an everyday client are accepted', async () => {
    const headers = { ...json, cookie: 'a='.padEnd(4000, 'x'), 'user-agent': 'x'.repeat(500) };
    expect((await target.order(orderWith(), headers)).status).toBe(202);
  });
});

describe('C07 slow clients', () => {
  /** When the server closes a socket that sends this and then nothing, and with what. */
  function waitForClose(first: string): Promise<{ text: string; seconds: number }> {
    const begun = performance.now();
    return new Promise((resolve, reject) => {
      let text = '';
      const socket = connect(target.process.port, '127.0.0.1', () => {
        if (first !== '') socket.write(first);
      });
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.on('close', () => resolve({ text, seconds: (performance.now() - begun) / 1000 }));
      socket.on('error', reject);
    });
  }

  test('headers that never end, and silence, are cut off, while others are served', async () => {
    const slow = ['GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ', ''].map(waitForClose);
    expect((await target.order(orderWith())).status).toBe(202);
    for (const { text, seconds } of await Promise.all(slow)) {
      expect(text).toMatch(/^HTTP\/1\.1 408 /);
      expect(text).toContain('"code":"request_timeout"');
      expect(seconds).toBeGreaterThan(5);
      expect(seconds).toBeLessThan(20);
    }
  });
});
