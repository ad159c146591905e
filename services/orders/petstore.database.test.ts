/** Door C through its routes: orders, pets and inventory in one process, on one database. */
import { beforeAll, describe, expect, test } from 'vitest';
import { armFailpoints } from '@waybill/kit/failpoints.ts';
import { inventory } from '@waybill/inventory/index.ts';
import { pets } from '@waybill/pets/index.ts';
import { queryRows } from '../../tests/support/database.ts';
import {
  someone,
  startServices,
  type CallOptions,
  type Running,
} from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { orders } from './index.ts';

const anna = someone('anna');
const ORDER = '/api/v3/store/order';

let running: Running;

beforeAll(async () => {
  running = await startServices([orders, pets, inventory], { SANDBOX_URL: 'http://127.0.0.1:1' });
});

async function addPet(): Promise<number> {
  const answer = await running.call('POST', '/api/v3/pet', {
    body: { name: 'doggie', photoUrls: [] },
  });
  expect(answer.status).toBe(200);
  return answer.body['id'] as unknown as number;
}

const place = (body: unknown, options: Omit<CallOptions, 'body'> = {}) =>
  running.call('POST', ORDER, { as: anna, ...options, body });
const read = (id: unknown, as = anna) => running.call('GET', `${ORDER}/${id}`, { as });
const step = (id: unknown, name: string, options: CallOptions = {}) =>
  running.call('POST', `/api/v1/orders/${id}/${name}`, options);
const petStatus = async (id: number) =>
  (await running.call('GET', `/api/v3/pet/${id}`)).body['status'] as unknown as string;
const CLAIM_OF_KEY = 'select order_id as id from orders.order_claims where key = $1';
const rows = <Row>(text: string, values: unknown[] = []) =>
  queryRows<Row>(running.databaseUrl, text, values);

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
    expect((await running.call('GET', `/api/v1/orders/${id}`)).body).toMatchObject({
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
    const foreign = await running.call('POST', `${ORDER}?username=bert`, {
      as: anna,
      body: { petId },
    });
    expect(foreign.body).toMatchObject({ status: 403, code: 'foreign_customer' });
    const placed = await running.call('POST', `${ORDER}?username=bert&colour=red`, {
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

  test('of a refused request may be used again', async () => {
    const petId = await addPet();
    const first = await place({ petId });
    expect((await keyed('two', { petId })).status).toBe(409);
    await running.call('DELETE', `${ORDER}/${first.body['id']}`, { as: anna });
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
    const late = await running.call('POST', `/internal/pets/${left}/reserve`, {
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

describe('the owner', () => {
  test('approves, delivers and completes; each step once and in its order', async () => {
    const petId = await addPet();
    const { body } = await place({ petId });
    const id = body['id'];
    expect((await step(id, 'deliver')).body['code']).toBe('not_deliverable');
    expect((await step(id, 'complete')).body['code']).toBe('not_completable');
    expect((await step(id, 'approve', { as: anna })).status).toBe(403);
    const approve = () => step(id, 'approve', { headers: { 'idempotency-key': `a-${petId}` } });
    const approved = await approve();
    expect(approved.body['status']).toBe('CONFIRMED');
    const again = await approve();
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(again.body).toEqual(approved.body);
    expect((await step(id, 'approve')).body['code']).toBe('not_approvable');
    expect((await read(id)).body).toMatchObject({ status: 'approved', complete: false });
    await until(async () => (await petStatus(petId)) === 'sold');
    const delivered = await step(id, 'deliver');
    expect(delivered.body).toMatchObject({ status: 'DELIVERED', fulfillment_status: 'DELIVERED' });
    expect((await read(id)).body).toMatchObject({ status: 'delivered', complete: false });
    expect((await running.call('DELETE', `${ORDER}/${id}`)).body['code']).toBe('not_cancellable');
    expect((await step(id, 'complete')).body['status']).toBe('COMPLETED');
    expect((await read(id)).body).toMatchObject({ status: 'delivered', complete: true });
    expect((await step(999, 'approve')).status).toBe(404);
  });

  test('does not approve what must be paid', async () => {
    const { body } = await running.call('POST', '/api/v1/orders', {
      body: {
        customer_id: 'anna',
        items: [{ item_id: 'a', item_name: 'A', quantity: 1, price: 1 }],
      },
    });
    expect((await step(body['id'], 'approve')).body['code']).toBe('not_approvable');
  });
});

describe('an order that is cancelled', () => {
  test.each(['placed', 'approved'])('after it was %s gives its pet back', async (when) => {
    const petId = await addPet();
    const { body } = await place({ petId });
    if (when === 'approved') await step(body['id'], 'approve');
    const foreign = await running.call('DELETE', `${ORDER}/${body['id']}`, { as: someone('eve') });
    expect(foreign.status).toBe(404);
    const deleted = await running.call('DELETE', `${ORDER}/${body['id']}`, { as: anna });
    expect(deleted.status).toBe(200);
    expect((await read(body['id'])).status).toBe(404);
    expect((await running.call('DELETE', `${ORDER}/${body['id']}`)).status).toBe(404);
    await until(async () => (await petStatus(petId)) === 'available');
    expect((await place({ petId })).status).toBe(200);
  });

  test('because nobody approved it in time gives its pet back, and only then', async () => {
    const [late, early] = [await addPet(), await addPet()];
    const { body: forgotten } = await place({ petId: late });
    const { body: approved } = await place({ petId: early });
    await step(approved['id'], 'approve');
    await rows(
      `update orders.pet_orders set expires_at = now() where pet_id in ($1::bigint, $2::bigint)`,
      [late, early],
    );
    await until(async () => (await petStatus(late)) === 'available');
    expect((await read(forgotten['id'])).status).toBe(404);
    expect((await running.call('GET', `/api/v1/orders/${forgotten['id']}`)).body).toMatchObject({
      status: 'CANCELLED',
      cancel_reason: 'not approved in time',
    });
    expect((await read(approved['id'])).body['status']).toBe('approved');
    expect(await rows('select from orders.pet_orders where expires_at <= now()')).toEqual([]);
  });

  test('is what becomes of an order whose pet was released otherwise', async () => {
    const petId = await addPet();
    const { body } = await place({ petId });
    const [row] = await rows<{ id: string }>('select id from orders.orders where number = $1', [
      body['id'],
    ]);
    const released = await running.call('POST', `/internal/pets/${petId}/release`, {
      as: someone('orders', 'service'),
      body: { reservation_id: row?.id },
    });
    expect(released.status).toBe(200);
    await until(async () => (await read(body['id'])).status === 404);
  });
});

test('a number that was taken meanwhile is not overwritten: the order gets another', async () => {
  const petId = await addPet();
  await place({ petId: await addPet(), id: 901 });
  const reserved = await running.call('POST', `/internal/pets/${petId}/reserve`, {
    as: someone('orders', 'service'),
    body: {
      reservation_id: '019a0000-0000-7000-8000-00000000f001',
      order_id: '019a0000-0000-7000-8000-00000000f001',
      order_number: 901,
      customer_id: 'anna',
    },
  });
  expect(reserved.status).toBe(200);
  await until(
    async () =>
      (
        await rows(
          `select from orders.orders where number >= 1000000000
             and id = '019a0000-0000-7000-8000-00000000f001'`,
        )
      ).length === 1,
  );
  expect((await read(901)).body['petId']).not.toBe(petId);
});

test('fifty callers want one pet: one gets it, the others an error at once', async () => {
  for (let round = 0; round < 5; round++) {
    const petId = await addPet();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, caller) =>
        place({ petId, ...(caller % 2 === 0 ? { id: 10_000 + round * 100 + caller } : {}) }),
      ),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 409)).toHaveLength(49);
    const held = await rows('select from orders.pet_orders where pet_id = $1', [petId]);
    expect(held).toHaveLength(1);
  }
  expect(
    await rows('select from orders.order_claims where number between 10000 and 10500'),
  ).toHaveLength(
    (await rows('select from orders.orders where number between 10000 and 10500')).length,
  );
});

test('inventory counts what there is, also when it is rebuilt', async () => {
  const counted = async () => (await running.call('GET', '/api/v3/store/inventory')).body;
  const actual = async () => {
    const [row] = await rows<Record<string, number>>(
      `select count(*) filter (where status = 'available')::int as available,
         count(*) filter (where status = 'reserved')::int as pending,
         count(*) filter (where status = 'sold')::int as sold from pets.pets`,
    );
    return row;
  };
  const agree = async () => JSON.stringify(await counted()) === JSON.stringify(await actual());
  const gone = await addPet();
  expect((await running.call('DELETE', `/api/v3/pet/${gone}`)).status).toBe(200);
  await until(agree);
  const exact = await counted();
  await rows(
    `with wrong as (update inventory.pet_counts set pets = pets + 3),
     worse as (update inventory.pets set status = 'sold' where status = 'available')
     delete from inventory.pets where status = 'reserved'`,
  );
  // The log keeps what it has for thirty days; pets know where they stand for ever.
  await rows('delete from pets.log where position = (select min(position) from pets.log)');
  expect(await agree()).toBe(false);
  const asked = await running.call('POST', '/api/v1/inventory/pets/rebuild');
  expect(asked).toMatchObject({ status: 202, body: { state: 'rebuilding' } });
  await until(agree);
  expect(await counted()).toEqual(exact);
});
