/** Door C: placing orders, and what becomes of requests that are repeated, late or die. */
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { armFailpoints } from '@waybill/kit/failpoints.ts';
import { anna, ORDER, startPetstore } from '../../tests/support/petstore.ts';
import { someone, startServices } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { orders } from './index.ts';

const store = startPetstore();
const { addPet, place, read, step, petStatus, rows } = store;
const CLAIM_OF_KEY = 'select order_id as id from orders.order_claims where key = $1';

describe('placing', () => {
  test('reserves the pet, and its event creates the order', async () => {
    const petId = await addPet();
    const answer = await place({ petId, quantity: 7, shipDate: '2026-01-02T03:04:05+02:00' });
    const id = answer.body['id'] as unknown as number;
    expect(answer).toMatchObject({
      status: 200,
      headers: { location: `${ORDER}/${id}` },
      body: {
        petId,
        quantity: 7,
        shipDate: '2026-01-02T01:04:05.000Z',
        status: 'placed',
        complete: false,
      },
    });
    expect(id).toBeGreaterThanOrEqual(1_000_000_000);
    expect((await read(id)).body).toEqual(answer.body);
    expect((await store.call('GET', `/api/v1/orders/${id}`)).body).toMatchObject({
      channel: 'petstore',
      customer_id: 'anna',
      total_amount: 0,
      status: 'PENDING',
      payment_status: 'NOT_REQUIRED',
      items: [{ item_id: String(petId), item_name: 'doggie', quantity: 7, price: 0 }],
    });
    expect(await petStatus(petId)).toBe('pending');
  });

  test('of a pet that is taken or not there is refused, and leaves nothing', async () => {
    const petId = await addPet();
    expect((await place({ petId })).status).toBe(200);
    expect((await place({ petId, id: 501 })).body).toMatchObject({
      status: 409,
      code: 'pet_not_available',
    });
    expect((await place({ petId: 424_242, id: 501 })).body).toMatchObject({
      status: 422,
      code: 'pet_not_found',
      errors: [{ pointer: '/petId' }],
    });
    expect(await rows('select from orders.order_claims where number = 501')).toEqual([]);
    expect((await place({ petId: await addPet(), id: 501 })).body['id']).toBe(501);
  });

  test('honours an id, and overwrites none', async () => {
    expect((await place({ petId: await addPet(), id: 77 })).body['id']).toBe(77);
    const again = await place({ petId: await addPet(), id: 77 });
    expect(again.body).toMatchObject({ status: 409, code: 'order_id_in_use' });
    const petId = await addPet();
    const both = await Promise.all([1, 2, 3].map(() => place({ petId, id: 78 })));
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409]);
    expect((await place({ petId, id: 1_000_000_000 })).body).toMatchObject({
      status: 422,
      errors: [{ pointer: '/id' }],
    });
    expect((await place({ petId: await addPet(), id: 0 })).body['id']).toBeGreaterThanOrEqual(1e9);
  });

  test('is for oneself; staff may place for others', async () => {
    const petId = await addPet();
    const foreign = await store.call('POST', `${ORDER}?username=bert`, {
      as: anna,
      body: { petId },
    });
    expect(foreign.body).toMatchObject({ status: 403, code: 'foreign_customer' });
    const placed = await store.call('POST', `${ORDER}?username=bert&colour=red`, {
      body: { petId, colour: 'red' },
    });
    expect(placed.status).toBe(200);
    expect((await read(placed.body['id'])).status).toBe(404);
    expect((await read(placed.body['id'], someone('bert'))).status).toBe(200);
  });

  test.each([
    ['/petId', {}],
    ['/petId', { petId: '1' }],
    ['/petId', { petId: 1.5 }],
    ['/quantity', { petId: 1, quantity: 0 }],
    ['/id', { petId: 1, id: -1 }],
    ['/shipDate', { petId: 1, shipDate: 'tomorrow' }],
    ['/shipDate', { petId: 1, shipDate: '0000-01-01T00:00:00Z' }],
    ['/shipDate', { petId: 1, shipDate: '2026-12-31T23:59:60Z' }],
    ['/status', { petId: 1, status: 'sold' }],
  ])('refuses a bad %s', async (pointer, body) => {
    expect(await place(body)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  });

  test('of malformed or unknown ids tells which', async () => {
    for (const id of ['abc', '1.5', '0x1', '99999999999999999999'])
      expect((await read(id)).status).toBe(400);
    for (const id of [0, -1, 999_999_999]) expect((await read(id)).status).toBe(404);
  });
});

describe('an Idempotency-Key', () => {
  const keyed = (key: string, body: unknown) =>
    place(body, { headers: { 'idempotency-key': key } });

  test('makes one order of simultaneous and later requests', async () => {
    const petId = await addPet();
    const body = { petId, shipDate: '2026-01-02T03:04:05Z' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => keyed('one', body)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map((one) => one.body['id'])).size).toBe(1);
    const later = await keyed('one', body);
    expect(later.headers['idempotent-replayed']).toBe('true');
    expect(later.body).toEqual(answers[0]?.body);
    expect((await keyed('one', { petId, quantity: 2 })).body['code']).toBe(
      'idempotency_key_reused',
    );
    await step(later.body['id'], 'approve');
    expect((await keyed('one', body)).body).toEqual(later.body);
    expect(await rows('select from orders.order_claims where pet_id = $1', [petId])).toEqual([]);
  });

  test('is refused for another customer than the first', async () => {
    const petId = await addPet();
    const headers = { 'idempotency-key': 'whose' };
    const order = (username: string) =>
      store.call('POST', `${ORDER}?username=${username}`, { body: { petId }, headers });
    const first = await order('bea');
    expect(first.status).toBe(200);
    expect((await order('bea')).body).toEqual(first.body);
    expect(await order('cid')).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused' },
    });
  });

  test('of a refused request may be used again', async () => {
    const petId = await addPet();
    const first = await place({ petId });
    expect((await keyed('two', { petId })).status).toBe(409);
    await store.call('DELETE', `${ORDER}/${first.body['id']}`, { as: anna });
    await until(async () => (await petStatus(petId)) === 'available');
    expect((await keyed('two', { petId })).status).toBe(200);
  });

  test('whose request died before it had reserved is taken up, or expires', async () => {
    const [taken, left] = [await addPet(), await addPet()];
    const die = async (key: string, petId: number) => {
      armFailpoints('orders.place.claimed=throw');
      expect((await keyed(key, { petId })).status).toBe(500);
      expect(await petStatus(petId)).toBe('available');
    };
    await die('lost', taken);
    const again = await keyed('lost', { petId: taken });
    expect(again).toMatchObject({ status: 200, headers: { 'idempotent-replayed': 'true' } });

    await die('left', left);
    const claims = () => rows<{ id: string }>(CLAIM_OF_KEY, ['left']);
    const [claim] = await claims();
    await rows('update orders.order_claims set expires_at = now() where order_id = $1', [
      claim?.id,
    ]);
    await until(async () => (await claims()).length === 0);
    // Were the call still on its way, it would come too late.
    const late = await store.call('POST', `/internal/pets/${left}/reserve`, {
      as: someone('orders', 'service'),
      body: {
        reservation_id: claim?.id,
        order_id: claim?.id,
        order_number: 1,
        customer_id: 'anna',
      },
    });
    expect(late.body['code']).toBe('pet_not_available');
    expect((await keyed('left', { petId: left })).status).toBe(200);
  });

  test('whose request died after it had reserved is answered with the order', async () => {
    const petId = await addPet();
    armFailpoints('orders.place.reserved=throw');
    expect((await keyed('reserved', { petId })).status).toBe(500);
    const again = await keyed('reserved', { petId });
    expect(again).toMatchObject({ status: 200, headers: { 'idempotent-replayed': 'true' } });
    expect((await read(again.body['id'])).body['petId']).toBe(petId);
  });
});

test('a request that dies after it had reserved leaves its order', async () => {
  const petId = await addPet();
  armFailpoints('orders.place.reserved=throw');
  expect((await place({ petId, id: 602 })).status).toBe(500);
  await until(async () => (await read(602)).status === 200);
});

test('a reservation that is asked for twice is one', async () => {
  const petId = await addPet();
  armFailpoints('orders.place.asked=duplicate');
  expect((await place({ petId })).status).toBe(200);
  expect(await rows('select from orders.pet_orders where pet_id = $1', [petId])).toHaveLength(1);
});

test('a claim whose pet is held stays until the order is there', async () => {
  const petId = await addPet();
  const { body } = await place({ petId, id: 601 });
  expect(body['id']).toBe(601);
  await rows('update orders.order_claims set expires_at = now() where number = 601');
  await until(
    async () =>
      (await rows('select from orders.order_claims where number = 601 and expires_at > now()'))
        .length === 1,
  );
  expect((await read(601)).status).toBe(200);
});

test('an order that is late is promised, and comes', async () => {
  const petId = await addPet();
  const holdUp = new pg.Client({ connectionString: store.running.databaseUrl });
  await holdUp.connect();
  try {
    await holdUp.query('begin; lock table orders.pet_orders in exclusive mode');
    const answer = await place({ petId, id: 701 });
    expect(answer).toMatchObject({
      status: 202,
      headers: { location: `${ORDER}/701` },
      body: { id: 701, petId, status: 'placed', complete: false },
    });
    expect((await read(701)).status).toBe(404);
    expect((await place({ petId })).body['code']).toBe('pet_not_available');
  } finally {
    await holdUp.end();
  }
  await until(async () => (await read(701)).status === 200);
});

test('while pets is away nobody gets anything, and it is told so', async () => {
  const alone = await startServices([orders], { SANDBOX_URL: 'http://127.0.0.1:1' });
  const answer = await alone.call('POST', ORDER, { as: anna, body: { petId: 1 } });
  expect(answer).toMatchObject({ status: 503, body: { code: 'temporarily_unavailable' } });
  expect(answer.headers['retry-after']).toBeDefined();
});
