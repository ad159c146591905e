/** Persons who are erased, or want all of it, on PostgreSQL; what others hold, a test says. */
import { beforeAll, describe, expect, test } from 'vitest';
import { Outage } from '@waybill/kit/errors.ts';
import { newId } from '@waybill/kit/ids.ts';
import { route } from '@waybill/kit/route.ts';
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  someone,
  startServices,
  type CallOptions,
  type Running,
} from '../../tests/support/service.ts';
import { EXPORTED } from './contract.ts';
import { customers } from './index.ts';

/** What each of the others says it holds, and whether it answers at all. */
const held: Record<string, { items: unknown[]; down: boolean; asked: string[] }> = {};

/** Services that hold something about people, as a test says. */
const others = EXPORTED.map(([, name]) => {
  held[name] = { items: [], down: false, asked: [] };
  return defineService({
    name,
    description: 'Holds what a test says.',
    paths: [],
    settings: {},
    create: (base): ServiceContext => base,
    routes: [
      route({
        method: 'GET',
        path: `/internal/${name}/export`,
        access: ['service'],
        summary: 'What a test says.',
        internal: true,
        replies: { 200: { description: 'A page.' } },
        async handle({ query }) {
          const { username, after = '0' } = query as unknown as Record<string, string>;
          const { items, down, asked } = held[name]!;
          if (down) throw new Outage('database', 'the test says so');
          asked.push(String(username));
          const next = Number(after) + (items.length > 100 ? 15_000 : 2);
          return {
            status: 200,
            body: {
              items: items.slice(Number(after), next),
              next: next < items.length ? String(next) : null,
            },
          };
        },
      }),
    ],
    consumers: [],
    tasks: [],
    sweeps: [],
  });
});

let running: Running;
beforeAll(async () => {
  running = await startServices([customers, ...others]);
});

const admin = someone('root', 'admin');
const auth = someone('auth', 'service');
let counter = 0;
const newName = () => `person-${counter++}`;

const details = { email: 'ada@example.com', phone: '+1 555 0100' };

function create(username: string, changes: object = {}, options: CallOptions = {}) {
  const body = { username, ...details, ...changes };
  return running.call('POST', '/api/v1/user', { as: admin, body, ...options });
}

const at = (username: string) => `/api/v1/user/${username}`;
const read = (username: string) => running.call('GET', at(username), { as: admin });

function replace(username: string, body: object) {
  return running.call('PUT', at(username), { as: someone(username), body });
}

function register(username: string, registrationId: string, changes: object = {}) {
  return running.call('POST', '/internal/customers/profiles', {
    as: auth,
    body: { username, ...details, registration_id: registrationId, ...changes },
  });
}

async function lastEvent(username: string) {
  const [event] = await queryRows<{ version: number; type: string; data: object }>(
    running.databaseUrl,
    'select version, type, data from customers.log where key = $1 order by version desc limit 1',
    [username],
  );
  return event;
}

function withdraw(username: string, registrationId: string) {
  const path = `/internal/customers/profiles/${username}?registration_id=${registrationId}`;
  return running.call('DELETE', path, { as: auth });
}

describe('an erased person', () => {
  test('is gone, and the name with them', async () => {
    const ada = newName();
    const id = newId();
    await register(ada, id, { first_name: 'Ada' });
    const erase = () => running.call('DELETE', at(ada), { as: someone(ada) });
    const { status, body } = await erase();
    expect(status).toBe(200);
    expect(body).toEqual({ username: ada, erasedAt: expect.stringMatching(/Z$/) });
    expect((await erase()).body).toEqual(body);
    expect((await read(ada)).status).toBe(404);
    expect((await create(ada)).body['code']).toBe('profile_exists');
    expect((await register(ada, newId())).body['code']).toBe('profile_exists');
    expect((await register(ada, id)).body['code']).toBe('profile_exists');
    expect((await replace(ada, details)).status).toBe(404);
    expect((await withdraw(ada, id)).body).toEqual({ withdrawn: false });
  });

  test('leaves nothing but the name in any table', async () => {
    const ada = newName();
    const email = `${newId()}@example.com`;
    await create(
      ada,
      { email, phone: '+99 98 97', firstName: 'Augusta', addresses: [{ line1: 'Q7', city: 'b' }] },
      { headers: { 'idempotency-key': newId() } },
    );
    await replace(ada, { email, phone: '+99 98 96', lastName: 'Byron' });
    await running.call('DELETE', at(ada), { as: admin });
    const tables = await queryRows<{ name: string }>(
      running.databaseUrl,
      `select table_name as name from information_schema.tables where table_schema = 'customers'`,
    );
    expect(tables.length).toBeGreaterThan(5);
    for (const { name } of tables) {
      const rows = await queryRows<{ row: string }>(
        running.databaseUrl,
        `select t::text as row from customers.${name} t`,
      );
      const text = rows.map(({ row }) => row).join('\n');
      for (const secret of [email, '+99 98', 'Augusta', 'Byron', 'Q7'])
        expect(text, name).not.toContain(secret);
    }
    expect(await lastEvent(ada)).toMatchObject({ type: 'PROFILE_ERASED', version: 3 });
  });
});

describe('an export', () => {
  test('holds what every service has, page by page', async () => {
    const ada = newName();
    await create(ada);
    for (const [index, [, name]] of EXPORTED.entries())
      held[name]!.items = Array.from({ length: index * 2 + 1 }, (_, item) => `${name} ${item}`);
    const { status, body } = await running.call('GET', `${at(ada)}/export`, { as: someone(ada) });
    expect(status).toBe(200);
    expect(body).toMatchObject({ profile: { username: ada, ...details } });
    for (const [part, name] of EXPORTED) expect(body[part]).toEqual(held[name]!.items);
    for (const { asked } of Object.values(held)) expect(new Set(asked)).toEqual(new Set([ada]));
  });

  test.each(EXPORTED)('without %s is none', async (_part, name) => {
    const ada = newName();
    await create(ada);
    held[name]!.down = true;
    const { status, body } = await running.call('GET', `${at(ada)}/export`, { as: someone(ada) });
    held[name]!.down = false;
    expect([status, body['code']]).toEqual([503, 'temporarily_unavailable']);
  });

  test('of more than an answer holds is refused', async () => {
    const ada = newName();
    await create(ada);
    const orders = held['orders']!;
    orders.items = Array.from({ length: 20_001 }, () => 'x');
    const tooLarge = await running.call('GET', `${at(ada)}/export`, { as: admin });
    expect([tooLarge.status, tooLarge.body['code']]).toEqual([409, 'export_too_large']);
    orders.items.pop();
    expect((await running.call('GET', `${at(ada)}/export`, { as: admin })).status).toBe(200);
  });
});
