/** Cancelling beside others, with a stand-in for what is stored. */
import { describe, expect, test } from 'vitest';
import { cancelAssignment } from './commands.ts';
import type { DispatchContext } from './context.ts';
import type { AssignmentRow } from './store.ts';

function row(changes: Partial<AssignmentRow>): AssignmentRow {
  return {
    order_id: 'o-1',
    number: null,
    executor_id: 'e-1',
    state: 'ASSIGNED',
    epoch: 1,
    version: 1,
    cost_minor: 440n,
    currency: 'USD',
    cost_breakdown: [],
    replaces: null,
    reason: null,
    order_ended: null,
    assigned_at: '2026-01-01T00:00:00Z',
    cancellable_until: '2026-01-01T00:10:00Z',
    acquired_at: null,
    picked_up_at: null,
    ended_at: null,
    ...changes,
  };
}

/** Whoever cancels finds one after the other, and reads one after the other. */
function scene(cancelled: (AssignmentRow | undefined)[], read: AssignmentRow[]) {
  return {
    assigning: { begin: async () => {}, cancel: async () => cancelled.shift() },
    db: { query: async () => [read.shift()] },
  } as unknown as DispatchContext;
}

describe('an assignment', () => {
  test('that is made just after there was none to cancel is cancelled', async () => {
    const taken = row({ state: 'CANCELLED', version: 2 });
    const context = scene([undefined, taken], [row({})]);
    expect(await cancelAssignment(context, 'o-1')).toMatchObject({ state: 'CANCELLED' });
  });

  test('that stays as it is and cannot be cancelled is too old', async () => {
    const context = scene([], [row({}), row({ version: 2 }), row({ version: 2 })]);
    await expect(cancelAssignment(context, 'o-1')).rejects.toMatchObject({
      code: 'cancel_window_closed',
    });
  });

  test('that never stays as it is is left for another time', async () => {
    const versions = Array.from({ length: 9 }, (_, version) => row({ version }));
    await expect(cancelAssignment(scene([], versions), 'o-1')).rejects.toMatchObject({
      target: 'assignment',
    });
  });
});
