/** Bugs planted in payments and their tasks. */
import { versionsUnguarded, type Mutant } from './mutant.ts';

const PAYMENTS_STORE = 'services/payments/store.ts';
const PAYMENT_RULES = 'services/payments/rules.ts';
const PAYMENT_TASKS = 'services/payments/tasks.ts';

const keyOfAttempt: Mutant = {
  name: "the provider's idempotency key is a function of the attempt",
  hunt: 'everyWay',
  plants: [
    {
      file: PAYMENT_TASKS,
      find: 'key: chargeKey(row.order_id),',
      replace: 'key: `${chargeKey(row.order_id)}:${row.calls}`,',
    },
  ],
};

const chargedUnasked: Mutant = {
  name: 'after a time-out the order is charged anew without asking, under a new key',
  hunt: 'everyWay',
  plants: [
    {
      file: PAYMENT_RULES,
      find: "return unwanted ? 'void' : 'ask';",
      replace: "return unwanted ? 'void' : 'charge';",
    },
    {
      file: PAYMENT_TASKS,
      find: 'key: chargeKey(row.order_id),',
      replace: 'key: `${chargeKey(row.order_id)}:${row.outages}`,',
    },
  ],
};

const timeOutIsFailure: Mutant = {
  name: 'a time-out is taken for a failure',
  hunt: 'everyWay',
  quick: true,
  plants: [
    {
      file: PAYMENT_RULES,
      find: "return { state: answer.reached ? 'UNKNOWN' : before, next: 'outage' };",
      replace: `return answer.reached
        ? { state: 'FAILED', event: 'PAYMENT_FAILED', failureCode: 'timed_out' }
        : { state: before, next: 'outage' };`,
    },
  ],
};

const notRefunded: Mutant = {
  name: 'an order that is cancelled after it was charged is not refunded',
  hunt: 'everyWay',
  plants: [
    {
      file: 'services/payments/commands.ts',
      find: "if (row.state === 'CAPTURED' || OPEN_STATES.includes(row.state))",
      replace: 'if (OPEN_STATES.includes(row.state))',
    },
  ],
};

const notTakenOver: Mutant = {
  name: 'nobody takes over the tasks of a process that died',
  hunt: 'chargeKilled',
  plants: [
    {
      file: 'kit/tasks.ts',
      find: "where state = 'running' and lease_until < now() and kind = $1",
      replace: "where state = 'running' and lease_until < now() - interval '1 hour' and kind = $1",
    },
  ],
};

const finishUnfenced: Mutant = {
  name: 'a process that lost its task to another one still records what it believes',
  hunt: 'zombie',
  plants: [
    {
      file: 'kit/tasks.ts',
      find: 'if (rows.length !== 1) throw new LeaseLost',
      replace: 'if (rows.length > 1) throw new LeaseLost',
    },
  ],
};

const settledUnlocked: Mutant = {
  name: 'callback and worker settle a payment without its row lock',
  hunt: 'slowSettle',
  plants: [
    versionsUnguarded,
    {
      file: PAYMENTS_STORE,
      find: 'order by order_id for update',
      replace: 'order by order_id',
    },
    {
      file: PAYMENTS_STORE,
      find: 'where order_id = $1 and version = $14',
      replace: 'where order_id = $1 and $14::integer is not null',
    },
    {
      file: 'services/payments/migrations/0001_payments.ts',
      find: 'create unique index attempts_succeeded_once',
      replace: 'create index attempts_succeeded_once',
    },
    {
      file: 'services/payments/migrations/0001_payments.ts',
      find: 'primary key (order_id, attempt_number)',
      replace: 'check (true)',
    },
  ],
};

export const PAYMENT_MUTANTS: readonly Mutant[] = [
  keyOfAttempt,
  chargedUnasked,
  timeOutIsFailure,
  notRefunded,
  notTakenOver,
  finishUnfenced,
  settledUnlocked,
];
