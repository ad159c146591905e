/** The petstore's part of the faultless day: pets with their orders, their counts, and stock. */
import type pg from 'pg';

/** An order for a pet, and how far it came. */
export interface PetOrder {
  readonly id: string;
  readonly hold: 'held' | 'sold' | 'released';
}

/** A pet for sale, one that was deleted, and then one for each order. */
export const FREE_PET = 1;
const GONE_PET = 2;
const FIRST_ORDERED = 3;

const BECOMES = { held: 'reserved', sold: 'sold', released: 'available' } as const;

function petOf(orders: readonly PetOrder[], id: string): number {
  return FIRST_ORDERED + orders.findIndex((order) => order.id === id);
}

/** Writes pets with their events, what inventory knows of them, and the stock of three SKUs. */
export async function writePets(client: pg.Client, orders: readonly PetOrder[]): Promise<void> {
  await writePet(client, FREE_PET, ['available']);
  await writePet(client, GONE_PET, ['available', 'deleted']);
  for (const { id, hold } of orders) {
    const pet = petOf(orders, id);
    const life = hold === 'held' ? [] : [BECOMES[hold]];
    await writePet(client, pet, ['available', 'reserved', ...life]);
    await client.query(
      'insert into pets.reservations (id, pet_id, order_id, state) values ($1, $2, $1, $3)',
      [id, pet, hold],
    );
    await client.query(
      'update pets.pets set reservation_id = $2 where id = $1 and status in ($3, $4)',
      [pet, id, 'reserved', 'sold'],
    );
    await client.query(
      `insert into orders.pet_orders (order_id, pet_id, expires_at)
       values ($1, $2, now() + interval '7 days')`,
      [id, pet],
    );
  }
  await client.query(COUNTED);
  await client.query(STOCK);
}

async function writePet(client: pg.Client, id: number, statuses: readonly string[]) {
  await client.query(
    `insert into pets.pets (id, name, photo_urls, tags, status, version)
     values ($1, 'doggie', '[]', '[]', $2, $3)`,
    [id, statuses.at(-1), statuses.length],
  );
  for (const [index, status] of statuses.entries())
    await client.query(
      `insert into pets.log (key, version, type, data) values ($1, $2, 'SOMETHING', $3)`,
      [String(id), index + 1, JSON.stringify({ to: status === 'deleted' ? null : status })],
    );
}

const COUNTED = `
  insert into inventory.pets (key, version, status)
    select id::text, version, nullif(status, 'deleted') from pets.pets;
  update inventory.pet_counts c set pets =
    (select count(*) from inventory.pets p where p.status = c.status)`;

/** Of x, 2 of 3 that were asked for are still held; of y all left; of z nothing ever moved. */
const STOCK = `
  insert into inventory.stock (sku, on_hand, reserved, version)
    values ('x', 9, 2, 3), ('y', 0, 0, 3), ('z', 5, 0, 1);
  insert into inventory.reservations (id, state, asked, allow_unknown, expires_at) values
    ('for-a', 'reserved', '[]', false, now() + interval '1 hour'),
    ('for-b', 'deducted', '[]', false, now() - interval '1 hour'),
    ('for-c', 'released', '[]', false, now() - interval '1 hour'),
    ('for-d', 'expired', '[]', false, now() - interval '1 hour');
  insert into inventory.reservation_lines (reservation_id, sku, quantity, deducted) values
    ('for-a', 'x', 3, 1), ('for-b', 'y', 4, 4), ('for-d', 'z', 1, 0);
  insert into inventory.deductions (id, reservation_id, asked)
    values ('s1', 'for-a', '[]'), ('s2', 'for-b', 'all');
  insert into inventory.log (key, version, type, data) values
    ('x', 1, 'STOCK_CHANGED', '{"on_hand":10,"reserved":0}'),
    ('x', 2, 'STOCK_CHANGED', '{"on_hand":10,"reserved":3}'),
    ('x', 3, 'STOCK_CHANGED', '{"on_hand":9,"reserved":2}'),
    ('y', 1, 'STOCK_CHANGED', '{"on_hand":4,"reserved":0}'),
    ('y', 2, 'STOCK_CHANGED', '{"on_hand":4,"reserved":4}'),
    ('y', 3, 'STOCK_CHANGED', '{"on_hand":0,"reserved":0}'),
    ('z', 1, 'STOCK_CHANGED', '{"on_hand":5,"reserved":0}')`;
