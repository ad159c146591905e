/** Chapter D: assign, acquire, cancel, and what became of it. */
import { isStaff } from '@waybill/kit/identity.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { route, type Reply, type Route } from '@waybill/kit/route.ts';
import { acquire } from './acquire.ts';
import {
  assign,
  assignMany,
  cancelAssignment,
  orderIdOf,
  reassign,
  refuseForeign,
  report,
} from './commands.ts';
import type { Answered, Report } from './commands.ts';
import type { DispatchContext } from './context.ts';
import {
  Acquired,
  AcquireQuery,
  Assign,
  Assignment,
  AssignmentList,
  AssignmentQuery,
  BulkAssign,
  BulkResult,
  ExecutorPath,
  Failure,
  HeldPath,
  OrderPath,
  Progress,
  Reassign,
} from './contract.ts';
import { desk, executorRoutes } from './executor-routes.ts';
import { comeBackAfter, deskOrExecutor, POLL_PATH } from './polls.ts';
import { findAssignment, listAssignments, renderAssignment } from './views.ts';

const pricing = {
  '404 unknown_order': 'there is no such order',
  '409 already_acquired': 'its executor has acquired it',
  '409 order_finished': 'nobody has to carry it any more',
  '422 unknown_executor': 'there is no such executor',
  '422 cost_out_of_range': 'what the sources say makes no amount of money',
  '503 temporarily_unavailable': 'a source has no data; nothing was stored',
};

const progress = {
  '404 executor_not_found': 'it is another executor’s path',
  '404 assignment_not_found': 'this executor does not have this order',
  '409 old_epoch': 'the order was assigned anew since',
  '409 not_acquired': 'the executor has to acquire it first',
  '409 wrong_state': 'from where it is it cannot go there',
};

export const routes: readonly Route<DispatchContext>[] = [
  route({
    method: 'POST',
    path: POLL_PATH,
    access: deskOrExecutor,
    summary: 'Get the oldest order that is assigned to this executor.',
    description:
      'The order then has this one holder. Without an Idempotency-Key, asking again within 5 s ' +
      'gets the same order, unless next=true. Under a key there is one order, whenever and ' +
      'however it is asked for again; another key is for another order. 204: there is none; ' +
      'Retry-After says when to come back, at once after a wait.',
    params: ExecutorPath,
    query: AcquireQuery,
    idempotent: true,
    // Whoever asks again may wait less, and means the same.
    anyQuery: true,
    replies: { 200: Acquired, 204: { description: 'There is none.' } },
    refusals: { '404 executor_not_found': 'it is another executor’s path' },
    async handle(call, context: DispatchContext) {
      const { identity, params, query, idempotency } = call;
      const executorId = params.executor_id.normalize('NFC');
      refuseForeign(identity, executorId);
      const waitMs = query.wait === undefined ? 0 : Number.parseInt(query.wait, 10) * 1000;
      const got = await acquire(context, {
        executorId,
        next: query.next === 'true',
        waitMs,
        idempotency,
        hungUp: () => call.hungUp,
      });
      if (got !== undefined) return answer(200, got);
      // Whoever waits means to be there when something comes.
      const after = waitMs > 0 ? '1' : comeBackAfter(context);
      return { status: 204, headers: { 'retry-after': after } };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/dispatch/assignments',
    access: desk,
    summary: 'Assign an order to an executor, or replace an assignment nobody has acquired.',
    body: Assign,
    idempotent: true,
    replies: { 201: Assignment },
    refusals: { '403 replace_not_allowed': 'replace_acquired is an operator’s', ...pricing },
    async handle({ identity, body, idempotency }, context: DispatchContext) {
      return answer(201, await assign(context, identity, body, idempotency));
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/dispatch/assignments/bulk',
    access: desk,
    summary: 'Assign many orders, each with its own outcome.',
    body: BulkAssign,
    idempotent: true,
    replies: { 200: BulkResult },
    async handle({ identity, body, idempotency }, context: DispatchContext) {
      return answer(200, await assignMany(context, identity, body.assignments, idempotency));
    },
  }),
  route({
    method: 'PUT',
    path: '/api/v1/dispatch/assignments/{order_id}',
    access: desk,
    summary: 'Give an order that nobody has acquired to another executor.',
    params: OrderPath,
    body: Reassign,
    replies: { 200: Assignment },
    refusals: { '404 assignment_not_found': 'it is not assigned', ...pricing },
    async handle({ params, body }, context: DispatchContext) {
      const orderId = await orderIdOf(context, params.order_id);
      return { status: 200, body: await reassign(context, orderId, body.executor_id) };
    },
  }),
  route({
    method: 'DELETE',
    path: '/api/v1/dispatch/assignments/{order_id}',
    access: desk,
    summary: 'Take back an assignment that nobody has acquired, within ten minutes.',
    params: OrderPath,
    replies: { 200: Assignment },
    refusals: {
      '404 assignment_not_found': 'it is not assigned',
      '409 already_acquired': 'its executor has acquired it',
      '409 cancel_window_closed': 'it was assigned more than ten minutes ago',
    },
    async handle({ params }, context: DispatchContext) {
      const orderId = await orderIdOf(context, params.order_id);
      return { status: 200, body: await cancelAssignment(context, orderId) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/dispatch/assignments/{order_id}',
    access: deskOrExecutor,
    summary: 'The last assignment of an order.',
    params: OrderPath,
    replies: { 200: Assignment },
    refusals: { '404 assignment_not_found': 'there is none that the caller may see' },
    async handle({ identity, params }, context: DispatchContext) {
      const row = await findAssignment(context.db, await orderIdOf(context, params.order_id));
      if (row === undefined || (!isStaff(identity) && row.executor_id !== identity.executorId))
        throw new Refusal(404, 'assignment_not_found', 'This order is not assigned.');
      return { status: 200, body: renderAssignment(row) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/dispatch/assignments',
    access: deskOrExecutor,
    summary: 'Assignments, newest first, past ones too; an executor sees their own.',
    query: AssignmentQuery,
    replies: { 200: AssignmentList },
    refusals: {
      '404 executor_not_found': 'an executor named another',
      '422 invalid_query': 'also: an unknown state',
      '422 invalid_cursor': 'the cursor belongs to another list',
      '422 page_too_deep': 'go on by cursor',
    },
    async handle({ identity, query }, context: DispatchContext) {
      const own = isStaff(identity) ? undefined : identity.executorId;
      const executor_id = query.executor_id ?? own;
      if (!isStaff(identity)) refuseForeign(identity, (executor_id ?? '').normalize('NFC'));
      const filtered = executor_id === undefined ? query : { ...query, executor_id };
      const list = await listAssignments(context.db, context.key('cursor'), filtered);
      return { status: 200, body: list };
    },
  }),
  ...(['PICKED_UP', 'DELIVERED', 'FAILED'] as const).map(reportRoute),
  ...executorRoutes,
];

function reportRoute(to: Report['to']): Route<DispatchContext> {
  const word = to.toLowerCase().replace('_', '-');
  const is = word.replace('-', ' ');
  return route({
    method: 'POST',
    path: `/api/v1/dispatch/executors/{executor_id}/orders/{order_id}/${word}`,
    access: deskOrExecutor,
    summary: `The order is ${is}.`,
    description: 'The same report again is answered as before.',
    params: HeldPath,
    body: to === 'FAILED' ? Failure : Progress,
    idempotent: true,
    replies: { 200: Assignment },
    refusals: progress,
    async handle({ identity, params, body, idempotency }, context: DispatchContext) {
      const executorId = params.executor_id.normalize('NFC');
      refuseForeign(identity, executorId);
      const reason = 'reason' in body ? (body.reason as string) : null;
      const orderId = await orderIdOf(context, params.order_id);
      const asked = { executorId, orderId, epoch: body.epoch, to, reason };
      return answer(200, await report(context, asked, idempotency));
    },
  });
}

function answer(status: number, { body, replayed }: Answered): Reply {
  return { status, body, headers: replayed ? { 'idempotent-replayed': 'true' } : {} };
}
