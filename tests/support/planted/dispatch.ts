/** Faults in assignments. */
import { CARRIED } from '../clean-dispatch.ts';
import { confirmed, unguard, type Plant } from './plant.ts';

const { waiting, held, delivered } = CARRIED;
const live = (set: string, { order }: { order: string }) =>
  `${unguard('dispatch.assignments')}
   update dispatch.assignments set ${set} where order_id = '${order}';`;
const past = (set: string, { order }: { order: string }, epoch: number) =>
  `${unguard('dispatch.past_assignments')} update dispatch.past_assignments set ${set}
   where order_id = '${order}' and epoch = ${epoch};`;
const tell = (set: string, { order }: { order: string }, version: number) =>
  `update dispatch.log set ${set} where key = '${order}' and version = ${version};`;

export const dispatchFaults: readonly Plant[] = [
  {
    check: 'assignment-live-twice',
    name: 'an old assignment goes on',
    sql: past("state = 'ASSIGNED', ended_at = null", held, 1),
  },
  {
    check: 'order-held-twice',
    name: 'an executor had not given it back when another acquired it',
    sql: past("acquired_at = assigned_at + interval '1 minute', ended_at = now()", held, 1),
  },
  {
    check: 'order-held-twice',
    name: 'an executor never gave it back',
    sql: past("state = 'ACQUIRED', ended_at = null", delivered, 2),
    also: ['assignment-live-twice'],
  },
  {
    check: 'acquired-and-cancelled',
    name: 'a cancelled assignment has a holder',
    sql: past("acquired_at = assigned_at + interval '1 minute'", delivered, 1),
  },
  {
    check: 'acquired-and-cancelled',
    name: 'both were told',
    sql: tell("type = 'ASSIGNMENT_CANCELLED'", delivered, 5),
  },
  {
    check: 'cancelled-too-late',
    name: 'the window had closed',
    sql: past("ended_at = assigned_at + interval '11 minutes'", delivered, 1),
  },
  {
    check: 'epoch-gap',
    name: 'an assignment is gone',
    sql: `delete from dispatch.past_assignments
      where order_id = '${delivered.order}' and epoch = 2;`,
  },
  {
    check: 'epoch-gap',
    name: 'an epoch was given twice',
    sql: past('epoch = 1', delivered, 2),
  },
  {
    check: 'epoch-gap',
    name: 'the first epoch is not 1',
    sql: `alter table dispatch.assignments disable trigger user; ${live('epoch = 2', waiting)}`,
    also: ['assignment-untold'],
  },
  {
    check: 'assignment-astray',
    name: 'from waiting to delivered',
    sql: tell(`data = jsonb_set(data::jsonb, '{state}', '"DELIVERED"')::json`, held, 3),
    also: ['assignment-untold'],
  },
  {
    check: 'assignment-untold',
    name: 'somebody else has it',
    sql: live("executor_id = 'somebody-else'", held),
  },
  {
    check: 'assignment-untold',
    name: 'it was given back in silence',
    sql: live("state = 'FAILED', ended_at = now()", held),
  },
  {
    check: 'cost-unexplained',
    name: 'a cent is missing',
    sql: live('cost_minor = cost_minor - 1', held),
  },
  {
    check: 'ended-order-assigned',
    name: 'its order was cancelled elsewhere',
    sql: `${live(`order_id = ${confirmed}`, waiting)}
      update dispatch.log set key = ${confirmed} where key = '${waiting.order}';
      update orders.inbox set key = ${confirmed} where key = '${waiting.order}';
      update orders.orders set status = 'COMPLETED' where id = ${confirmed};`,
    also: ['history-broken'],
  },
];
