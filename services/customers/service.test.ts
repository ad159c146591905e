/** The customers service through its routes, on PostgreSQL. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  someone,
  startServices,
  type CallOptions,
  type Running,
} from '../../tests/support/service.ts';
import { customers } from './index.ts';

let running: Running;
beforeAll(async () => {
  running = await startServices([customers]);
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

const at = (username: string) => `/api/v1/user/${encodeURIComponent(username)}`;
const read = (username: string, as = admin) => running.call('GET', at(username), { as });

function replace(username: string, body: object, options: CallOptions = {}) {
  return running.call('PUT', at(username), { as: someone(username), body, ...options });
}

function register(username: string, registrationId: string, changes: object = {}) {
  return running.call('POST', '/internal/customers/profiles', {
    as: auth,
    body: { username, ...details, registration_id: registrationId, ...changes },
  });
}

function withdraw(username: string, registrationId: string) {
  const path = `/internal/customers/profiles/${encodeURIComponent(username)}`;
  return running.call('DELETE', `${path}?registration_id=${registrationId}`, { as: auth });
}

const contact = (username: string) =>
  running.call('GET', `/internal/customers/profiles/${encodeURIComponent(username)}`, { as: auth });

function eventsOf(username: string) {
  return queryRows<{ version: number; type: string; data: object }>(
    running.databaseUrl,
    'select version, type, data from customers.log where key = $1 order by version',
    [username],
  );
}

describe('a profile', () => {
  test('is made by an admin, and read by its person', async () => {
    const ada = newName();
    const address = { line1: '1 Main Street', city: 'Springfield', country: 'US' };
    const { status, body, headers } = await create(ada, { firstName: 'Ada', addresses: [address] });
    expect(status).toBe(201);
    expect(body).toEqual({ username: ada, ...details, firstName: 'Ada', addresses: [address] });
    expect(headers['location']).toBe(at(ada));
    expect((await read(ada, someone(ada))).body).toEqual(body);
    expect((await contact(ada)).body).toEqual({
      username: ada,
      ...details,
      first_name: 'Ada',
      last_name: null,
    });
  });

  test('is one per name, in whatever form the name is written', async () => {
    const name = `z\u00f6e-${newName()}`;
    expect((await create(name.normalize('NFD'))).status).toBe(201);
    expect((await read(name)).body).toMatchObject({ username: name });
    const again = await create(name);
    expect([again.status, again.body['code']]).toEqual([409, 'profile_exists']);
  });

  test.each([
    ['nobody', null, 401],
    ['a customer', someone('ada'), 403],
    ['an operator', someone('olga', 'operator'), 403],
    ['an executor', someone('carl', 'executor'), 403],
    ['a service', auth, 201],
  ])('made by %s', async (_who, as, status) => {
    expect((await create(newName(), {}, { as })).status).toBe(status);
  });

  test.each([
    [{ username: '..' }, '/username'],
    [{ username: 'a/b' }, '/username'],
    [{ username: ' ada' }, '/username'],
    [{ email: 'no address' }, '/email'],
    [{ email: 'a@b\r\nBcc: c@d' }, '/email'],
    [{ email: '"a b"@example.com' }, '/email'],
    [{ email: `${'a'.repeat(65)}@example.com` }, '/email'],
    [{ email: `a@${'b'.repeat(64)}.com` }, '/email'],
    [{ email: 'a@-b.com' }, '/email'],
    [{ email: null }, '/email'],
    [{ phone: 'call me' }, '/phone'],
    [{ phone: '12' }, '/phone'],
    [{ phone: '+1\n2345' }, '/phone'],
    [{ firstName: 'a'.repeat(101) }, '/firstName'],
    [{ addresses: Array.from({ length: 21 }, () => ({ line1: 'a', city: 'b' })) }, '/addresses'],
    [{ addresses: [{ line1: 'a' }] }, '/addresses/0/city'],
    [{ addresses: [{ line1: 'a', city: 'b', country: 'usa' }] }, '/addresses/0/country'],
    [{ addresses: [{ line1: 'a', city: 'b', floor: 1 }] }, '/addresses/0/floor'],
    [{ roles: ['admin'] }, '/roles'],
  ])('refuses %j', async (changes, pointer) => {
    const { status, body } = await create(newName(), changes);
    expect(status).toBe(422);
    expect(body['errors']).toContainEqual(expect.objectContaining({ pointer }));
  });

  test('is judged in linear time', async () => {
    const begin = performance.now();
    for (const email of [`${'a.'.repeat(400_000)}@`, `a@${'b.'.repeat(400_000)}`, '@'.repeat(9e5)])
      expect((await create(newName(), { email })).status).toBe(422);
    // Quadratic would be minutes.
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  test('made twice under one key is made once', async () => {
    const name = newName();
    const headers = { 'idempotency-key': newId() };
    const [one, two] = await Promise.all([
      create(name, {}, { headers }),
      create(name, {}, { headers }),
    ]);
    expect([one.status, two.status]).toEqual([201, 201]);
    expect(one.body).toEqual(two.body);
    expect(await eventsOf(name)).toHaveLength(1);
    const other = await create(name, { phone: '+1 555 0199' }, { headers });
    expect(other.body['code']).toBe('idempotency_key_reused');
    const [kept] = await queryRows<{ response: string }>(
      running.databaseUrl,
      'select response from customers.idempotency_keys where key = $1',
      [headers['idempotency-key']],
    );
    expect(kept?.response).not.toContain('@');
  });
});

describe('a change', () => {
  test('replaces the whole profile', async () => {
    const ada = newName();
    await create(ada, { firstName: 'Ada', addresses: [{ line1: 'a', city: 'b' }] });
    const { status, body } = await replace(ada, { ...details, lastName: 'Lovelace' });
    expect(status).toBe(200);
    expect(body).toEqual({ username: ada, ...details, lastName: 'Lovelace', addresses: [] });
    expect((await eventsOf(ada)).map(({ type, data }) => [type, data])).toEqual([
      ['PROFILE_CREATED', expect.anything()],
      ['PROFILE_UPDATED', { username: ada, changed: ['first_name', 'last_name', 'addresses'] }],
    ]);
  });

  test('that changes nothing is no event', async () => {
    const ada = newName();
    const { body } = await create(ada, { addresses: [{ line1: 'a', city: 'b' }] });
    expect((await replace(ada, body)).body).toEqual(body);
    expect(await eventsOf(ada)).toHaveLength(1);
  });

  test('of many at once is as many versions', async () => {
    const ada = newName();
    await create(ada);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        replace(ada, { ...details, phone: `+1 555 ${1000 + index}` }),
      ),
    );
    const versions = (await eventsOf(ada)).map(({ version }) => version);
    expect(versions).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
  });

  test('with an old ETag is refused', async () => {
    const ada = newName();
    const etag = String((await create(ada)).headers['etag']);
    const body = { ...details, firstName: 'Ada' };
    const first = await replace(ada, body, { headers: { 'if-match': etag } });
    expect(first.status).toBe(200);
    expect(first.headers['etag']).not.toBe(etag);
    const late = await replace(ada, details, { headers: { 'if-match': etag } });
    expect([late.status, late.body['code']]).toEqual([412, 'profile_changed']);
    const odd = await replace(ada, details, { headers: { 'if-match': 'W/1' } });
    expect([odd.status, odd.body['code']]).toEqual([400, 'invalid_if_match']);
    expect((await read(ada)).body['firstName']).toBe('Ada');
  });

  test('of the name is refused', async () => {
    const ada = newName();
    await create(ada);
    expect((await replace(ada, { ...details, username: ada })).status).toBe(200);
    const other = await replace(ada, { ...details, username: 'root' });
    expect([other.status, other.body['code']]).toEqual([422, 'invalid_body']);
  });

  test('by another service touches what it names alone', async () => {
    const ada = newName();
    await create(ada, { firstName: 'Ada', addresses: [{ line1: 'a', city: 'b' }] });
    const { status } = await running.call('PUT', `/internal/customers/profiles/${ada}`, {
      as: auth,
      body: { email: 'new@example.com', phone: null },
    });
    expect(status).toBe(200);
    expect((await read(ada)).body).toEqual({
      username: ada,
      email: 'new@example.com',
      phone: null,
      firstName: 'Ada',
      addresses: [{ line1: 'a', city: 'b' }],
    });
  });
});

describe('somebody else', () => {
  const eve = someone('eve');
  test.each([
    ['GET', ''],
    ['PUT', ''],
    ['DELETE', ''],
    ['GET', '/export'],
  ] as const)('may not %s%s', async (method, below) => {
    const ada = newName();
    await create(ada);
    const body = method === 'PUT' ? { body: details } : {};
    for (const name of [ada, 'never-made']) {
      const { status, body: told } = await running.call(method, at(name) + below, {
        as: eve,
        ...body,
      });
      expect([status, told['code']]).toEqual([404, 'profile_not_found']);
    }
    expect(await eventsOf(ada)).toHaveLength(1);
  });

  test('gets nothing of what is for services', async () => {
    const ada = newName();
    await create(ada);
    for (const as of [eve, someone(ada), admin])
      expect(
        (await running.call('GET', `/internal/customers/profiles/${ada}`, { as })).status,
      ).toBe(403);
  });

  test('that staff asks for and nobody knows is 404', async () => {
    expect((await read('never-made')).body['code']).toBe('profile_not_found');
    const put = await replace('never-made', details, { as: admin });
    expect(put.body['code']).toBe('profile_not_found');
    const erase = await running.call('DELETE', at('never-made'), { as: admin });
    expect(erase.body['code']).toBe('profile_not_found');
  });
});

describe('a registration', () => {
  test('makes its profile once, however often it asks', async () => {
    const ada = newName();
    const id = newId();
    const answers = await Promise.all(Array.from({ length: 10 }, () => register(ada, id)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(9);
    expect(await eventsOf(ada)).toHaveLength(1);
    const other = await register(ada, newId());
    expect([other.status, other.body['code']]).toEqual([409, 'profile_exists']);
  });

  test('may know neither address nor number', async () => {
    const ada = newName();
    expect((await register(ada, newId(), { email: null, phone: undefined })).status).toBe(201);
    expect((await read(ada)).body).toEqual({
      username: ada,
      email: null,
      phone: null,
      addresses: [],
    });
  });

  test('that is undone frees the name, and events go on counting', async () => {
    const ada = newName();
    const id = newId();
    await register(ada, id);
    expect((await withdraw(ada, id)).body).toEqual({ withdrawn: true });
    expect((await withdraw(ada, id)).body).toEqual({ withdrawn: false });
    expect((await contact(ada)).status).toBe(404);
    expect((await register(ada, newId(), { first_name: 'Ada' })).status).toBe(201);
    expect((await eventsOf(ada)).map(({ version, type }) => `${version} ${type}`)).toEqual([
      '1 PROFILE_CREATED',
      '2 PROFILE_WITHDRAWN',
      '3 PROFILE_CREATED',
    ]);
  });

  test('that is undone before it came makes nothing any more', async () => {
    const ada = newName();
    const id = newId();
    expect((await withdraw(ada, id)).body).toEqual({ withdrawn: false });
    const late = await register(ada, id);
    expect([late.status, late.body['code']]).toEqual([409, 'registration_withdrawn']);
    expect((await contact(ada)).status).toBe(404);
  });

  test('undone while it runs leaves nothing, whoever is first', async () => {
    for (let round = 0; round < 20; round++) {
      const ada = newName();
      const id = newId();
      await Promise.all([register(ada, id), withdraw(ada, id)]);
      expect((await contact(ada)).status).toBe(404);
    }
  });

  test('does not undo what another made', async () => {
    const ada = newName();
    await register(ada, newId());
    expect((await withdraw(ada, newId())).body).toEqual({ withdrawn: false });
    expect((await contact(ada)).status).toBe(200);
  });
});
