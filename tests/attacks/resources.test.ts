/** Ids, queries and lists: B07, B08, C01 to C05, C10. */
import { beforeAll, describe, expect, test } from 'vitest';
import { expectRefusal, orderWith, startOnce } from './client.ts';
import type { Answer } from './wire.ts';

const target = startOnce();
let id: string;
let number: number;

const list = (query: string) => target.ask({ path: `/api/v1/orders?${query}` });
const found = async (query: string): Promise<unknown> => {
  const answer = await list(query);
  expect(answer.status, answer.text).toBe(200);
  return answer.json['total'];
};

/** Asserts that the list refuses the query, naming the parameter. */
async function refused(query: string, parameter: string, code = 'invalid_query') {
  expectRefusal(await list(query), 422, code, [`?${parameter}`]);
}

beforeAll(async () => {
  const answer = await target.order(orderWith({ reference: '100%_off' }));
  id = answer.json['id'] as string;
  number = answer.json['number'] as number;
  for (const reference of ['100xyoff', 'a\\b', 'a.*b', "it's"])
    await target.order(orderWith({ reference }));
});

describe('B07 ids', () => {
  const strange = () => [
    'x',
    '0',
    '-1',
    '1.5',
    '1e3',
    '01',
    '9'.repeat(17),
    'null',
    'undefined',
    '*',
    "'",
    '"',
    id.toUpperCase(),
    `{${id}}`,
    id.replaceAll('-', ''),
    `${id}0`,
    id.slice(1),
    ` ${id}`,
    `${id}\n`,
    `${id}\0`,
    id.replace('0', '٠'),
    '😀'.repeat(36),
    'x'.repeat(499),
    'x'.repeat(5000),
    `${id}' or '1'='1`,
    '1;select pg_sleep(9)',
    '../../health',
    '..',
    'cancel',
    '[object Object]',
  ];

  test('that are none are refused, whatever they look like', async () => {
    for (const text of strange()) {
      const path = `/api/v1/orders/${encodeURIComponent(text)}`;
      const answers = [
        await target.ask({ path }),
        await target.ask({ method: 'POST', path: `${path}/cancel` }),
      ];
      for (const answer of answers) {
        const code = answer.status === 400 ? 'invalid_path' : 'not_found';
        expect([400, 404], text).toContain(answer.status);
        expectRefusal(answer, answer.status, code);
      }
    }
  });

  test.each([
    '%',
    '%zz',
    '%c0%af',
    '%ff',
    '%00',
    'a%00b',
    '%2e%2e%2f',
    '..%2f..%2fhealth',
    '%u0041',
  ])('that are badly written: %s', async (text) => {
    const answer = await target.ask({ path: `/api/v1/orders/${text}` });
    expect([400, 404]).toContain(answer.status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  test('that nobody has are not found', async () => {
    for (const text of ['019a0000-0000-7000-8000-000000000001', '7', '9'.repeat(16)]) {
      const path = `/api/v1/orders/${text}`;
      expectRefusal(await target.ask({ path }), 404, 'order_not_found');
      const cancel = await target.ask({ method: 'POST', path: `${path}/cancel` });
      expectRefusal(cancel, 404, 'order_not_found');
    }
    const payment = `/api/v1/payments/019a0000-0000-7000-8000-000000000001`;
    expectRefusal(await target.ask({ path: payment }), 404, 'payment_not_found');
  });

  test('that somebody has are found, by id and by number', async () => {
    for (const text of [id, number]) {
      const answer = await target.ask({ path: `/api/v1/orders/${text}` });
      expect(answer.json).toMatchObject({ id, number });
    }
  });
});

describe('B08 dates', () => {
  test.each([
    'infinity',
    '-infinity',
    'now',
    'today',
    'tomorrow',
    'epoch',
    'allballs',
    'yesterday',
    '300000-01-01',
    '2026-02-30',
    '2025-02-29',
    '2026-13-01',
    '2026-00-10',
    '2026-01-00',
    '2026-01-32',
    '2026-04-31',
    '2026-1-1',
    '20260101',
    '2026',
    '01/02/2026',
    '0',
    '-1',
    '2026-01-01T25:00:00Z',
    '2026-01-01T10:61:00Z',
    '2026-01-01T10:00:00+99:99',
    '1e9',
    '2026-01-01T10:00:00Z ',
    ' 2026-01-01',
    '2026-01-01T',
    '2026-01-01T10Z',
    '２０２６-01-01',
    "2026-01-01'",
    '2026-01-01T10:00:00Z; drop table orders',
    '',
    '+002026-01-01',
  ])('"%s" is none', async (text) => {
    await refused(`created_from=${encodeURIComponent(text)}`, 'created_from');
    await refused(`created_to=${encodeURIComponent(text)}`, 'created_to');
  });

  test.each([
    '2026-01-01',
    '2024-02-29',
    '0001-01-01',
    '2026-01-01T10:00Z',
    '2026-01-01T10:00:00',
    '2026-01-01t10:00:00.123456789z',
    '2026-01-01T10:00:00+05:30',
    '2026-01-01 10:00:00-0800',
  ])('"%s" is one', async (text) => {
    expect(await found(`created_from=${encodeURIComponent(text)}`)).toBe(5);
    expect(await found(`created_to=${encodeURIComponent(text)}`)).toBe(0);
  });

  test('the end of time holds everything and its other end nothing', async () => {
    expect(await found('created_to=9999-12-31T23:59:59Z')).toBe(5);
    expect(await found('created_from=9999-12-31')).toBe(0);
    // A plus sign arrives as a space, as forms write it.
    expect(await found('created_to=9999-01-01T00:00:00+02:00')).toBe(5);
  });
});

const SQL = [
  "' or 1=1 --",
  "'; drop table orders; --",
  "1' union select null,null --",
  '$1',
  "pending' and (select pg_sleep(5)) is null --",
  "\\'; select 1",
  'pending/**/or/**/1=1',
  "x%' or '1'='1",
];

describe('C01 statements in parameters', () => {
  test.each(SQL)('%s', async (text) => {
    const sql = encodeURIComponent(text);
    await refused(`status=${sql}`, 'status');
    await refused(`page=${sql}`, 'page');
    await refused(`page_size=${sql}`, 'page_size');
    await refused(`created_from=${sql}`, 'created_from');
    await refused(`cursor=${sql}`, 'cursor', 'invalid_cursor');
    for (const unknown of ['sort', 'order', 'fields', 'filter', 'where', 'limit'])
      await refused(`${unknown}=${sql}`, unknown);
    expect(await found(`q=${sql}`)).toBe(0);
    expect(await found(`customer_id=${sql}`)).toBe(0);
    const order = await target.order(orderWith({ customer_id: `${text}.`, reference: text }));
    expect(order.json['reference']).toBe(text);
    expect(await found(`q=${sql}`)).toBe(1);
    expect(await found('')).toBeGreaterThan(5);
  });
});

describe('C02 pages', () => {
  test.each([
    '-1',
    '0',
    '1000000001',
    '9223372036854775808',
    '9e18',
    '1e1',
    '0x10',
    '1.5',
    '1.0',
    '',
    ' 5',
    '5 ',
    '+5',
    '05',
    'NaN',
    'Infinity',
    'true',
    '٥',
    '1,2',
    'null',
  ])('page and page_size "%s"', async (text) => {
    const value = encodeURIComponent(text);
    await refused(`page=${value}`, 'page');
    await refused(`page_size=${value}`, 'page_size');
  });

  test('page_size 101, and pages past the first ten thousand rows', async () => {
    await refused('page_size=101', 'page_size');
    await refused('page=1000000&page_size=100', 'page', 'page_too_deep');
    await refused('page=502', 'page', 'page_too_deep');
    expect((await list('page=501&page_size=20')).json['orders']).toEqual([]);
  });

  test('cursors that were changed, invented, or are of another list', async () => {
    const first = await list('page_size=2');
    const cursor = first.json['next_cursor'] as string;
    const second = await list(`page_size=2&cursor=${cursor}`);
    expect(second.status).toBe(200);
    const ids = (answer: Answer) =>
      (answer.json['orders'] as { id: string }[]).map((one) => one.id);
    expect(ids(second).some((one) => ids(first).includes(one))).toBe(false);
    const [position = '', mac = ''] = cursor.split('.');
    const forged = Buffer.from("x' or 1=1").toString('base64url');
    for (const text of [
      `${position}.${mac.slice(0, -1)}`,
      `${position}.${'A'.repeat(mac.length)}`,
      `${forged}.${mac}`,
      `${cursor}x`,
      `${cursor}.x`,
      `${cursor}=`,
      position,
      '.',
      '\u{1F600}',
      'x'.repeat(400),
    ])
      await refused(`cursor=${encodeURIComponent(text)}`, 'cursor', 'invalid_cursor');
    await refused(`cursor=${'x'.repeat(401)}`, 'cursor');
    await refused(`cursor=`, 'cursor');
    await refused(`customer_id=customer_1&cursor=${cursor}`, 'cursor', 'invalid_cursor');
    await refused(`status=pending&cursor=${cursor}`, 'cursor', 'invalid_cursor');
  });
});

describe('C03 patterns', () => {
  test.each([
    ['%', 0],
    ['%%%%', 0],
    ['_', 0],
    ['100%', 1],
    ['100%_', 1],
    ['100_', 0],
    ['a\\', 1],
    ['a\\b', 1],
    ['a.*', 1],
    ['(', 0],
    ['(a*)*b', 0],
    ['[', 0],
    ['.*', 0],
    ["it's", 1],
  ])('q=%s is searched literally', async (text, count) => {
    expect(await found(`q=${encodeURIComponent(text)}`)).toBe(count);
  });

  test('NUL, and bytes that are no UTF-8', async () => {
    for (const name of ['q', 'customer_id', 'status', 'cursor', 'created_from', 'page'])
      await refused(`${name}=a%00b`, name);
    for (const bytes of ['%ff', '%c0%af', '%ed%a0%80', '%', '%zz']) {
      const answer = await list(`q=${bytes}`);
      expect([200, 400, 422], answer.text).toContain(answer.status);
    }
  });
});

test('C04 no validator and no search takes long over any text', async () => {
  const evil = ['a', ' ', '\u00a0', '-', '2026-01-01T', '%', '\\', '0', '"', '{'].map((piece) =>
    piece.repeat(900_000 / piece.length),
  );
  const bodies = evil.flatMap((text) => [
    orderWith({ customer_id: text }),
    orderWith({ reference: text, payment: { method: 'card', token: text.slice(0, 1000) } }),
  ]);
  const begun = performance.now();
  const answers = await Promise.all(bodies.map((body) => target.order(body)));
  for (const answer of answers) expect([413, 422]).toContain(answer.status);
  for (const text of evil) {
    const piece = encodeURIComponent(text.slice(0, 2000)).slice(0, 4500);
    const answer = await list(`created_from=${piece}&q=${piece}&cursor=${piece}`);
    expect([400, 422]).toContain(answer.status);
  }
  // Twenty megabytes of it: a pattern that backtracks would take minutes for a single one.
  expect(performance.now() - begun).toBeLessThan(20_000);
});

test.each([
  'status=pending&status=confirmed',
  'status[]=pending',
  'status[0]=pending',
  'status[a]=pending',
  'page=1&page=2',
  'page=1&page=1',
  'q=a&q=b&q=c',
  'cursor[]=x',
  '__proto__[admin]=1',
])('C05 %s', async (query) => {
  const [name = ''] = query.split('=');
  expectRefusal(await list(query), 400, 'repeated_parameter', [`?${name}`]);
});

test.each(['__proto__=1', 'constructor=1', 'toString=1', '=1', 'STATUS=pending', 'Page=1', 'x'])(
  'C05 unknown parameter %s',
  async (query) => {
    const [name = ''] = query.split('=');
    await refused(query, name);
  },
);

test('C10 twenty cancellations at once are one', async () => {
  const order = await target.order(orderWith());
  const path = `/api/v1/orders/${order.json['id'] as string}`;
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      target.ask({ method: 'POST', path: `${path}/cancel`, body: { reason: 'twice' } }),
    ),
  );
  for (const answer of answers) expect([200, 202], answer.text).toContain(answer.status);
  await expect
    .poll(async () => (await target.ask({ path })).json['status'], { timeout: 10_000 })
    .toBe('CANCELLED');
  const versions = answers.map((answer) => answer.json['version'] as number);
  // Asked for, begun, found out, ended, refunded: never a version for each of the twenty.
  expect(Math.max(...versions)).toBeLessThan(8);
});
