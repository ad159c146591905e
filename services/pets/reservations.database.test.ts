/** Reservations through their routes: one winner, one answer per id, and what orders do to them. */
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { createTestDatabase, queryRows } from '../../tests/support/database.ts';
import { someone, startServices, type Running } from '../../tests/support/service.ts';
import type { PetStatus } from './contract.ts';
import { pets } from './index.ts';

const orders = someone('orders', 'service');
let databaseUrl: string;
/** Three processes, as it were: each has a pool, a relay and consumers of its own. */
let processes: Running[];
let nextPet = 1;

beforeAll(async () => {
  databaseUrl = await createTestDatabase();
  const start = () =>
    startServices([pets], { DATABASE_URL: databaseUrl, DATABASE_POOL_SIZE: '12' });
  processes = [await start(), await start(), await start()];
});

const rows = <Row>(text: string, values: unknown[] = []) =>
  queryRows<Row>(databaseUrl, text, values);

/** A pet that is there by itself: how pets are added is another test's subject. */
async function pet(status: PetStatus = 'available'): Promise<number> {
  const id = nextPet++;
  await rows(
    `insert into pets.pets (id, name, photo_urls, tags, status, version)
     values ($1, 'Rex', '[]', '[]', $2, 1)`,
    [id, status],
  );
  await rows(
    `insert into pets.log (key, version, type, data) values ($1, 1, 'PET_CREATED', '{}')`,
    [String(id)],
  );
  return id;
}

function request(changes: Record<string, unknown> = {}) {
  return {
    reservation_id: newId(),
    order_id: newId(),
    order_number: 1_000_000_007,
    customer_id: 'ada',
    quantity: 2,
    ship_date: '2026-12-01T10:00:00Z',
    complete: false,
    requested_at: '2026-11-20T10:00:00.000Z',
    payload: { door: 'C' },
    ...changes,
  };
}

const post = (path: string, body: unknown, by = processes[0] as Running) =>
  by.call('POST', path, { as: orders, body });
const reserve = (id: number, body: unknown, by?: Running) =>
  post(`/internal/pets/${id}/reserve`, body, by);

const eventsOf = (id: number) =>
  rows<{ type: string; version: number; data: Record<string, unknown> }>(
    'select type, version, data from pets.log where key = $1 order by version',
    [String(id)],
  );

describe('reserving', () => {
  test('holds the pet, and its commit carries all that creates the order', async () => {
    const id = await pet();
    const body = request();
    const answer = await reserve(id, body);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        reserved: true,
        reservation_id: body.reservation_id,
        pet: { id, name: 'Rex', status: 'pending' },
      },
    });
    expect((await eventsOf(id)).at(-1)).toEqual({
      type: 'PET_RESERVED',
      version: 2,
      data: { ...body, pet_id: id, name: 'Rex', from: 'available', to: 'reserved' },
    });
  });

  test('again under the same id gives the same answer, and changes nothing', async () => {
    const id = await pet();
    const body = request();
    const first = await reserve(id, body);
    const again = await Promise.all(processes.map((by) => reserve(id, body, by)));
    for (const answer of again) expect(answer.body).toEqual(first.body);
    expect(await eventsOf(id)).toHaveLength(2);
  });

  test('is refused at once when the pet is taken, was sold, or never was', async () => {
    const id = await pet();
    await reserve(id, request());
    for (const [taken, code] of [
      [id, 'pet_not_available'],
      [await pet('sold'), 'pet_not_available'],
      [999_999, 'pet_not_found'],
    ] as const) {
      const answer = await reserve(taken, request());
      expect(answer.body).toMatchObject({ code });
      expect(answer.status).toBe(code === 'pet_not_found' ? 404 : 409);
    }
  });

  test('is for services alone', async () => {
    const id = await pet();
    const path = `/internal/pets/${id}/reserve`;
    const by = processes[0] as Running;
    for (const as of [someone('ada'), someone('olga', 'operator'), someone('root', 'admin')])
      expect((await by.call('POST', path, { as, body: request() })).status).toBe(403);
    expect((await by.call('POST', path, { as: null, body: request() })).status).toBe(401);
    expect(await eventsOf(id)).toHaveLength(1);
  });

  test('by 50 callers of three processes at once has one winner, round after round', async () => {
    for (let round = 0; round < 20; round++) {
      const id = await pet();
      const bodies = Array.from({ length: 50 }, () => request());
      const answers = await Promise.all(
        bodies.map((body, index) => reserve(id, body, processes[index % processes.length])),
      );
      const winners = bodies.filter((_, index) => answers[index]?.status === 200);
      expect(winners).toHaveLength(1);
      for (const { status, body } of answers)
        if (status !== 200) expect([status, body['code']]).toEqual([409, 'pet_not_available']);
      const held = await rows('select id, state from pets.reservations where pet_id = $1', [id]);
      expect(held).toEqual([{ id: winners[0]?.reservation_id, state: 'held' }]);
      const told = await eventsOf(id);
      expect(told.map(({ type }) => type)).toEqual(['PET_CREATED', 'PET_RESERVED']);
      expect(told[1]?.data['order_id']).toBe(winners[0]?.order_id);
    }
  });

  test('of one id, asked by all processes at once, is one reservation', async () => {
    const id = await pet();
    const body = request();
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => reserve(id, body, processes[index % 3])),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await eventsOf(id)).toHaveLength(2);
  });
});

describe('a reservation', () => {
  async function reserved() {
    const id = await pet();
    const body = request();
    expect((await reserve(id, body)).status).toBe(200);
    const settle = (how: 'sell' | 'release', reservation = body.reservation_id) =>
      post(`/internal/pets/${id}/${how}`, { reservation_id: reservation });
    return { id, body, settle };
  }
  const statusOf = async (id: number) =>
    (await rows<{ status: string }>('select status from pets.pets where id = $1', [id]))[0]?.status;

  test('is sold once, and released once, with an event each', async () => {
    const { id, body, settle } = await reserved();
    for (const _ of [1, 2])
      expect((await settle('sell')).body).toMatchObject({ state: 'sold', pet_id: id });
    expect(await statusOf(id)).toBe('sold');
    for (const _ of [1, 2])
      expect((await settle('release')).body).toMatchObject({ state: 'released' });
    expect(await statusOf(id)).toBe('available');
    const { reservation_id, order_id } = body;
    expect((await eventsOf(id)).slice(2)).toEqual([
      {
        type: 'PET_SOLD',
        version: 3,
        data: { pet_id: id, name: 'Rex', reservation_id, order_id, from: 'reserved', to: 'sold' },
      },
      {
        type: 'PET_RELEASED',
        version: 4,
        data: { pet_id: id, name: 'Rex', reservation_id, order_id, from: 'sold', to: 'available' },
      },
    ]);
    expect(await settle('sell')).toMatchObject({
      status: 409,
      body: { code: 'reservation_released' },
    });
  });

  test('that was released leaves the pet to the next, and stays out of it', async () => {
    const { id, body, settle } = await reserved();
    await settle('release');
    const next = request();
    expect((await reserve(id, next)).status).toBe(200);
    expect((await settle('release')).body).toMatchObject({ state: 'released' });
    // Asked again it gives the answer that it gave, and takes nothing.
    expect((await reserve(id, body)).status).toBe(200);
    expect(await rows('select reservation_id from pets.pets where id = $1', [id])).toEqual([
      { reservation_id: next.reservation_id },
    ]);
  });

  test('that was released before it came can never be made', async () => {
    const id = await pet();
    const body = request();
    const early = await post(`/internal/pets/${id}/release`, {
      reservation_id: body.reservation_id,
    });
    expect(early.body).toMatchObject({ state: 'released', order_id: null });
    expect(await reserve(id, body)).toMatchObject({
      status: 409,
      body: { code: 'pet_not_available' },
    });
    expect(await statusOf(id)).toBe('available');
    expect((await reserve(id, request())).status).toBe(200);
  });

  test('and its release at the same time end in one of two ways', async () => {
    for (let round = 0; round < 20; round++) {
      const id = await pet();
      const body = request();
      const path = `/internal/pets/${id}/release`;
      const [made, released] = await Promise.all([
        reserve(id, body, processes[1]),
        post(path, { reservation_id: body.reservation_id }, processes[2]),
      ]);
      expect(released?.body).toMatchObject({ state: 'released' });
      expect(await statusOf(id)).toBe('available');
      const types = (await eventsOf(id)).map(({ type }) => type);
      expect(types).toEqual(
        made?.status === 200 ? ['PET_CREATED', 'PET_RESERVED', 'PET_RELEASED'] : ['PET_CREATED'],
      );
    }
  });

  test('of another pet, or of none, is not touched', async () => {
    const { id, body, settle } = await reserved();
    const other = await pet();
    const { reservation_id } = body;
    for (const how of ['sell', 'release'])
      expect(await post(`/internal/pets/${other}/${how}`, { reservation_id })).toMatchObject({
        status: 404,
        body: { code: 'reservation_not_found' },
      });
    expect((await settle('sell', newId())).status).toBe(404);
    expect(await statusOf(id)).toBe('reserved');
    expect(await statusOf(other)).toBe('available');
  });

  test('is found by its id, and by its age while it is held', async () => {
    const { id, body, settle } = await reserved();
    const get = (path: string) =>
      (processes[0] as Running).call('GET', `/internal/pets/reservations${path}`, { as: orders });
    const mine = { reservation_id: body.reservation_id, order_id: body.order_id, pet_id: id };
    expect((await get(`/${body.reservation_id}`)).body).toMatchObject({ ...mine, state: 'held' });
    expect((await get(`/${newId()}`)).status).toBe(404);
    const held = async (query: string) =>
      (await get(query)).body['reservations'] as unknown as Record<string, unknown>[];
    expect(await held('?older_than=0')).toContainEqual(expect.objectContaining(mine));
    expect(await held('?older_than=3600')).toEqual([]);
    await settle('sell');
    expect(await held('?older_than=0')).not.toContainEqual(expect.objectContaining(mine));
  });
});
