/**
 * Dispatch: who carries which order, and the door of chapter D.
 *
 * An *executor* is a courier, driver or picker. An *assignment* gives an order to an executor, who
 * polls to *acquire* it. Its *epoch* counts the assignments of an order: whoever acts under an old
 * one is refused.
 */
import {
  Amount,
  Identifier,
  Nullable,
  PathIdentifier,
  OneOf,
  Text,
  Timestamp,
  Type,
  matching,
  pageReply,
  pagingQuery,
  type Static,
} from '@waybill/kit/schema.ts';

export const dispatchService = { name: 'dispatch', paths: ['/api/v1/dispatch'] } as const;

export const ASSIGNMENT_STATES = [
  'ASSIGNED',
  'ACQUIRED',
  'PICKED_UP',
  'DELIVERED',
  'FAILED',
  'CANCELLED',
  'REPLACED',
] as const;
export type AssignmentState = (typeof ASSIGNMENT_STATES)[number];

/** How many assignments one call may make. */
const MAX_BULK = 100;

const closed = { additionalProperties: false };
const ORDER_ID = '019a0000-0000-7000-8000-000000000001';
const ExecutorId = PathIdentifier(128, { examples: ['courier-1'] });
/** Also of what a source may call an order. */
export const OrderId = PathIdentifier(128, {
  description: "The order's id or number.",
  examples: [ORDER_ID],
});

export const ExecutorPath = Type.Object({ executor_id: ExecutorId }, closed);
export const OrderPath = Type.Object({ order_id: OrderId }, closed);
export const HeldPath = Type.Object({ executor_id: ExecutorId, order_id: OrderId }, closed);
export const ZonePath = Type.Object(
  { zone_id: PathIdentifier(64, { examples: ['centre'] }) },
  closed,
);

const Tags = Type.Array(Text(64, { examples: ['bike'] }), { maxItems: 32, uniqueItems: true });
const Rating = Type.Number({ minimum: 0, maximum: 5, examples: [4.8] });
const Coefficient = { minimum: 0, maximum: 1_000_000 };

export const RegisterExecutor = Type.Object(
  {
    executor_id: Type.Optional(ExecutorId),
    name: Text(200, { examples: ['Ada Lovelace'] }),
    tags: Tags,
    rating: Rating,
    zone_id: Type.Optional(Identifier(64, { description: 'A zone that exists.' })),
  },
  {
    ...closed,
    title: 'RegisterExecutor',
    examples: [{ name: 'Ada', tags: ['bike'], rating: 4.8 }],
  },
);
export type RegisterExecutor = Static<typeof RegisterExecutor>;

export const ChangeExecutor = Type.Object(
  {
    name: Type.Optional(Text(200)),
    tags: Type.Optional(Tags),
    rating: Type.Optional(Rating),
    zone_id: Type.Optional(Nullable(Identifier(64))),
    available: Type.Optional(Type.Boolean()),
  },
  { ...closed, title: 'ChangeExecutor', minProperties: 1, examples: [{ available: false }] },
);
export type ChangeExecutor = Static<typeof ChangeExecutor>;

export const Location = Type.Object(
  {
    latitude: Type.Number({ minimum: -90, maximum: 90, examples: [52.52] }),
    longitude: Type.Number({ minimum: -180, maximum: 180, examples: [13.405] }),
  },
  { ...closed, title: 'Location' },
);
export type Location = Static<typeof Location>;

export const Executor = Type.Object(
  {
    executor_id: Type.String(),
    name: Type.String(),
    tags: Type.Array(Type.String()),
    rating: Type.Number(),
    zone_id: Nullable(Type.String()),
    available: Type.Boolean(),
    location: Nullable(
      Type.Object({ latitude: Type.Number(), longitude: Type.Number(), at: Timestamp }),
    ),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { title: 'Executor', description: 'A courier, driver or picker.' },
);
export type Executor = Static<typeof Executor>;

export const DescribeZone = Type.Object(
  {
    display_name: Text(200, { examples: ['City centre'] }),
    coin_coeff: Type.Number({
      ...Coefficient,
      description: 'At most 6 decimals.',
      examples: [1.2],
    }),
    bonus_amount: Type.Number({
      minimum: 0,
      maximum: 1_000_000_000,
      description: 'Toll bonus in major units, at most 6 decimals.',
      examples: [3],
    }),
  },
  { ...closed, title: 'DescribeZone' },
);
export type DescribeZone = Static<typeof DescribeZone>;

export const Zone = Type.Object(
  {
    zone_id: Type.String(),
    display_name: Type.String(),
    coin_coeff: Type.Number(),
    bonus_amount: Type.Number(),
    updated_at: Timestamp,
  },
  { title: 'Zone' },
);

export const DispatchConfig = Type.Object(
  {
    max_coin_coeff: Type.Optional(
      Nullable(
        Type.Number({
          ...Coefficient,
          description: 'The most that a zone may multiply by; null: no limit.',
          examples: [1.8],
        }),
      ),
    ),
  },
  { ...closed, title: 'DispatchConfig' },
);
export type DispatchConfig = Static<typeof DispatchConfig>;

/** As a number it may be written as one: that is how other doors show it. */
const GivenOrder = Type.Unsafe<string | number>({
  ...OrderId,
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  type: ['string', 'integer'],
});

export const Assign = Type.Object(
  {
    order_id: GivenOrder,
    executor_id: ExecutorId,
    replace_acquired: Type.Optional(
      Type.Boolean({ description: 'Take it from whoever has acquired it; for an operator.' }),
    ),
  },
  { ...closed, title: 'Assign', examples: [{ order_id: ORDER_ID, executor_id: 'courier-1' }] },
);
export type Assign = Static<typeof Assign>;

export const Reassign = Type.Object(
  { executor_id: ExecutorId },
  { ...closed, title: 'Reassign', examples: [{ executor_id: 'courier-2' }] },
);

export const BulkAssign = Type.Object(
  { assignments: Type.Array(Assign, { minItems: 1, maxItems: MAX_BULK }) },
  { ...closed, title: 'BulkAssign' },
);

/** One line of a cost; the amounts of all lines add up to it. */
export const CostLine = Type.Object({
  line: OneOf(['base', 'coefficient', 'bonus', 'rounding']),
  amount: Type.Number({ description: 'Major units; exact.' }),
  explanation: Type.String({ examples: ['4.4 × (min(42.2, 1.8) − 1)'] }),
});
export type CostLine = Static<typeof CostLine>;

export const Assignment = Type.Object(
  {
    order_id: Type.String({ examples: [ORDER_ID] }),
    number: Nullable(Type.Integer({ description: "The order's number, if it has one." })),
    executor_id: Type.String({ examples: ['courier-1'] }),
    cost: Amount,
    cost_breakdown: Type.Array(CostLine),
    currency: Type.String({ examples: ['USD'] }),
    state: OneOf(ASSIGNMENT_STATES),
    epoch: Type.Integer({ description: 'Counts the assignments of the order, from 1.' }),
    assigned_at: Timestamp,
    cancellable_until: Timestamp,
    acquired_at: Nullable(Timestamp),
    picked_up_at: Nullable(Timestamp),
    ended_at: Nullable(Timestamp),
    reason: Nullable(Type.String({ description: 'Why it failed or was cancelled.' })),
    replaces: Nullable(Type.String({ description: 'Whose assignment it took the place of.' })),
    order_ended: Nullable(
      Type.String({ description: 'How the order ended elsewhere while somebody had it.' }),
    ),
    version: Type.Integer(),
  },
  { title: 'Assignment', description: 'An order in the hands of an executor.' },
);
export type Assignment = Static<typeof Assignment>;

export const AssignmentList = Type.Object(
  {
    assignments: Type.Array(Assignment),
    ...pageReply(),
  },
  { title: 'AssignmentList', description: 'Assignments, newest first.' },
);

export const AssignmentQuery = Type.Object(
  {
    executor_id: Type.Optional(ExecutorId),
    state: Type.Optional(Type.String({ minLength: 1, maxLength: 30, description: 'In any case.' })),
    ...pagingQuery,
  },
  closed,
);
export type AssignmentQuery = Static<typeof AssignmentQuery>;

export const BulkResult = Type.Object(
  {
    results: Type.Array(
      Type.Object({
        order_id: Type.String(),
        executor_id: Type.String(),
        status: Type.Integer({ description: 'What a single call would have answered.' }),
        assignment: Type.Optional(Assignment),
        code: Type.Optional(Type.String()),
        detail: Type.Optional(Type.String()),
      }),
    ),
  },
  { title: 'BulkResult', description: 'One outcome for each assignment, in order.' },
);

export const AcquireQuery = Type.Object(
  {
    next: Type.Optional(
      OneOf(['true', 'false'], {
        description: 'true: not the one that was just acquired; of no effect under a key.',
      }),
    ),
    wait: Type.Optional(
      Type.String({
        ...matching('^([0-9]|1[0-9]|2[0-5])s$', 'be from 0s to 25s'),
        description: 'Wait so long for an order, up to 25s.',
        examples: ['25s'],
      }),
    ),
  },
  closed,
);

export const Acquired = Type.Object(
  {
    order_id: Type.String(),
    number: Nullable(Type.Integer()),
    executor_id: Type.String(),
    epoch: Type.Integer({ description: 'Carry it in every later call about this order.' }),
    cost: Amount,
    currency: Type.String(),
    acquired_at: Timestamp,
    order: Type.Object({}, { additionalProperties: true, description: 'What is known of it.' }),
    sources: Type.Object({}, { additionalProperties: true, description: 'What it was priced by.' }),
  },
  { title: 'Acquired', description: 'The order is in the hands of this executor alone.' },
);

export const Progress = Type.Object(
  { epoch: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }) },
  { ...closed, title: 'Progress', examples: [{ epoch: 1 }] },
);

export const Failure = Type.Object(
  {
    epoch: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }),
    reason: Type.Optional(Text(500, { examples: ['nobody at home'] })),
  },
  { ...closed, title: 'Failure', examples: [{ epoch: 1, reason: 'nobody at home' }] },
);

/**
 * Events of the assignments of an order, whose id is the key. Each carries order_id, executor_id,
 * epoch, state, cost_minor, currency, replaces and reason.
 */
export type AssignmentEventType =
  | 'ASSIGNMENT_CREATED'
  | 'ASSIGNMENT_REPLACED'
  | 'ASSIGNMENT_REPRICED'
  | 'ASSIGNMENT_ACQUIRED'
  | 'ASSIGNMENT_CANCELLED'
  | 'ASSIGNMENT_FLAGGED'
  | 'ASSIGNMENT_PICKED_UP'
  | 'ASSIGNMENT_DELIVERED'
  | 'ASSIGNMENT_FAILED';
