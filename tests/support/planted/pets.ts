/** Faults in pets, their orders and counts, and in stock. */
import { FREE_PET } from '../clean-pets.ts';
import { nobody, reserved, sold, unguard, unwanted, update, type Plant } from './plant.ts';

const pet = (set: string, order: string) =>
  `update pets.pets set ${set} where reservation_id = ${order};`;
const hold = (set: string, order: string) =>
  `update pets.reservations set ${set} where id = ${order};`;
const stock = (set: string, sku: string) =>
  `${unguard('inventory.stock')} update inventory.stock set ${set} where sku = '${sku}';`;
const claim = (age: string, expires: string) =>
  `insert into orders.order_claims (number, order_id, pet_id, expires_at, created_at)
   values (5, ${nobody}, 1, ${expires}, now() - interval '${age}');`;

export const petFaults: readonly Plant[] = [
  {
    check: 'pet-without-order',
    name: 'its order is not there',
    sql: hold(`order_id = ${nobody}`, reserved),
    also: ['order-without-pet'],
  },
  {
    check: 'pet-without-order',
    name: 'its order was cancelled',
    sql: update("status = 'CANCELLED'", sold),
    also: ['history-broken'],
  },
  {
    check: 'order-without-pet',
    name: 'the pet is for sale again',
    sql: `${pet("status = 'available', reservation_id = null", reserved)}
      ${hold("state = 'released'", reserved)}`,
    also: ['pet-counts-differ'],
  },
  {
    check: 'order-without-pet',
    name: 'the order was approved and the pet was not sold',
    sql: update("status = 'CONFIRMED'", reserved),
    also: ['history-broken'],
  },
  {
    check: 'order-without-pet',
    name: 'another pet is held',
    sql: `update orders.pet_orders set pet_id = ${FREE_PET} where order_id = ${reserved}`,
  },
  {
    check: 'pet-of-two-orders',
    name: 'one is approved and one waits',
    sql: `update orders.pet_orders set pet_id =
      (select pet_id from orders.pet_orders where order_id = ${sold}) where order_id = ${reserved}`,
    also: ['order-without-pet'],
  },
  {
    check: 'pet-hold-broken',
    name: 'the pet is sold and its reservation is held',
    sql: hold("state = 'held'", sold),
  },
  {
    check: 'pet-hold-broken',
    name: 'the reservation is of another pet',
    sql: hold(`pet_id = ${FREE_PET}`, reserved),
  },
  {
    check: 'pet-hold-broken',
    name: 'the pet is free and its reservation is held',
    sql: pet("status = 'available', reservation_id = null", reserved),
    also: ['order-without-pet', 'pet-counts-differ'],
  },
  {
    check: 'pet-order-odd',
    name: 'it has no pet',
    sql: `delete from orders.pet_orders where order_id = ${unwanted}`,
  },
  {
    check: 'pet-order-odd',
    name: 'it came through another door',
    sql: update("channel = 'delivery'", unwanted),
  },
  {
    check: 'pet-order-odd',
    name: 'it was paid',
    sql: update("payment_status = 'CAPTURED'", sold),
  },
  { check: 'claim-left', name: 'nobody settled it', sql: claim('6 minutes', 'now()') },
  {
    check: 'pet-counts-differ',
    name: 'one is counted twice',
    sql: "update inventory.pet_counts set pets = pets + 1 where status = 'available'",
  },
  {
    check: 'pet-counts-differ',
    name: 'the sold ones are not counted at all',
    sql: "delete from inventory.pet_counts where status = 'sold'",
  },
  {
    check: 'stock-oversold',
    name: 'more is held than there is',
    sql: `${stock('reserved = 10', 'x')}
      update inventory.reservation_lines set quantity = 11 where sku = 'x';`,
    also: ['stock-untold'],
  },
  {
    check: 'stock-oversold',
    name: 'less than nothing is on hand',
    sql: stock('on_hand = -1', 'y'),
    also: ['stock-untold'],
  },
  {
    check: 'stock-reserved-differs',
    name: 'what was released is held on',
    sql: "update inventory.reservations set state = 'released' where id = 'for-a'",
  },
  {
    check: 'stock-reserved-differs',
    name: 'what is held is not counted',
    sql: stock('reserved = 0', 'x'),
    also: ['stock-untold'],
  },
  {
    check: 'stock-untold',
    name: 'more is on hand than was told',
    sql: stock('on_hand = 6', 'z'),
  },
  {
    check: 'stock-untold',
    name: 'an event tells nothing',
    sql: "update inventory.log set data = '{}' where key = 'z'",
  },
  {
    check: 'stock-hold-overdue',
    name: 'nobody gave it back',
    sql: "update inventory.reservations set expires_at = now() - interval '61 seconds'",
  },
];

/** What is not a fault. */
export const harmlessPets: readonly (Omit<Plant, 'check'> & { readonly name: string })[] = [
  { name: 'a claim that was made a moment ago', sql: claim('1 minute', 'now()') },
  { name: 'a number that is claimed for ever', sql: claim('1 year', 'null') },
];
