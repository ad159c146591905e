/** D01 to D10: what an Idempotency-Key promises. */
import { describe, expect, test } from 'vitest';
import { mintToken } from '@waybill/gateway/index.ts';
import { startWaybill } from '../support/waybill.ts';
import { expectRefusal, orderWith, startOnce } from './client.ts';
import { ask, type Answer } from './wire.ts';

const target = startOnce();
let made = 0;

/** A key that no other test uses. */
function newKey(): string {
  return `key-${process.pid}-${made++}`;
}

const replayed = (answer: Answer) => answer.headers['idempotent-replayed'];
const order = (key: string, body: unknown = orderWith(), headers = {}) =>
  target.order(body, { 'idempotency-key': key, ...headers });

async function accepted(): Promise<Answer> {
  const answer = await target.order(orderWith());
  expect(answer.status).toBe(202);
  return answer;
}

test('D01 without a key every request is another order', async () => {
  const [first, second] = [await accepted(), await accepted()];
  expect(first.json['id']).not.toBe(second.json['id']);
  expect(replayed(second)).toBeUndefined();
});

describe('D02 the same key and body', () => {
  test('gets the same order with the same status, marked as a replay', async () => {
    const key = newKey();
    const before = await target.count();
    const first = await order(key);
    expect([first.status, replayed(first)]).toEqual([202, undefined]);
    // Also when the order has moved on: the first answer is the first answer.
    await expect
      .poll(
        async () =>
          (await target.ask({ path: first.headers['location'] as string })).json['status'],
      )
      .not.toBe('PENDING');
    const second = await order(key);
    expect([second.status, replayed(second)]).toEqual([202, 'true']);
    expect(second.json).toEqual(first.json);
    expect(second.headers['location']).toBe(first.headers['location']);
    expect((await target.count()) - before).toBe(1);
  });

  test('gets the same cancellation, to the byte', async () => {
    const { json } = await accepted();
    const cancel = (key: string) =>
      target.ask({
        method: 'POST',
        path: `/api/v1/orders/${json['id'] as string}/cancel`,
        headers: { 'idempotency-key': key },
        body: { reason: 'changed my mind' },
      });
    const key = newKey();
    const first = await cancel(key);
    expect([200, 202]).toContain(first.status);
    await expect
      .poll(async () => (await cancel(newKey())).json['status'], { timeout: 10_000 })
      .toBe('CANCELLED');
    const second = await cancel(key);
    expect([second.status, second.text, replayed(second)]).toEqual([
      first.status,
      first.text,
      'true',
    ]);
  });
});

test('D03 the same key with another body is refused', async () => {
  const key = newKey();
  const first = await order(key);
  const before = await target.count();
  const other = await order(key, orderWith({ reference: 'another' }));
  expectRefusal(other, 422, 'idempotency_key_reused');
  expectRefusal(await order(key, orderWith({}, { quantity: 3 })), 422, 'idempotency_key_reused');
  expect(await target.count()).toBe(before);
  expect((await order(key)).json['id']).toBe(first.json['id']);
});

test('D04 the same key at the same time waits, or is told to come back', async () => {
  const key = newKey();
  const answers = await Promise.all(Array.from({ length: 20 }, () => order(key)));
  const done = answers.filter(({ status }) => status === 202);
  expect(done.filter((answer) => replayed(answer) === undefined)).toHaveLength(1);
  expect(new Set(done.map((answer) => answer.json['id'])).size).toBe(1);
  for (const answer of answers.filter(({ status }) => status !== 202)) {
    expectRefusal(answer, 409, 'request_in_progress');
    expect(answer.headers['retry-after']).toBe('1');
  }
});

describe('D05 the same key elsewhere', () => {
  test('of another caller is another key, and tells nothing of the first answer', async () => {
    const { dataDir } = target.process;
    const bearer = async (subject: string) => {
      const token = await mintToken({ dataDir, subject, roles: ['customer'], ttlSeconds: 60 });
      return { authorization: `Bearer ${token}` };
    };
    const key = newKey();
    const ada = await order(key, orderWith({ customer_id: 'ada' }), await bearer('ada'));
    const eve = await order(key, orderWith({ customer_id: 'eve' }), await bearer('eve'));
    expect([ada.status, eve.status], eve.text).toEqual([202, 202]);
    expect(replayed(eve)).toBeUndefined();
    expect(eve.json['id']).not.toBe(ada.json['id']);
    // And one who sends the very same bytes is refused for what they are, not shown the order.
    const thief = await order(key, orderWith({ customer_id: 'ada' }), await bearer('eve'));
    expect(thief.status).toBe(403);
    expect(thief.text).not.toContain(ada.json['id']);
  });

  test('on another route or another order is another key', async () => {
    const key = newKey();
    await order(key);
    const [one, two] = [await accepted(), await accepted()];
    for (const { json } of [one, two]) {
      const path = `/api/v1/orders/${json['id'] as string}/cancel`;
      const headers = { 'idempotency-key': key };
      const answer = await target.ask({ method: 'POST', path, headers });
      expect([200, 202], answer.text).toContain(answer.status);
      expect(answer.json['id']).toBe(json['id']);
      expect(replayed(answer)).toBeUndefined();
    }
  });
});

describe('D06 keys that are none', () => {
  test.each(['', ' ', 'a b', 'a\tb', 'x'.repeat(256), 'sch\u00f6n', '\u0080'])(
    '"%s"',
    async (key) => {
      const before = await target.count();
      const refusal = await order(key);
      expectRefusal(refusal, 400, 'invalid_idempotency_key', ['header:Idempotency-Key']);
      expect(await target.count()).toBe(before);
    },
  );

  test('two of them', async () => {
    const answer = await target.order(orderWith(), { 'idempotency-key': [newKey(), newKey()] });
    expectRefusal(answer, 400, 'invalid_idempotency_key');
  });

  test('255 visible characters are one', async () => {
    const key = '!~'.repeat(120).padEnd(255, newKey());
    expect((await order(key)).status).toBe(202);
    expect(replayed(await order(key))).toBe('true');
  });
});

test('D07 killed between the commit and the answer: the repeat finds the order', async () => {
  const key = newKey();
  const env = { LOG_LEVEL: 'warn', FAILPOINTS: 'orders.accept.after_commit=kill' };
  const first = await startWaybill({ env });
  const sent = { path: '/api/v1/orders', headers: { 'idempotency-key': key }, body: orderWith() };
  await expect(ask(first.url, { method: 'POST', ...sent })).rejects.toThrow(/hang up|ECONNRESET/);
  await first.exited;
  const again = await startWaybill({ port: first.port, dataDir: first.dataDir });
  try {
    const answer = await ask(again.url, { method: 'POST', ...sent });
    expect([answer.status, replayed(answer)], answer.text).toEqual([202, 'true']);
    const list = await ask(again.url, { path: '/api/v1/orders' });
    expect(list.json).toMatchObject({ total: 1, orders: [{ id: answer.json['id'] }] });
  } finally {
    await again.stop();
  }
});

describe('D08 what was refused is not kept', () => {
  test('a bad order may be mended under its key', async () => {
    const key = newKey();
    expectRefusal(await order(key, orderWith({ currency: 'XTS' })), 422, 'invalid_body');
    expectRefusal(await order(key, '{'), 400, 'malformed_json');
    const mended = await order(key);
    expect([mended.status, replayed(mended)]).toEqual([202, undefined]);
  });

  test('a cancellation that came too late is judged anew each time', async () => {
    const failing = orderWith({ payment: { method: 'card', token: 'tok_decline' } });
    const { json } = await target.order(failing);
    const path = `/api/v1/orders/${json['id'] as string}`;
    await expect
      .poll(async () => (await target.ask({ path })).json['status'], { timeout: 10_000 })
      .toBe('PAYMENT_FAILED');
    const headers = { 'idempotency-key': newKey() };
    for (let times = 0; times < 2; times++) {
      const answer = await target.ask({ method: 'POST', path: `${path}/cancel`, headers });
      expectRefusal(answer, 409, 'not_cancellable');
      expect(replayed(answer)).toBeUndefined();
    }
  });
});

test('D09 a thousand at once with one key are one order', async () => {
  const key = newKey();
  const before = await target.count();
  const answers = await Promise.all(Array.from({ length: 1000 }, () => order(key)));
  const statuses = new Set(answers.map(({ status }) => status));
  expect([...statuses].filter((status) => status !== 202 && status !== 409)).toEqual([]);
  const done = answers.filter(({ status }) => status === 202);
  expect(new Set(done.map(({ text }) => text)).size).toBe(1);
  expect(done.filter((answer) => replayed(answer) === undefined)).toHaveLength(1);
  expect((await target.count()) - before).toBe(1);
});

test('D10 the order of keys and white space do not make another body', async () => {
  const key = newKey();
  const first = await order(key, orderWith({ reference: 'r', currency: 'USD' }));
  const { items, ...rest } = orderWith({ currency: 'USD', reference: 'r' });
  const turned = Object.entries(items[0]!).reverse();
  const body = JSON.stringify({ ...rest, items: [Object.fromEntries(turned)] }, null, 4);
  const second = await order(key, body);
  expect([second.status, replayed(second)], second.text).toEqual([202, 'true']);
  expect(second.json['id']).toBe(first.json['id']);
});
