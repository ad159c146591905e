/** The petstore's operations on pets, through their routes. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { photos } from '@waybill/photos/index.ts';
import { createTestDatabase, queryRows } from '../../tests/support/database.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import { freePort, until } from '../../tests/support/waybill.ts';
import { pets } from './index.ts';

let running: Running;

beforeAll(async () => {
  running = await startServices([pets, photos]);
});

const rex = { name: 'Rex', photoUrls: ['https://example.com/rex.png'] };
const at = '/api/v3/pet';
const add = (body: unknown, headers = {}) => running.call('POST', at, { body, headers });
const update = (body: unknown) => running.call('PUT', at, { body });
const get = (id: unknown) => running.call('GET', `${at}/${String(id)}`, { as: null });
const remove = (id: unknown) => running.call('DELETE', `${at}/${String(id)}`);
const change = (id: unknown, query: string) => running.call('POST', `${at}/${String(id)}${query}`);

async function added(body: object = rex): Promise<number> {
  const answer = await add(body);
  expect(answer.status).toBe(200);
  return Number(answer.body['id']);
}

const eventsOf = (id: number) =>
  queryRows<{ type: string; version: number; from: string | null; to: string | null }>(
    running.databaseUrl,
    `select type, version, data->>'from' as from, data->>'to' as to from pets.log
     where key = $1 order by version`,
    [String(id)],
  );

function reserve(id: number, reservation_id = newId()) {
  const body = { reservation_id, order_id: newId(), order_number: 1, customer_id: 'ada' };
  const as = someone('orders', 'service');
  return running.call('POST', `/internal/pets/${id}/reserve`, { as, body });
}

describe('adding', () => {
  test('a pet with everything shows everything', async () => {
    const body = {
      id: 4711,
      ...rex,
      category: { id: 1, name: 'Dogs' },
      tags: [{ id: 0, name: 'friendly' }, { name: 'large' }],
      status: 'pending',
    };
    const answer = await add(body);
    expect(answer).toMatchObject({ status: 200, body });
    expect((await get(4711)).body).toEqual(answer.body);
    expect(await eventsOf(4711)).toEqual([
      { type: 'PET_CREATED', version: 1, from: null, to: 'reserved' },
    ]);
  });

  test('without id, status and tags gives it an id, and makes it available', async () => {
    const [first, second] = [await add(rex), await add({ ...rex, id: 0 })];
    expect(first.body).toMatchObject({ ...rex, tags: [], status: 'available' });
    expect(first.body).not.toHaveProperty('category');
    expect(Number(second.body['id'])).toBeGreaterThan(Number(first.body['id']));
  });

  test('finds an id though clients took the next ones', async () => {
    const [{ next }] = (await queryRows<{ next: string }>(
      running.databaseUrl,
      "select nextval('pets.pet_ids') as next",
    )) as [{ next: string }];
    for (let step = 1; step <= 5; step++) await added({ ...rex, id: Number(next) + step });
    expect(await added()).toBeGreaterThan(Number(next) + 5);
  });

  test('ignores fields that it does not know, at every depth', async () => {
    const body = { ...rex, colour: 'red', category: { name: 'Dogs', x: 1 }, tags: [{ y: 2 }] };
    const answer = await add(body);
    expect(answer.body).toMatchObject({ category: { name: 'Dogs' }, tags: [{}] });
    const told = JSON.stringify(answer.body);
    for (const name of ['colour', 'x', 'y']) expect(told).not.toContain(`"${name}"`);
  });

  test('an id that is there updates the pet', async () => {
    const id = await added({ ...rex, category: { name: 'Dogs' }, tags: [{ name: 'large' }] });
    const answer = await add({ id, name: 'Max', photoUrls: [], status: 'sold' });
    expect(answer.body).toEqual({ id, name: 'Max', photoUrls: [], tags: [], status: 'sold' });
    expect((await eventsOf(id)).at(-1)).toEqual({
      type: 'PET_UPDATED',
      version: 2,
      from: 'available',
      to: 'sold',
    });
  });

  test('an id that is there is refused to whoever wants to add or nothing', async () => {
    const id = 880_002;
    const headers = { 'if-none-match': '*' };
    const answers = await Promise.all([1, 2, 3].map(() => add({ id, ...rex }, headers)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412, 412]);
    expect(answers.find(({ status }) => status === 412)?.body).toMatchObject({
      code: 'pet_exists',
    });
    await remove(id);
    expect((await add({ id, ...rex }, headers)).status).toBe(200);
  });

  test.each([
    [{ photoUrls: [] }, '/name'],
    [{ name: 'Rex' }, '/photoUrls'],
    [{ ...rex, name: 7 }, '/name'],
    [{ ...rex, name: '' }, '/name'],
    [{ ...rex, name: 'x'.repeat(301) }, '/name'],
    [{ ...rex, photoUrls: 'x' }, '/photoUrls'],
    [{ ...rex, photoUrls: Array.from({ length: 101 }, () => 'x') }, '/photoUrls'],
    [{ ...rex, status: 'reserved' }, '/status'],
    [{ ...rex, status: 'unknown' }, '/status'],
    [{ ...rex, id: 'ten' }, '/id'],
    [{ ...rex, id: -1 }, '/id'],
    [{ ...rex, id: 1.5 }, '/id'],
    [{ ...rex, category: 'Dogs' }, '/category'],
    [{ ...rex, tags: [{ name: 7 }] }, '/tags/0/name'],
  ])('%j is refused', async (body, pointer) => {
    const answer = await add(body);
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_body' } });
    expect(JSON.stringify(answer.body['errors'])).toContain(`"${pointer}"`);
  });

  test('twice with one key is one pet', async () => {
    const headers = { 'idempotency-key': newId() };
    const [one, two] = await Promise.all([add(rex, headers), add(rex, headers)]);
    expect(one?.body).toEqual(two?.body);
    const third = await add(rex, headers);
    expect(third.body).toEqual(one?.body);
    expect(third.headers['idempotent-replayed']).toBe('true');
    const other = await add({ ...rex, name: 'Max' }, headers);
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
  });

  test('one id by many at once is one pet with every version', async () => {
    const id = 880_001;
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => add({ ...rex, id, name: `Rex ${index}` })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => 200));
    const events = await eventsOf(id);
    expect(events.map(({ version }) => version)).toEqual(
      Array.from({ length: 12 }, (_, index) => index + 1),
    );
    expect(events.filter(({ type }) => type === 'PET_CREATED')).toHaveLength(1);
  });
});

describe('updating', () => {
  test('replaces all but the status, which stays when it is not named', async () => {
    const id = await added({ ...rex, tags: [{ name: 'large' }], status: 'sold' });
    const answer = await update({ id, name: 'Max', photoUrls: [] });
    expect(answer).toMatchObject({ status: 200, body: { name: 'Max', tags: [], status: 'sold' } });
    expect((await get(id)).body).toEqual(answer.body);
  });

  test('of a pet that is not there is 404, and without an id 422', async () => {
    expect(await update({ id: 99, ...rex })).toMatchObject({
      status: 404,
      body: { code: 'pet_not_found' },
    });
    expect((await update(rex)).status).toBe(422);
  });

  test('by query changes name, status or both, and nothing else', async () => {
    const id = await added({ ...rex, tags: [{ name: 'large' }] });
    expect((await change(id, '?name=Max%20II')).body).toMatchObject({
      name: 'Max II',
      status: 'available',
      tags: [{ name: 'large' }],
      photoUrls: rex.photoUrls,
    });
    expect((await change(id, '?status=sold')).body).toMatchObject({
      name: 'Max II',
      status: 'sold',
    });
    expect((await change(id, '?name=Rex&status=available')).status).toBe(200);
  });

  test('by query under a key is one change, and no other', async () => {
    const id = await added();
    const headers = { 'idempotency-key': newId() };
    const keyed = (query: string) =>
      running.call('POST', `/api/v3/pet/${id}?${query}`, { headers });
    const first = await keyed('name=Max&status=sold');
    const again = await keyed('status=sold&name=Max');
    expect(again).toMatchObject({ body: first.body, headers: { 'idempotent-replayed': 'true' } });
    expect(await keyed('name=Moritz&status=sold')).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused' },
    });
    expect((await get(id)).body).toEqual(first.body);
  });

  test.each([
    '',
    '?status=reserved',
    '?status=',
    '?name=',
    '?name=%07',
    `?name=${'x'.repeat(301)}`,
  ])('by query "%s" is 400', async (query) => {
    const id = await added();
    expect(await change(id, query)).toMatchObject({
      status: 400,
      body: { code: 'invalid_input' },
    });
    expect(await eventsOf(id)).toHaveLength(1);
  });
});

test.each(['abc', '1.5', '1e3', '0x1', '%20', '9007199254740993', '1'.repeat(30)])(
  'the id %s is malformed for every operation',
  async (id) => {
    for (const answer of [await get(id), await remove(id), await change(id, '?name=a')])
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_path' } });
  },
);

test.each([99, 0, -1, 9_007_199_254_740_991])('the id %s is nobody’s', async (id) => {
  for (const answer of [await get(id), await remove(id), await change(id, '?name=a')])
    expect(answer).toMatchObject({ status: 404, body: { code: 'pet_not_found' } });
});

describe('deleting', () => {
  test('is for once; the id may be used again, and its versions go on', async () => {
    const id = await added();
    expect((await remove(id)).status).toBe(200);
    expect((await get(id)).status).toBe(404);
    expect((await remove(id)).status).toBe(404);
    expect((await update({ id, ...rex })).status).toBe(404);
    expect((await reserve(id)).body).toMatchObject({ code: 'pet_not_found' });
    expect((await add({ id, ...rex, name: 'Max' })).status).toBe(200);
    expect(await eventsOf(id)).toEqual([
      { type: 'PET_CREATED', version: 1, from: null, to: 'available' },
      { type: 'PET_DELETED', version: 2, from: 'available', to: null },
      { type: 'PET_CREATED', version: 3, from: null, to: 'available' },
    ]);
  });
});

describe('while an order holds a pet', () => {
  async function held() {
    const id = await added();
    const { body } = await reserve(id);
    const settle = (how: string) =>
      running.call('POST', `/internal/pets/${id}/${how}`, {
        as: someone('orders', 'service'),
        body: { reservation_id: body['reservation_id'] },
      });
    return { id, settle };
  }

  test.each(['reserved', 'sold'])(
    'and it is %s, nobody deletes it or changes its status',
    async (how) => {
      const { id, settle } = await held();
      if (how === 'sold') await settle('sell');
      const other = how === 'sold' ? 'pending' : 'sold';
      for (const answer of [
        await remove(id),
        await change(id, '?status=available'),
        await change(id, `?name=Max&status=${other}`),
        await update({ id, ...rex, status: 'available' }),
        await add({ id, ...rex, status: 'available' }),
      ])
        expect(answer).toMatchObject({ status: 409, body: { code: 'pet_reserved' } });
      expect((await get(id)).body).toMatchObject({ name: 'Rex' });
      // What does not touch the status is the owner's to change.
      expect((await update({ id, ...rex, name: 'Max' })).status).toBe(200);
      const same = how === 'sold' ? 'sold' : 'pending';
      expect((await change(id, `?status=${same}`)).status).toBe(200);
      await settle('release');
      expect((await remove(id)).status).toBe(200);
    },
  );

  test('no deletion at the same time as a reservation wins too', async () => {
    for (let round = 0; round < 20; round++) {
      const id = await added();
      const [reserved, removed] = await Promise.all([reserve(id), remove(id)]);
      const statuses = [reserved?.status, removed?.status];
      expect([
        [200, 409],
        [404, 200],
      ]).toContainEqual(statuses);
      expect((await get(id)).status).toBe(reserved?.status);
    }
  });
});

test('looking is for anybody, changing for whoever runs the shop', async () => {
  const id = await added();
  const tries = (as: Parameters<typeof someone>) => {
    const identity = as[0] === 'nobody' ? null : someone(...as);
    const call = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) =>
      running.call(method, at + path, { as: identity, ...(body === undefined ? {} : { body }) });
    return {
      look: [() => call('GET', `/${id}`), () => call('GET', '/findByStatus?status=available')],
      change: [
        () => call('POST', '', rex),
        () => call('PUT', '', { id, ...rex }),
        () => call('POST', `/${id}?name=Rex`),
        () => call('POST', `/${id}/uploadImage`),
        () => call('DELETE', `/${id}`),
      ],
    };
  };
  const refused = [
    [['nobody'], 401],
    [['ada', 'customer'], 403],
    [['van', 'executor'], 403],
  ] as const;
  for (const [who, status] of refused) {
    const { look, change: changes } = tries([...who] as Parameters<typeof someone>);
    for (const one of look) expect((await one()).status).toBe(200);
    for (const one of changes) expect((await one()).status).toBe(status);
  }
  for (const role of ['operator', 'admin', 'service'] as const)
    for (const one of tries(['root', role]).change.slice(0, 3))
      expect((await one()).status).toBe(200);
});

test('the photo service is told what a pet shows, in the end what it shows last', async () => {
  const id = await added({ ...rex, photoUrls: ['https://example.com/0'] });
  const album = async () => {
    const path = `/internal/photos/albums/${id}`;
    return (await running.call('GET', path, { as: someone('pets', 'service') })).body['urls'];
  };
  const shows = (urls: string[]) =>
    until(async () => JSON.stringify(await album()) === JSON.stringify(urls));
  await shows(['https://example.com/0']);
  for (let step = 1; step <= 10; step++)
    await update({ id, ...rex, photoUrls: [`https://example.com/${step}`] });
  await shows(['https://example.com/10']);
  await remove(id);
  await shows([]);
});

test('the photo service is away when a pet is added, and is told when it is back', async () => {
  const port = String(await freePort());
  const environment = { DATABASE_URL: await createTestDatabase() };
  const alone = await startServices([pets], {
    ...environment,
    DISCOVERY_URL: `static:photos=http://127.0.0.1:${port}`,
  });
  const body = { ...rex, id: 1 };
  expect((await alone.call('POST', at, { body })).status).toBe(200);
  const upload = await alone.call('POST', `${at}/1/uploadImage`, {
    raw: 'x',
    headers: { 'content-type': 'application/octet-stream' },
  });
  expect(upload).toMatchObject({ status: 503, body: { code: 'temporarily_unavailable' } });
  const back = await startServices([photos], { ...environment, PORT: port });
  const as = someone('pets', 'service');
  await until(async () => {
    const album = await back.call('GET', '/internal/photos/albums/1', { as });
    return JSON.stringify(album.body['urls']) === JSON.stringify(rex.photoUrls);
  }, 20_000);
});
