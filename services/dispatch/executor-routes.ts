/** Executors, zones and the configuration. */
import { route, type Route } from '@waybill/kit/route.ts';
import { refuseForeign } from './commands.ts';
import type { DispatchContext } from './context.ts';
import {
  ChangeExecutor,
  DescribeZone,
  DispatchConfig,
  Executor,
  ExecutorPath,
  Location,
  RegisterExecutor,
  Zone,
  ZonePath,
} from './contract.ts';
import {
  changeExecutor,
  configure,
  describeZone,
  locate,
  readConfig,
  readExecutor,
  readZone,
  registerExecutor,
} from './executors.ts';
import { deskOrExecutor } from './polls.ts';

/** Who gives out work. */
export const desk = ['operator', 'admin', 'service'] as const;

const unknown = { '404 executor_not_found': 'there is none that the caller may see' };

export const executorRoutes: readonly Route<DispatchContext>[] = [
  route({
    method: 'POST',
    path: '/api/v1/dispatch/executors',
    access: desk,
    summary: 'Register an executor.',
    body: RegisterExecutor,
    idempotent: true,
    replies: { 201: Executor },
    refusals: {
      '409 executor_exists': 'the executor_id is taken',
      '422 unknown_zone': 'there is no such zone',
    },
    async handle({ body, idempotency }, context: DispatchContext) {
      const answered = await registerExecutor(context, body, idempotency);
      const { executor_id } = JSON.parse(answered.body) as Executor;
      const location = `/api/v1/dispatch/executors/${encodeURIComponent(executor_id)}`;
      return {
        status: 201,
        body: answered.body,
        headers: answered.replayed ? { location, 'idempotent-replayed': 'true' } : { location },
      };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/dispatch/executors/{executor_id}',
    access: deskOrExecutor,
    summary: 'One executor.',
    params: ExecutorPath,
    replies: { 200: Executor },
    refusals: unknown,
    async handle({ identity, params }, { db }: DispatchContext) {
      const executorId = params.executor_id.normalize('NFC');
      refuseForeign(identity, executorId);
      return { status: 200, body: await readExecutor(db, executorId) };
    },
  }),
  route({
    method: 'PATCH',
    path: '/api/v1/dispatch/executors/{executor_id}',
    access: desk,
    summary: 'Change what is named of an executor.',
    params: ExecutorPath,
    body: ChangeExecutor,
    replies: { 200: Executor },
    refusals: { ...unknown, '422 unknown_zone': 'there is no such zone' },
    async handle({ params, body }, context: DispatchContext) {
      const executorId = params.executor_id.normalize('NFC');
      return { status: 200, body: await changeExecutor(context, executorId, body) };
    },
  }),
  route({
    method: 'PUT',
    path: '/api/v1/dispatch/executors/{executor_id}/location',
    access: deskOrExecutor,
    summary: 'Tell where an executor is.',
    params: ExecutorPath,
    body: Location,
    replies: { 200: Executor },
    refusals: unknown,
    async handle({ identity, params, body }, context: DispatchContext) {
      const executorId = params.executor_id.normalize('NFC');
      refuseForeign(identity, executorId);
      return { status: 200, body: await locate(context, executorId, body) };
    },
  }),
  route({
    method: 'PUT',
    path: '/api/v1/dispatch/zones/{zone_id}',
    access: desk,
    summary: 'Describe a zone: what its orders are multiplied by, and what is added.',
    params: ZonePath,
    body: DescribeZone,
    replies: { 200: Zone },
    refusals: { '422 invalid_body': 'also: more than 6 decimals' },
    async handle({ params, body }, context: DispatchContext) {
      return { status: 200, body: await describeZone(context, params.zone_id, body) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/dispatch/zones/{zone_id}',
    access: desk,
    summary: 'One zone by its id.',
    params: ZonePath,
    replies: { 200: Zone },
    refusals: { '404 zone_not_found': 'there is no such zone' },
    async handle({ params }, context: DispatchContext) {
      return { status: 200, body: await readZone(context, params.zone_id) };
    },
  }),
  route({
    method: 'PUT',
    path: '/api/v1/dispatch/config',
    access: desk,
    summary: 'Change what holds for all assignments from now on.',
    body: DispatchConfig,
    replies: { 200: DispatchConfig },
    refusals: { '422 invalid_body': 'also: more than 6 decimals' },
    async handle({ body }, context: DispatchContext) {
      return { status: 200, body: await configure(context, body) };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/dispatch/config',
    access: desk,
    summary: 'What holds for all assignments.',
    replies: { 200: DispatchConfig },
    async handle(_call, context: DispatchContext) {
      return { status: 200, body: await readConfig(context) };
    },
  }),
];
