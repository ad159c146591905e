/** Bodies that must not get in: B01 to B12, and B15 to B17. What is refused stores nothing. */
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectRefusal, orderText, orderWith, startOnce } from './client.ts';

const target = startOnce();
let before: number;

beforeEach(async () => {
  before = await target.count();
});

const stored = async () => (await target.count()) - before;

/** Sends the body to the place where orders are accepted; it must be refused like this. */
async function refused(body: unknown, status: number, code: string, pointers?: readonly string[]) {
  expectRefusal(await target.order(body), status, code, pointers);
}

const price = '/items/0/price';
const quantity = '/items/0/quantity';
const [malformed, invalid] = ['malformed_json', 'invalid_body'];

describe('what is refused stores nothing', () => {
  afterEach(async () => {
    if ((await stored()) !== 0) throw new Error('what was refused was stored');
  });

  test.each([
    ['customer_id', '/customer_id', orderText({ customer_id: '<here>' }, '"a\\u0000b"')],
    ['reference', '/reference', orderText({ reference: '<here>' }, '"\\u0000"')],
    ['item_name', '/items/0/item_name', orderText({}, '"a\\u0000"', { item_name: '<here>' })],
    [
      'address',
      '/fulfillment/address',
      orderText({ fulfillment: { method: 'courier', address: '<here>' } }, '"\\u0000"'),
    ],
  ])('B01 NUL in %s', async (_field, pointer, body) => {
    await refused(body, 422, invalid, [pointer]);
  });

  test('B01 NUL in a key, raw NUL and other controls', async () => {
    await refused('{"a\\u0000":1}', 400, malformed);
    await refused(orderText({ reference: '<here>' }, '"\0"'), 400, malformed);
    await refused(orderWith({ reference: 'a\u001bb' }), 422, invalid, ['/reference']);
  });

  test.each(['"\\ud800"', '"\\udc00\\ud800"', '"a\\ud83db"'])(
    'B02 lone surrogate %s',
    async (text) => {
      await refused(orderText({ reference: '<here>' }, text), 422, invalid, ['/reference']);
      await refused(orderText({}, text, { item_id: '<here>' }), 422, invalid, ['/items/0/item_id']);
    },
  );

  test.each(
    '0,-1,1.5,1e3,1E0,2147483648,9007199254740993,"1"," 7 ","0x10","1_000",[5],true,null,{}'.split(
      ',',
    ),
  )('B03 quantity %s', async (text) => {
    await refused(orderText({}, text, { quantity: '<here>' }), 422, invalid, [quantity]);
  });

  test.each(['NaN', 'Infinity', '-Infinity', '.5', '5.', '+1', '01', '0x10', "'1'"])(
    'B04 price %s is not JSON',
    async (text) => {
      await refused(orderText({}, text, { price: '<here>' }), 400, malformed);
    },
  );

  test.each(
    [
      '1e400',
      '-1e400',
      '1e308',
      '1e-400',
      '-0',
      '0',
      '0.0',
      '-1',
      '0.005',
      '12.999',
      '"NaN"',
      '"Infinity"',
      '"12.99"',
      'null',
      'true',
      '[1]',
      '1000000000.01',
      '0.00000001',
      '12.990000000000000001',
      `0.${'0'.repeat(400)}1`,
    ].flat(),
  )('B04 price %s', async (text) => {
    await refused(orderText({}, text, { price: '<here>' }), 422, invalid, [price]);
  });

  test.each(['9007199254740993', '-9007199254740993', '18446744073709551616', '1'.repeat(400)])(
    'B05 number %s beyond what is exact',
    async (text) => {
      await refused(orderText({}, text, { price: '<here>' }), 422, invalid, [price]);
    },
  );

  test('B06 a total that overflows', async () => {
    const line = { item_id: 'i', item_name: 'n', quantity: 1_000_000, price: 999_999_999.99 };
    await refused(orderWith({ items: [line] }), 422, invalid, ['/items']);
    await refused(orderWith({ items: Array(500).fill(line) }), 422, invalid, ['/items']);
  });

  test.each([
    ['customer_id', orderWith({ customer_id: 'x'.repeat(129) })],
    ['reference', orderWith({ reference: 'x'.repeat(201) })],
    ['items/0/item_name', orderWith({}, { item_name: 'x'.repeat(301) })],
    ['items/0/item_id', orderWith({}, { item_id: 'x'.repeat(129) })],
    [
      'fulfillment/address',
      orderWith({ fulfillment: { method: 'courier', address: 'x'.repeat(1001) } }),
    ],
    ['payment/token', orderWith({ payment: { method: 'card', token: 'x'.repeat(256) } })],
    ['items', orderWith({ items: Array(501).fill(orderWith().items[0]) })],
    ['items', orderWith({ items: [] })],
  ])('B09 too long: %s', async (field, body) => {
    await refused(body, 422, invalid, [`/${field}`]);
  });

  test('B09 very many items, keys and faults', async () => {
    const tiny = (count: number) =>
      `{"customer_id":"c","items":[${Array(count).fill('0').join(',')}]}`;
    await refused(tiny(40_000), 422, invalid, ['/items']);
    await refused(tiny(100_000), 413, 'body_too_large');
    const keys = Array.from({ length: 40_000 }, (_, index) => [`k${index}`, 0]);
    await refused(orderWith(Object.fromEntries(keys)), 422, invalid);
    const few = await target.order(orderWith(Object.fromEntries(keys.slice(0, 1000))));
    expectRefusal(few, 422, invalid);
    expect(few.json['errors']).toHaveLength(50);
    await refused(orderWith({ reference: 'x'.repeat(1024 * 1024) }), 413, 'body_too_large');
  });

  test.each([33, 5000, 100_000])('B10 nested %i deep', async (depth) => {
    await refused('['.repeat(depth) + ']'.repeat(depth), 400, malformed);
    await refused('{"a":'.repeat(depth) + '1' + '}'.repeat(depth), 400, malformed);
    await refused('['.repeat(depth), 400, malformed);
  });

  test.each([
    '"__proto__":{"admin":true}',
    '"constructor":{"prototype":{"a":1}}',
    '"\\u005f_proto__":1',
  ])('B11 %s', async (member) => {
    await refused(orderText({ payment: '<here>' }, `{"method":"card",${member}}`), 400, malformed);
    await refused(`{${member}}`, 400, malformed);
  });

  test.each([
    '{"price":1,"price":0}',
    '{"price":1,"\\u0070rice":0}',
    '{"a":{"b":1,"b":1}}',
    `{"customer_id":"me","customer_id":"you","items":[]}`,
  ])('B12 duplicate keys %s', async (body) => {
    await refused(body, 400, malformed);
  });

  test('B15 compressed bodies', async () => {
    const packed = gzipSync(JSON.stringify(orderWith())).toString('latin1');
    for (const encoding of [
      'gzip',
      'br',
      'deflate',
      'identity',
      'GZIP',
      'gzip, gzip',
      'x-gzip',
      '',
    ]) {
      const answer = await target.order(packed, { 'content-encoding': encoding });
      expectRefusal(answer, 415, 'unsupported_encoding');
    }
  });

  test.each([
    ['right-to-left override', 'user\u202Etxt'],
    ['zero-width space', 'user\u200B1'],
    ['byte order mark', '\uFEFFuser'],
    ['isolate', '\u2066user'],
    ['white space at the end', 'user\u00A0'],
    ['white space at the start', ' user'],
    ['nothing', ''],
  ])('B16 identifiers with %s', async (_what, customerId) => {
    await refused(orderWith({ customer_id: customerId }), 422, invalid, ['/customer_id']);
    await refused(orderWith({}, { item_id: customerId }), 422, invalid, ['/items/0/item_id']);
  });

  test('B16 one code point too many', async () => {
    await refused(orderWith({}, { item_name: '\u{1F600}'.repeat(301) }), 422, invalid, [
      '/items/0/item_name',
    ]);
  });

  test.each(['eur', 'X'.repeat(3), 'XTS', 'ZZZ', 'DEM', 'US', 'USDX', '', '\u0130SD', 'USD '])(
    'B17 currency "%s"',
    async (currency) => {
      await refused(orderWith({ currency }), 422, invalid, ['/currency']);
    },
  );

  test('B17 mixed currencies', async () => {
    await refused(orderWith({ currency: 'USD' }, { currency: 'EUR' }), 422, invalid, [
      '/items/0/currency',
    ]);
  });

  test('B17 decimals that the currency does not have', async () => {
    await refused(orderWith({ currency: 'JPY' }), 422, invalid, [price]);
  });

  test('every fault is named at once, with its pointer', async () => {
    const body = { items: [{ item_id: 1, quantity: 0, price: -1, 'a/b~c': 1 }], status: 'PAID' };
    await refused(body, 422, invalid, [
      '/customer_id',
      '/status',
      '/items/0/item_name',
      '/items/0/a~1b~0c',
      '/items/0/item_id',
      quantity,
      price,
    ]);
  });

  test('a cancellation that says too much', async () => {
    const path = '/api/v1/orders/1000000000/cancel';
    for (const [body, pointer] of [
      [{ reason: 'r', refund: false }, '/refund'],
      [{ reason: 7 }, '/reason'],
      [{ reason: '' }, '/reason'],
      [{ reason: 'x'.repeat(501) }, '/reason'],
      [[], ''],
    ] as const)
      expectRefusal(await target.ask({ method: 'POST', path, body }), 422, invalid, [pointer]);
  });

  test.each(['', 'null', '[]', '"x"', '1', 'true'])(
    'a body that is no object: %s',
    async (body) => {
      const answer = await target.ask({ method: 'POST', path: '/api/v1/orders', body });
      expectRefusal(answer, 422, invalid, ['']);
    },
  );

  test.each([Buffer.from([0xff, 0xfe]), Buffer.from([0x22, 0xc0, 0xaf, 0x22])])(
    'a body that is not UTF-8: %j',
    async (bytes) => {
      const head = 'POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n';
      const fields = `Content-Type: application/json\r\nContent-Length: ${bytes.length}\r\n\r\n`;
      const answer = await target.raw(Buffer.concat([Buffer.from(head + fields), bytes]));
      expect(answer.statuses).toEqual([400]);
      expect(answer.text).toContain('"code":"malformed_json"');
    },
  );
});

describe('B16 what is kept is kept as it came', () => {
  test('twins by normalisation are one customer, homoglyphs are two', async () => {
    const names = ['caf\u00e9', 'cafe\u0301', 'c\u0430f\u00e9'];
    for (const customer_id of names)
      expect((await target.order(orderWith({ customer_id }))).status).toBe(202);
    const found = await Promise.all(
      names.map((name) =>
        target.ask({ path: `/api/v1/orders?customer_id=${encodeURIComponent(name)}` }),
      ),
    );
    expect(found.map((answer) => answer.json['total'])).toEqual([2, 2, 1]);
  });

  test('names of things, emoji and four-byte letters', async () => {
    const item_name = '\u{1F468}\u200D\u{1F469} cafe\u0301 \u202Eright \u{20000}';
    const answer = await target.order(
      orderWith({ reference: '\u{1F600}'.repeat(200) }, { item_name }),
    );
    expect(answer.status, answer.text).toBe(202);
    const again = await target.ask({ path: answer.headers['location'] as string });
    expect(again.json).toMatchObject({
      reference: '\u{1F600}'.repeat(200),
      items: [{ item_name }],
    });
  });
});

test('the largest order there may be is accepted', async () => {
  const items = Array.from({ length: 500 }, (_, index) => ({
    item_id: `item_${index}`,
    item_name: '\u{1F600}'.repeat(300),
    quantity: 1_000,
    price: 9_999.99,
  }));
  const answer = await target.order(orderWith({ items }));
  expect(answer.status).toBe(202);
  expect(answer.json['total_amount']).toBe(4_999_995_000);
});
