/** Dispatch's part of the faultless day: orders of elsewhere, assigned and carried. */
import type pg from 'pg';

interface Carried {
  readonly order: string;
  /** Each assignment with the states that it went through. */
  readonly epochs: readonly (readonly string[])[];
}

export const CARRIED = {
  waiting: { order: 'elsewhere-1', epochs: [['ASSIGNED']] },
  held: {
    order: 'elsewhere-2',
    epochs: [
      ['ASSIGNED', 'REPLACED'],
      ['ASSIGNED', 'ACQUIRED'],
    ],
  },
  delivered: {
    order: 'elsewhere-3',
    epochs: [
      ['ASSIGNED', 'CANCELLED'],
      ['ASSIGNED', 'ACQUIRED', 'FAILED'],
      ['ASSIGNED', 'ACQUIRED', 'PICKED_UP', 'DELIVERED'],
    ],
  },
} as const satisfies Record<string, Carried>;

const BREAKDOWN = [
  { line: 'base', amount: 4.4, explanation: '' },
  { line: 'coefficient', amount: 3.52, explanation: '' },
  { line: 'bonus', amount: 300, explanation: '' },
];

/** Writes assignments, live and past, with their events. */
export async function writeAssignments(client: pg.Client): Promise<void> {
  for (const carried of Object.values(CARRIED)) await writeCarried(client, carried);
}

async function writeCarried(client: pg.Client, { order, epochs }: Carried): Promise<void> {
  let version = 0;
  for (const [index, states] of epochs.entries()) {
    const epoch = index + 1;
    const executor = `executor-${epoch}`;
    for (const state of states) {
      if (state === 'REPLACED') continue;
      version++;
      const data = { order_id: order, executor_id: executor, epoch, state };
      await client.query(
        'insert into dispatch.log (key, version, type, data) values ($1, $2, $3, $4)',
        [
          order,
          version,
          `ASSIGNMENT_${state === 'ASSIGNED' ? 'CREATED' : state}`,
          JSON.stringify(data),
        ],
      );
    }
    const table = epoch === epochs.length ? 'assignments' : 'past_assignments';
    const last = states.at(-1) as string;
    const hours = epochs.length - epoch;
    await client.query(
      `insert into dispatch.${table} (order_id, executor_id, state, epoch, version, cost_minor,
         currency, cost_breakdown, order_info, sources, assigned_at, acquired_at, ended_at)
       values ($1, $2, $3, $4, $5, 30792, 'USD', $6, '{}', '{}',
         now() - make_interval(hours => $7, mins => 30),
         case when $8 then now() - make_interval(hours => $7, mins => 25) end,
         case when $9 then now() - make_interval(hours => $7, mins => 22) end)`,
      [
        order,
        executor,
        last,
        epoch,
        version,
        JSON.stringify(BREAKDOWN),
        hours,
        states.includes('ACQUIRED'),
        !['ASSIGNED', 'ACQUIRED', 'PICKED_UP'].includes(last),
      ],
    );
  }
}
