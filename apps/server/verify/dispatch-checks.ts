/** Assignments: who has which order, how they got it, and what it costs. */
import { ASSIGNMENT_TRANSITIONS } from '@waybill/dispatch/rules.ts';
import type { Check } from './check.ts';

/** What an assignment's event says, by order and epoch. */
const TOLD = `select key as order_id, version, type, data->>'state' as state,
    data->>'executor_id' as executor_id, (data->>'epoch')::integer as epoch,
    data->>'reason' as reason
  from events where topic = 'dispatch'`;

const allowed = Object.entries(ASSIGNMENT_TRANSITIONS).flatMap(([from, tos]) =>
  tos.map((to) => `('${from}', '${to}')`),
);

export const dispatchChecks: readonly Check[] = [
  {
    id: 'assignment-live-twice',
    title: 'An order has two assignments that have not ended.',
    kind: 'safety',
    sql: `select order_id, count(*) as live, min(executor_id) as one, max(executor_id) as another
      from assignment_rows where ended_at is null group by order_id having count(*) > 1`,
  },
  {
    id: 'order-held-twice',
    title: 'Two executors held an order at one time.',
    kind: 'safety',
    sql: `select order_id, epoch, executor_id, acquired_at, ended_at, next_acquired_at from (
        select *, lead(acquired_at) over (partition by order_id order by epoch)
          as next_acquired_at
        from assignment_rows where acquired_at is not null) held
      where next_acquired_at < coalesce(ended_at, 'infinity')`,
  },
  {
    id: 'acquired-and-cancelled',
    title: 'An assignment was acquired, and cancelled all the same.',
    kind: 'safety',
    sql: `select order_id, epoch, executor_id, acquired_at, ended_at from assignment_rows
        where state = 'CANCELLED' and acquired_at is not null
      union
      select t.order_id, t.epoch, t.executor_id, null, null from (${TOLD}) t
        where t.type in ('ASSIGNMENT_ACQUIRED', 'ASSIGNMENT_CANCELLED')
        group by t.order_id, t.epoch, t.executor_id having count(distinct t.type) > 1`,
  },
  {
    id: 'cancelled-too-late',
    title: 'An assignment was cancelled more than ten minutes after it was made.',
    kind: 'safety',
    // What its order's end has withdrawn says so.
    sql: `select order_id, epoch, assigned_at, ended_at from assignment_rows
      where state = 'CANCELLED' and order_ended is null
        and ended_at > assigned_at + interval '10 minutes'`,
  },
  {
    id: 'epoch-gap',
    title: 'The epochs of an order are not dense from 1.',
    kind: 'safety',
    sql: `select order_id, count(*) as assignments, count(distinct epoch) as epochs,
        min(epoch) as first, max(epoch) as last
      from assignment_rows group by order_id
      having count(*) <> max(epoch) or count(distinct epoch) <> count(*) or min(epoch) <> 1`,
  },
  {
    id: 'assignment-astray',
    title: 'An assignment moved in a way that its states do not know.',
    kind: 'safety',
    sql: `select order_id, epoch, version, before, state from (
        select t.*, lag(state) over (partition by order_id, epoch order by version) as before
        from (${TOLD}) t) moves
      where before <> state and (before, state) not in (values ${allowed.join(', ')})`,
  },
  {
    id: 'assignment-untold',
    title: "The last event of an order's assignments tells something else than its last row.",
    kind: 'safety',
    sql: `select r.order_id, r.epoch, r.state, r.executor_id, t.epoch as told_epoch,
        t.state as told_state, t.executor_id as told_executor_id
      from (select distinct on (order_id) * from assignment_rows
        order by order_id, epoch desc) r
      join (select distinct on (order_id) * from (${TOLD}) told
        order by order_id, version desc) t on t.order_id = r.order_id
      where (r.epoch, r.state, r.executor_id) is distinct from (t.epoch, t.state, t.executor_id)`,
  },
  {
    id: 'cost-unexplained',
    title: 'The cost of an assignment is not the sum of its lines.',
    kind: 'safety',
    // A currency has 2 decimals, or none, or 3.
    sql: `select r.order_id, r.epoch, r.cost_minor, r.currency, lines.amount
      from assignment_rows r cross join lateral (
        select sum((line->>'amount')::numeric) as amount
        from json_array_elements(r.cost_breakdown) line) lines
      where r.cost_minor not in (lines.amount * 100, lines.amount, lines.amount * 1000)`,
  },
  {
    id: 'ended-order-assigned',
    title: 'An order has ended, and an executor may still acquire it.',
    kind: 'liveness',
    sql: `select r.order_id, r.epoch, r.executor_id, o.status
      from assignment_rows r join orders.orders o on o.id::text = r.order_id
      where r.state = 'ASSIGNED'
        and o.status in ('CANCELLED', 'PAYMENT_FAILED', 'DELIVERED', 'COMPLETED', 'RETURNED')`,
  },
];

const COLUMNS = {
  order_id: 'text',
  executor_id: 'text',
  state: 'text',
  epoch: 'integer',
  version: 'integer',
  cost_minor: 'bigint',
  currency: 'text',
  cost_breakdown: 'json',
  order_ended: 'text',
  assigned_at: 'timestamptz',
  acquired_at: 'timestamptz',
  ended_at: 'timestamptz',
} as const;

/** The relation that the checks read: assignments live and past; empty where nobody dispatches. */
export function dispatchRelations(services: readonly string[]): string {
  const columns = Object.keys(COLUMNS).join(', ');
  const none = Object.entries(COLUMNS).map(([name, type]) => `null::${type} as ${name}`);
  const rows = services.includes('dispatch')
    ? `select ${columns} from dispatch.assignments
       union all select ${columns} from dispatch.past_assignments`
    : `select ${none.join(', ')} where false`;
  return `create temp view assignment_rows as ${rows};`;
}
