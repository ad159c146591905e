/** Door C: what becomes of orders for pets, of their pets, and of the counts of them. */
import { describe, expect, test } from 'vitest';
import { anna, ORDER, startPetstore } from '../../tests/support/petstore.ts';
import { someone } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';

const store = startPetstore();
const { addPet, place, read, step, petStatus, rows } = store;

test('stock that is reserved for an order comes back when it is cancelled', async () => {
  const { body } = await place({ petId: await addPet() });
  const [row] = await rows<{ id: string }>('select id from orders.orders where number = $1', [
    body['id'],
  ]);
  await store.call('PUT', '/api/v1/inventory/stock/lead', { body: { on_hand: 2 } });
  const reserved = await store.call('POST', '/internal/inventory/reservations', {
    as: someone('orders', 'service'),
    body: {
      reservation_id: row?.id,
      lines: [{ sku: 'lead', quantity: 2 }],
      expires_in_seconds: 600,
    },
  });
  expect(reserved.status).toBe(200);
  await store.call('DELETE', `${ORDER}/${body['id']}`, { as: anna });
  const left = async () => (await store.call('GET', '/api/v1/inventory/stock/lead')).body;
  await until(async () => (await left())['available'] === (2 as never));
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
    expect((await store.call('DELETE', `${ORDER}/${id}`)).body['code']).toBe('not_cancellable');
    expect((await step(id, 'complete')).body['status']).toBe('COMPLETED');
    expect((await read(id)).body).toMatchObject({ status: 'delivered', complete: true });
    expect((await step(999, 'approve')).status).toBe(404);
  });

  test('does not approve what must be paid', async () => {
    const { body } = await store.call('POST', '/api/v1/orders', {
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
    const foreign = await store.call('DELETE', `${ORDER}/${body['id']}`, { as: someone('eve') });
    expect(foreign.status).toBe(404);
    const deleted = await store.call('DELETE', `${ORDER}/${body['id']}`, { as: anna });
    expect(deleted.status).toBe(200);
    expect((await read(body['id'])).status).toBe(404);
    expect((await store.call('DELETE', `${ORDER}/${body['id']}`)).status).toBe(404);
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
    expect((await store.call('GET', `/api/v1/orders/${forgotten['id']}`)).body).toMatchObject({
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
    const released = await store.call('POST', `/internal/pets/${petId}/release`, {
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
  const reserved = await store.call('POST', `/internal/pets/${petId}/reserve`, {
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
  const counted = async () => (await store.call('GET', '/api/v3/store/inventory')).body;
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
  expect((await store.call('DELETE', `/api/v3/pet/${gone}`)).status).toBe(200);
  // They agree before the first news of it, too.
  const newsOfIt = () =>
    rows(`select from inventory.inbox where topic = 'pets' and key = $1 and version = 2`, [
      String(gone),
    ]);
  await until(async () => (await newsOfIt()).length === 1);
  await until(agree);
  const exact = await actual();
  await rows(
    `with wrong as (update inventory.pet_counts set pets = pets + 3),
     worse as (update inventory.pets set status = 'sold' where status = 'available')
     delete from inventory.pets where status = 'reserved'`,
  );
  // The log keeps what it has for thirty days; pets know where they stand for ever.
  await rows('delete from pets.log where position = (select min(position) from pets.log)');
  expect(await agree()).toBe(false);
  const asked = await store.call('POST', '/api/v1/inventory/pets/rebuild');
  expect(asked).toMatchObject({ status: 202, body: { state: 'rebuilding' } });
  await until(agree);
  expect(await counted()).toEqual(exact);
});
