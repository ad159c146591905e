/** Pets and their orders, the counts of pets, and stock. */
import type { Check } from './check.ts';

export const petChecks: readonly Check[] = [
  {
    id: 'pet-without-order',
    title: 'A pet is held or sold, and no live order has it.',
    kind: 'liveness',
    sql: `select p.id as pet_id, p.status, p.reservation_id, r.order_id, o.status as order_status
      from pet_rows p left join pet_holds r on r.id = p.reservation_id
      left join orders.orders o on o.id = r.order_id
      where p.reservation_id is not null and (o.id is null or o.status = 'CANCELLED')`,
  },
  {
    id: 'order-without-pet',
    title: 'An order lives, and its pet is not held for it, or is not sold once it is approved.',
    kind: 'liveness',
    sql: `select o.id, o.number, o.status, d.pet_id, p.status as pet_status, p.reservation_id
      from orders.orders o join orders.pet_orders d on d.order_id = o.id
      left join pet_holds r on r.order_id = o.id and r.state <> 'released'
      left join pet_rows p on p.id = d.pet_id and p.reservation_id = r.id
      where exists (select from judged_topics where topic = 'pets')
        and o.status not in ('CANCELLED', 'RETURNED')
        and p.status is distinct from case o.status when 'PENDING' then 'reserved' else 'sold' end`,
  },
  {
    id: 'pet-of-two-orders',
    title: 'Two live orders are about one pet.',
    kind: 'safety',
    sql: `select d.pet_id, count(*) as orders, min(o.number) as one, max(o.number) as another
      from orders.pet_orders d join orders.orders o on o.id = d.order_id
      where o.status not in ('CANCELLED', 'RETURNED') group by d.pet_id having count(*) > 1`,
  },
  {
    id: 'pet-hold-broken',
    title: 'A pet and the reservation that holds it tell different stories.',
    kind: 'safety',
    sql: `select p.id as pet_id, p.status, p.reservation_id, r.state, r.pet_id as held_pet_id
      from pet_rows p full join (select * from pet_holds where state <> 'released') r
        on r.id = p.reservation_id
      where (p.reservation_id is not null or r.id is not null)
        and (r.pet_id, r.state) is distinct from
          (p.id, case p.status when 'reserved' then 'held' else p.status end)`,
  },
  {
    id: 'pet-order-odd',
    title: 'An order for a pet has something to pay, or no pet.',
    kind: 'safety',
    sql: `select o.id, o.number, o.channel, o.total_minor, o.payment_status, d.pet_id
      from orders.orders o full join orders.pet_orders d on d.order_id = o.id
      where (o.channel = 'petstore') is distinct from (d.order_id is not null)
        or (o.channel = 'petstore' and (o.total_minor <> 0 or o.payment_status <> 'NOT_REQUIRED'))`,
  },
  {
    id: 'claim-left',
    title: 'A number is claimed for an order that never came.',
    kind: 'liveness',
    sql: `select number, order_id, pet_id, key, created_at, expires_at from orders.order_claims
      where expires_at is not null and created_at < now() - interval '5 minutes'`,
  },
  {
    id: 'pet-counts-differ',
    title: 'Inventory counts other pets than there are.',
    kind: 'liveness',
    sql: `select status, c.pets as counted, p.pets from counted_pets c
      full join (select status, count(*) as pets from pet_rows where status <> 'deleted'
        group by status) p using (status)
      where (select count(*) from judged_topics where topic in ('pets', 'inventory')) = 2
        and coalesce(c.pets, 0) <> coalesce(p.pets, 0)`,
  },
];

export const stockChecks: readonly Check[] = [
  {
    id: 'stock-oversold',
    title: 'More of a SKU is held than is on hand.',
    kind: 'safety',
    sql: `select sku, on_hand, reserved from stock_rows
      where not (on_hand >= 0 and reserved between 0 and on_hand)`,
  },
  {
    id: 'stock-reserved-differs',
    title: 'What is held of a SKU is not what its reservations hold.',
    kind: 'safety',
    sql: `select sku, s.reserved, coalesce(h.held, 0) as held from stock_rows s
      left join (select sku, sum(l.quantity - l.deducted) as held
        from stock_lines l join stock_holds r on r.id = l.reservation_id
        where r.state = 'reserved' group by sku) h using (sku)
      where s.reserved <> coalesce(h.held, 0)`,
  },
  {
    id: 'stock-untold',
    title: 'The last event of a SKU tells something else than there is.',
    kind: 'safety',
    sql: `select s.sku, s.on_hand, s.reserved, e.version, e.data::text as told from stock_rows s
      join (select distinct on (key) key, version, data from events where topic = 'inventory'
        order by key, version desc) e on e.key = s.sku
      where (e.data->>'on_hand')::bigint is distinct from s.on_hand
        or (e.data->>'reserved')::bigint is distinct from s.reserved`,
  },
  {
    id: 'stock-hold-overdue',
    title: 'The time of a reservation of stock was up a minute ago, and it holds on.',
    kind: 'liveness',
    sql: `select id, expires_at from stock_holds
      where state = 'reserved' and expires_at < now() - interval '60 seconds'`,
  },
];

/** What these checks read, as views; empty ones where a service keeps its data elsewhere. */
export function petRelations(services: readonly string[]): string {
  return views
    .map(({ name, columns, from }) => {
      const here = services.includes(from.split('.')[0] as string);
      const list = Object.entries(columns).map(([column, type]) =>
        here ? column : `null::${type} as ${column}`,
      );
      const source = here ? `from ${from}` : 'where false';
      return `create temp view ${name} as select ${list.join(', ')} ${source};`;
    })
    .join('\n');
}

const views: readonly {
  readonly name: string;
  readonly from: string;
  readonly columns: Readonly<Record<string, string>>;
}[] = [
  {
    name: 'pet_rows',
    from: 'pets.pets',
    columns: { id: 'bigint', status: 'text', reservation_id: 'uuid', version: 'integer' },
  },
  {
    name: 'pet_holds',
    from: 'pets.reservations',
    columns: { id: 'uuid', pet_id: 'bigint', order_id: 'uuid', state: 'text' },
  },
  {
    name: 'counted_pets',
    from: 'inventory.pet_counts',
    columns: { status: 'text', pets: 'bigint' },
  },
  {
    name: 'stock_rows',
    from: 'inventory.stock',
    columns: { sku: 'text', on_hand: 'bigint', reserved: 'bigint', version: 'integer' },
  },
  {
    name: 'stock_holds',
    from: 'inventory.reservations',
    columns: { id: 'text', state: 'text', expires_at: 'timestamptz' },
  },
  {
    name: 'stock_lines',
    from: 'inventory.reservation_lines',
    columns: { reservation_id: 'text', sku: 'text', quantity: 'bigint', deducted: 'bigint' },
  },
];
