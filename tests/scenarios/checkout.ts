/**
 * Scenarios of chapter B, over the wire with access tokens, as published clients send them: plain
 * JSON, with an `X-Username` of their own. One file, run in every topology.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../support/waybill.ts';
import type { Platform } from './topologies.ts';

interface Checkout {
  id: number;
  status: string;
  totalCost: number;
}

interface Notices {
  content: { notificationType: string; parentType: string; parentId: string; text: string }[];
  page: { size: number; number: number; totalElements: number; totalPages: number };
}

type Fields = Readonly<Record<string, unknown>>;

interface Person {
  readonly username: string;
  send(
    method: string,
    path: string,
    body?: Fields,
    headers?: Record<string, string>,
  ): Promise<Told>;
}

interface Told {
  readonly status: number;
  readonly headers: Headers;
  // The shape is what the scenarios are about.
  readonly body: never;
}

/** Declares the scenarios; `start` brings the platform up with AUTH_MODE=jwt. */
export function checkoutScenarios(start: () => Promise<Platform>): void {
  let platform: Platform;
  beforeAll(async () => {
    platform = await start();
  });
  afterAll(() => platform?.stop());

  const send = async (
    method: string,
    path: string,
    body?: Fields,
    headers: Record<string, string> = {},
  ): Promise<Told> => {
    const reply = await fetch(platform.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    const parsed = (text === '' ? {} : JSON.parse(text)) as never;
    return { status: reply.status, headers: reply.headers, body: parsed };
  };

  let people = 0;
  const register = async (): Promise<Person> => {
    const username = `ada-${Date.now().toString(36)}-${people++}`;
    const { status, body } = await send('POST', '/api/v1/auth/register', {
      username,
      email: `${username}@example.org`,
      phone: '+4915112345678',
      password: 'correct horse battery staple',
      firstName: 'Ada',
      login: true,
    });
    expect([status, body]).toMatchObject([
      201,
      { tokenType: 'Bearer', userInfo: { username, roles: ['customer'] } },
    ]);
    const { accessToken } = body as { accessToken: string };
    const own = { authorization: `Bearer ${accessToken}`, 'x-username': 'somebody-else' };
    return {
      username,
      send: (method, path, sent, headers) => send(method, path, sent, { ...own, ...headers }),
    };
  };

  const deposit = async (person: Person, amount: number) => {
    const { username } = person;
    const operation = { type: 'DEPOSIT', amount, account: { username } };
    const told = await person.send('POST', '/api/v1/billing/account/operate', operation);
    expect([told.status, told.body]).toMatchObject([
      200,
      { type: 'DEPOSIT', amount, orderId: null },
    ]);
  };
  const balanceOf = async (person: Person) => {
    const told = await person.send('GET', '/api/v1/billing/account/balance');
    expect(told.status).toBe(200);
    return (told.body as { balance: number }).balance;
  };
  const order = (person: Person, cost: number, headers = {}) => {
    const orderPositions = [{ productId: 'sku-1', price: cost, quantity: 1 }];
    const body = { username: person.username, shopId: 1, totalCost: cost, orderPositions };
    return person.send('POST', '/api/v1/order', { ...body, createdAt: null, status: '' }, headers);
  };
  const notices = async (person: Person, query = '') => {
    const path = `/api/v1/notif?username=${person.username}${query}`;
    return (await person.send('GET', path)).body as Notices;
  };

  it('runs from the registration to a paid order, and to one that is too dear', async () => {
    const ada = await register();
    expect(await balanceOf(ada)).toBe(0);
    await deposit(ada, 150);
    const paid = await order(ada, 19);
    expect([paid.status, paid.body]).toMatchObject([
      200,
      { username: ada.username, totalCost: 19, shopId: 1, status: 'PAID', deliveryId: null },
    ]);
    const { id } = paid.body as Checkout;
    expect(await balanceOf(ada)).toBe(131);
    expect((await notices(ada)).content).toMatchObject([
      { notificationType: 'SUCCESS', parentType: 'ORDER', parentId: String(id) },
    ]);
    const dear = await order(ada, 19_200);
    expect([dear.status, dear.body]).toMatchObject([200, { status: 'INSUFFICIENT_FUNDS' }]);
    expect(await balanceOf(ada)).toBe(131);
    const told = await notices(ada, '&notificationType=FAIL&page=0&size=5');
    expect(told.content).toMatchObject([{ parentId: String((dear.body as Checkout).id) }]);
    expect(told.page).toEqual({ size: 5, number: 0, totalElements: 1, totalPages: 1 });
    const listed = (await ada.send('GET', '/api/v1/order')).body as Checkout[];
    expect(listed.map(({ status }) => status)).toEqual(['INSUFFICIENT_FUNDS', 'PAID']);
    expect((await ada.send('GET', `/api/v1/order/${id}`)).body).toEqual(paid.body);
  });

  it('gives the money back when an order is cancelled', async () => {
    const ada = await register();
    await deposit(ada, 40);
    const { id } = (await order(ada, 30)).body as Checkout;
    expect(await balanceOf(ada)).toBe(10);
    const cancelled = await ada.send('DELETE', `/api/v1/order/${id}`);
    expect([cancelled.status, cancelled.body]).toMatchObject([200, { id, status: 'CANCELED' }]);
    await until(async () => (await balanceOf(ada)) === 40);
    const { operations } = (await ada.send('GET', '/api/v1/billing/account/full')).body as {
      operations: { type: string; amount: number }[];
    };
    expect(operations.map(({ type, amount }) => [type, amount])).toEqual([
      ['REFUND', 30],
      ['PAYMENT', 30],
      ['DEPOSIT', 40],
    ]);
  });

  it('keeps people apart', async () => {
    const [ada, eve] = [await register(), await register()];
    await deposit(ada, 50);
    const { id } = (await order(ada, 5)).body as Checkout;
    expect((await order({ ...eve, username: ada.username }, 5)).status).toBe(403);
    expect((await eve.send('GET', `/api/v1/order/${id}`)).status).toBe(404);
    expect((await eve.send('DELETE', `/api/v1/order/${id}`)).status).toBe(404);
    const theirs = { type: 'WITHDRAW', amount: 1, account: { username: ada.username } };
    const taken = await eve.send('POST', '/api/v1/billing/account/operate', theirs);
    expect(taken.status).toBe(403);
    expect((await eve.send('GET', `/api/v1/user/${ada.username}`)).status).toBe(404);
    expect((await eve.send('GET', `/api/v1/notif?username=${ada.username}`)).status).toBe(404);
    const paying = { ...theirs, type: 'PAYMENT' };
    expect((await ada.send('POST', '/api/v1/billing/account/operate', paying)).status).toBe(403);
    expect((await send('GET', '/api/v1/order')).status).toBe(401);
    expect(await balanceOf(ada)).toBe(45);
  });

  it('orders and charges once, however often it is asked with one key', async () => {
    const ada = await register();
    await deposit(ada, 1000);
    const key = { 'idempotency-key': `checkout-${ada.username}` };
    const answers = await Promise.all(Array.from({ length: 50 }, () => order(ada, 7, key)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const ids = answers.map(({ body }) => (body as Checkout).id);
    expect(new Set(ids).size).toBe(1);
    expect(await balanceOf(ada)).toBe(993);
  });

  it('answers at once when asked to, and settles by itself', async () => {
    const ada = await register();
    await deposit(ada, 10);
    const reply = await order(ada, 4, { prefer: 'respond-async' });
    expect([reply.status, reply.body]).toMatchObject([202, { status: 'NEW' }]);
    const { id } = reply.body as Checkout;
    const read = async () => (await ada.send('GET', `/api/v1/order/${id}`)).body as Checkout;
    await until(async () => (await read()).status === 'PAID', 15_000);
    await until(async () => (await notices(ada)).content.length === 1, 15_000);
    expect(await balanceOf(ada)).toBe(6);
  });

  it('gives a person all that is held about them, and forgets them', async () => {
    const ada = await register();
    await deposit(ada, 20);
    expect((await order(ada, 19)).body).toMatchObject({ status: 'PAID' });
    await until(async () => (await notices(ada)).content.length === 1, 15_000);
    const mailed = () => notices(ada, '&parentType=USER');
    await until(async () => (await mailed()).content.length === 1, 15_000);
    const self = `/api/v1/user/${ada.username}`;
    const { status, body } = await ada.send('GET', `${self}/export`);
    expect([status, body]).toMatchObject([
      200,
      {
        profile: { username: ada.username, firstName: 'Ada' },
        user: [{ username: ada.username }],
        orders: [{ customer_id: ada.username, total_amount: 19 }],
        wallet: [{ balance: 1, operations: [{ type: 'PAYMENT' }, { type: 'DEPOSIT' }] }],
        notifications: [{ parentType: 'USER' }, { notificationType: 'SUCCESS' }],
      },
    ]);
    expect(JSON.stringify(body)).not.toMatch(/argon2|password_hash/);
    expect((await ada.send('DELETE', self)).status).toBe(200);
    const password = 'correct horse battery staple';
    const login = () => send('POST', '/api/v1/auth/login', { username: ada.username, password });
    await until(async () => (await login()).status === 401, 15_000);
    const again = await send('POST', '/api/v1/auth/register', {
      username: ada.username,
      email: 'somebody@example.org',
      phone: '+4915112345678',
      password,
    });
    expect(again.status).toBe(409);
  });

  it('keeps its books true', async () => {
    const { verifyDatabase } = await import('../../apps/server/verify/database.ts');
    const report = await verifyDatabase({
      databaseUrl: platform.databaseUrl,
      journal: platform.journal,
      waitSeconds: 20,
    });
    const wrong = report.verdicts.filter(({ state, rows }) => state !== 'ok' && rows.length > 0);
    expect(wrong).toEqual([]);
    expect(report).toMatchObject({ ok: true, quiescent: true });
  });
}
