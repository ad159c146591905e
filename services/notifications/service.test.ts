/** The notifications service through its routes, on PostgreSQL; nothing is sent here. */
import { beforeAll, describe, expect, test } from 'vitest';
import { emit } from '@waybill/kit/eventlog.ts';
import { newId } from '@waybill/kit/ids.ts';
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  someone,
  startServices,
  type CallOptions,
  type Running,
} from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { notifications } from './index.ts';

let running: Running;
let people: ServiceContext;

/** Stands where customers stands, and tells only what a test lets it tell. */
const teller = defineService({
  name: 'customers',
  description: 'Customers that a test speaks for.',
  paths: ['/api/v1/user'],
  settings: {},
  migrations: {},
  create: (base) => (people = base),
  routes: [],
  consumers: [],
  tasks: [],
  sweeps: [],
});

beforeAll(async () => {
  running = await startServices([notifications, teller]);
});

const admin = someone('root', 'admin');
const orders = someone('orders', 'service');
let counter = 0;
const newName = () => `person-${counter++}`;

function create(changes: object = {}, options: CallOptions = {}) {
  const body = {
    notificationType: 'SUCCESS',
    parentType: 'ORDER',
    username: 'ada',
    text: 'Your order is paid.',
    contact: { email: 'ada@example.com' },
    ...changes,
  };
  return running.call('POST', '/api/v1/notification', { as: admin, body, ...options });
}

function leave(key: string, changes: object = {}, options: CallOptions = {}) {
  const body = {
    dedupe_key: key,
    notification_type: 'SUCCESS',
    parent_type: 'ORDER',
    parent_id: newId(),
    username: 'ada',
    text: 'Your order is paid.',
    contact: { email: 'ada@example.com', phone: '+1 555 0100' },
    ...changes,
  };
  return running.call('POST', '/internal/notifications', { as: orders, body, ...options });
}

interface Listed {
  content: { id: string; username: string; createdAt: string; notificationType: string }[];
  page: Record<string, unknown>;
}

async function list(query: string, as = admin, path = '/api/v1/notif') {
  const { status, body } = await running.call('GET', `${path}?${query}`, { as });
  return { status, code: body['code'], ...(body as unknown as Listed) };
}

const show = (id: unknown, as = admin) =>
  running.call('GET', `/api/v1/notification/${String(id)}`, { as });

describe('a notification', () => {
  test('is stored at once, and read by its person', async () => {
    const ada = newName();
    const parentId = newId();
    const { status, body, headers } = await create({ username: ada, parentId });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.any(String),
      notificationType: 'SUCCESS',
      parentType: 'ORDER',
      parentId,
      username: ada,
      text: 'Your order is paid.',
      createdAt: expect.stringMatching(/Z$/),
    });
    expect(headers['location']).toBe(`/api/v1/notification/${String(body['id'])}`);
    expect((await list('', someone(ada))).content).toEqual([body]);
    expect((await show(body['id'], someone(ada))).body).toMatchObject(body);
  });

  test('is about an order by its number as well', async () => {
    const { body } = await create({ parentId: 1_000_000_007 });
    expect(body['parentId']).toBe('1000000007');
    expect((await list('parentId=1000000007')).content).toEqual([body]);
  });

  test.each([
    [{ notificationType: 'GREAT' }, '/notificationType'],
    [{ parentType: 'PET' }, '/parentType'],
    [{ username: '' }, '/username'],
    [{ text: '' }, '/text'],
    [{ text: 'x'.repeat(5001) }, '/text'],
    [{ text: 'a\u0000b' }, '/text'],
    [{ text: 'a\u001bb' }, '/text'],
    [{ contact: {} }, '/contact/email'],
    [{ contact: { email: 'a@b\r\nBcc: c@d' } }, '/contact/email'],
    [{ contact: { email: 'a@b, c@d' } }, '/contact/email'],
    [{ contact: { email: 'A <a@b>' } }, '/contact/email'],
    [{ contact: { email: 'a@b', phone: 'x' } }, '/contact/phone'],
    [{ contact: { email: 'a@b', fax: '1' } }, '/contact/fax'],
    [{ parentId: 1.5 }, '/parentId'],
    [{ template: 'order_paid' }, '/template'],
  ])('refuses %j', async (changes, pointer) => {
    const { status, body } = await create(changes);
    expect(status).toBe(422);
    expect(body['errors']).toContainEqual(expect.objectContaining({ pointer }));
  });

  test.each([
    ['nobody', null, 401],
    ['a customer', someone('ada'), 403],
    ['an operator', someone('olga', 'operator'), 403],
    ['a service', orders, 201],
    ['an admin', admin, 201],
  ])('left by %s', async (_who, as, status) => {
    expect((await create({}, { as })).status).toBe(status);
  });

  test('left twice under one key is one', async () => {
    const ada = newName();
    const headers = { 'idempotency-key': newId() };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => create({ username: ada }, { headers })),
    );
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect((await list(`username=${ada}`)).page['totalElements']).toBe(1);
    expect((await create({ username: 'eve' }, { headers })).body['code']).toBe(
      'idempotency_key_reused',
    );
  });
});

describe('another service', () => {
  test('leaves each thing once, however often it asks', async () => {
    const ada = newName();
    const key = newId();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => leave(key, { username: ada })),
    );
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(9);
    expect((await list(`username=${ada}`)).content).toHaveLength(1);
  });

  test('has keys of its own', async () => {
    const key = newId();
    const other = someone('auth', 'service');
    expect((await leave(key)).status).toBe(201);
    expect((await leave(key, {}, { as: other })).status).toBe(201);
  });

  test('may name no contact at all', async () => {
    const data = { link: 'https://x/secret' };
    const { status, body } = await leave(newId(), { contact: { email: null }, data });
    expect(status).toBe(201);
    expect((await show(body['id'])).body['sendings']).toEqual([]);
    const [row] = await queryRows(
      running.databaseUrl,
      'select data::text from notifications.notifications where id = $1',
      [body['id']],
    );
    expect(row).toEqual({ data: null });
  });

  test.each([
    [{ template: 'unheard_of' }, '/template'],
    [{ data: { nested: {} } }, '/data/nested'],
    [{ data: { long: 'x'.repeat(2001) } }, '/data/long'],
    [{ data: Object.fromEntries(Array.from({ length: 31 }, (_, n) => [`k${n}`, 1])) }, '/data'],
    [{ dedupe_key: '' }, '/dedupe_key'],
  ])('is refused %j', async (changes, pointer) => {
    const { status, body } = await leave(newId(), changes);
    expect(status).toBe(422);
    expect(body['errors']).toContainEqual(expect.objectContaining({ pointer }));
  });

  test.each([someone('ada'), admin, someone('olga', 'operator')])(
    'is what a person is not: %j',
    async (as) => {
      expect((await leave(newId(), {}, { as })).status).toBe(403);
    },
  );
});

describe('without a mail server', () => {
  test('a sending is only logged, and forgets where it went', async () => {
    const id = (await leave(newId(), { data: { link: 'https://x/secret' } })).body['id'];
    await until(async () => {
      const { sendings } = (await show(id)).body as unknown as { sendings: { state: string }[] };
      return sendings.length === 2 && sendings.every(({ state }) => state === 'SENT');
    });
    expect((await show(id)).body['sendings']).toEqual(
      ['email', 'phone'].map((channel) => ({
        channel,
        state: 'SENT',
        attempts: 1,
        waitingFor: null,
        updatedAt: expect.stringMatching(/Z$/),
        log: [
          {
            attempt: 1,
            outcome: 'logged',
            detail: expect.any(String),
            at: expect.stringMatching(/^\d{4}-.*Z$/),
          },
        ],
      })),
    );
    const [row] = await queryRows(
      running.databaseUrl,
      `select n.data, array_agg(s.address) as addresses
       from notifications.notifications n join notifications.sendings s on s.notification_id = n.id
       where n.id = $1 group by 1`.replace('n.data,', 'n.data::text,'),
      [id],
    );
    expect(row).toEqual({ data: null, addresses: [null, null] });
  });
});

describe('the list', () => {
  const ada = 'list-ada';
  const eve = 'list-eve';
  const parent = newId();
  const made: { id: string; createdAt: string }[] = [];

  beforeAll(async () => {
    for (const [username, notificationType, parentType, parentId] of [
      [ada, 'SUCCESS', 'ORDER', parent],
      [ada, 'FAIL', 'ORDER', newId()],
      [ada, 'INFO', 'USER', undefined],
      [eve, 'SUCCESS', 'PAYMENT', parent],
    ]) {
      const { body } = await create({ username, notificationType, parentType, parentId });
      made.push(body as never);
      await new Promise((done) => setTimeout(done, 5));
    }
  });

  const indexes = ({ content }: Listed) =>
    content.map(({ id }) => made.findIndex((one) => one.id === id));

  test.each([
    [`username=${ada}`, [2, 1, 0]],
    [`parentId=${parent}`, [3, 0]],
    [`username=${ada}&notificationType=success`, [0]],
    [`username=${ada}&notificationType=Fail&parentType=order`, [1]],
    [`username=${ada}&parentType=USER`, [2]],
    [`username=${ada}&parentType=payment`, []],
    [`username=${ada}&size=2`, [2, 1]],
    [`username=${ada}&size=2&page=1`, [0]],
    [`username=${ada}&size=2&page=2`, []],
  ])('by %s', async (query, expected) => {
    for (const path of ['/api/v1/notif', '/api/v1/notification'])
      expect(indexes(await list(query, admin, path))).toEqual(expected);
  });

  test('by time, both ends included', async () => {
    const from = encodeURIComponent(made[1]!.createdAt);
    const to = encodeURIComponent(made[2]!.createdAt);
    const query = `createdAtGte=${from}&createdAtLte=${to}`;
    expect(indexes(await list(query)).filter((index) => index >= 0)).toEqual([2, 1]);
    expect((await list(`username=${ada}&createdAtLte=2020-01-01`)).content).toEqual([]);
  });

  test('counts its pages', async () => {
    expect((await list(`username=${ada}&size=2&page=1`)).page).toEqual({
      size: 2,
      number: 1,
      totalElements: 3,
      totalPages: 2,
    });
    expect((await list('username=nobody-at-all')).page).toEqual({
      size: 20,
      number: 0,
      totalElements: 0,
      totalPages: 0,
    });
  });

  test.each([
    ['notificationType=GREAT', 'invalid_query'],
    ['parentType=PET', 'invalid_query'],
    ['createdAtGte=tomorrow', 'invalid_query'],
    ['createdAtGte=2026-02-30', 'invalid_query'],
    ['page=-1', 'invalid_query'],
    ['size=0', 'invalid_query'],
    ['size=101', 'invalid_query'],
    ['page=1000&size=100', 'page_too_deep'],
    ['sort=text', 'invalid_query'],
  ])('refuses %s', async (query, code) => {
    expect(await list(query)).toMatchObject({ status: 422, code });
  });

  test("is a customer's own", async () => {
    expect(indexes(await list('', someone(eve)))).toEqual([3]);
    expect(indexes(await list(`parentId=${parent}`, someone(ada)))).toEqual([0]);
    expect(await list(`username=${eve}`, someone(ada))).toMatchObject({
      status: 404,
      code: 'notifications_not_found',
    });
    expect((await show(made[3]!.id, someone(ada))).status).toBe(404);
    expect((await show(newId(), someone(ada))).status).toBe(404);
  });

  test('is exact to 10 000, then an estimate', async () => {
    const insert = (count: number) =>
      queryRows(
        running.databaseUrl,
        `insert into notifications.notifications
           (id, type, parent_type, username, text, template, created_at)
         select gen_random_uuid(), 'INFO', 'USER', 'many', 'x', 'plain', now()
         from generate_series(1, $1)`,
        [count],
      );
    await insert(10_000);
    await queryRows(running.databaseUrl, 'analyze notifications.notifications');
    expect((await list('username=many')).page).toMatchObject({ totalElements: 10_000 });
    expect((await list('username=many')).page).not.toHaveProperty('totalIsEstimate');
    await insert(1);
    const { page } = await list('username=many');
    expect(page['totalIsEstimate']).toBe(true);
    expect(page['totalElements']).toBeGreaterThan(10_000);
    for (const filter of ["username = 'many'", "parent_id = 'x'", "type = 'FAIL'"]) {
      const plan = await queryRows<{ 'QUERY PLAN': string }>(
        running.databaseUrl,
        `explain select * from notifications.notifications where ${filter}
         order by id desc limit 20`,
      );
      expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toMatch(/Index/);
    }
  });
});

describe('a person', () => {
  const exported = (username: string, after?: string) =>
    running.call(
      'GET',
      `/internal/notifications/export?username=${username}${after ? `&after=${after}` : ''}`,
      { as: someone('customers', 'service') },
    );

  test('can have all of it, page by page', async () => {
    await queryRows(
      running.databaseUrl,
      `insert into notifications.notifications
         (id, type, parent_type, username, text, template, created_at)
       select gen_random_uuid(), 'INFO', 'USER', 'told-a-lot', n::text, 'plain', now()
       from generate_series(1, 1200) n`,
    );
    const items: unknown[] = [];
    let after: string | undefined;
    do {
      const { body } = await exported('told-a-lot', after);
      const page = body as unknown as { items: unknown[]; next: string | null };
      items.push(...page.items);
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(new Set(items.map((item) => (item as { text: string }).text)).size).toBe(1200);
    expect((await exported('nobody-at-all')).body).toEqual({ items: [], next: null });
  });

  test('who is erased is forgotten, and nobody else', async () => {
    const ada = newName();
    const eve = newName();
    const headers = { 'idempotency-key': newId() };
    await create({ username: ada }, { headers });
    for (let round = 0; round < 3; round++)
      for (const username of [ada, eve]) await create({ username });
    await people.db.transaction((tx) =>
      emit(tx, 'customers', [
        { key: ada, version: 1, type: 'PROFILE_ERASED', data: { username: ada, changed: [] } },
      ]),
    );
    await until(async () => (await list(`username=${ada}`)).content.length === 0);
    expect((await list(`username=${eve}`)).content).toHaveLength(3);
    const repeated = await create({ username: ada }, { headers });
    expect([repeated.status, repeated.body['code']]).toEqual([404, 'notification_not_found']);
  });
});
