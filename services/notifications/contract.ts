/**
 * Notifications: what a person was told, and whether it reached them.
 *
 * A *notification* is stored at once and for good; a *sending* is its way through one channel
 * (e-mail, phone), later and again until it is sent or final. A *template* words it.
 */
import {
  EmailAddress,
  Identifier,
  Moment,
  Nullable,
  OneOf,
  PhoneNumber,
  Timestamp,
  Type,
  matching,
  type Static,
} from '@waybill/kit/schema.ts';

/** By which name and prefixes the gateway finds the service. */
export const notificationsService = {
  name: 'notifications',
  paths: ['/api/v1/notification', '/api/v1/notif'],
} as const;

export const NOTIFICATION_TYPES = [
  'INFO',
  'WARNING',
  'ERROR',
  'SUCCESS',
  'FAIL',
  'DEFAULT',
] as const;
export type NotificationType = (typeof NOTIFICATION_TYPES)[number];

export const PARENT_TYPES = ['ORDER', 'PAYMENT', 'USER'] as const;
export type ParentType = (typeof PARENT_TYPES)[number];

export const TEMPLATES = [
  'plain',
  'verify_email',
  'reset_password',
  'order_paid',
  'order_unpaid',
] as const;
export type TemplateName = (typeof TEMPLATES)[number];

export const CHANNELS = ['email', 'phone'] as const;
export type Channel = (typeof CHANNELS)[number];

export const SENDING_STATES = ['WAITING', 'SENT', 'FAILED'] as const;
export type SendingState = (typeof SENDING_STATES)[number];

const closed = { additionalProperties: false };
const EXAMPLE_ID = '019a0000-0000-7000-8000-000000000001';

/** Lines are its own matter; any other control character is refused. */
const Message = Type.String({
  minLength: 1,
  maxLength: 5000,
  ...matching(
    '^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$',
    'hold no control characters but tabs and line ends',
  ),
  examples: ['Your order is paid.'],
});

/** Kept and shown as text; an order of the checkout has a number for its id. */
const ParentId = Type.Unsafe<string | number | null>({
  ...Identifier(128),
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  type: ['string', 'integer', 'null'],
  examples: [EXAMPLE_ID],
});

export const CreateNotification = Type.Object(
  {
    notificationType: OneOf(NOTIFICATION_TYPES, { examples: ['SUCCESS'] }),
    parentType: OneOf(PARENT_TYPES),
    parentId: Type.Optional(ParentId),
    username: Identifier(128, { description: 'Whom it is for.', examples: ['ada'] }),
    text: Message,
    contact: Type.Object(
      { email: EmailAddress(), phone: Type.Optional(Nullable(PhoneNumber())) },
      { ...closed, description: 'Where it is sent; forgotten once it was.' },
    ),
  },
  { ...closed, title: 'CreateNotification' },
);
export type CreateNotification = Static<typeof CreateNotification>;

const shown = {
  id: Type.String({ description: 'UUIDv7', examples: [EXAMPLE_ID] }),
  notificationType: OneOf(NOTIFICATION_TYPES, { examples: ['SUCCESS'] }),
  parentType: OneOf(PARENT_TYPES),
  parentId: Nullable(Type.String({ examples: [EXAMPLE_ID] })),
  username: Type.String({ examples: ['ada'] }),
  text: Type.String({ examples: ['Your order is paid.'] }),
  createdAt: Timestamp,
};

export const Notification = Type.Object(shown, {
  title: 'Notification',
  description: 'The notification.',
});
export type Notification = Static<typeof Notification>;

export const NotificationWithSendings = Type.Object(
  {
    ...shown,
    sendings: Type.Array(
      Type.Object({
        channel: OneOf(CHANNELS),
        state: OneOf(SENDING_STATES),
        attempts: Type.Integer({ description: 'Answers of the mail server; outages are none.' }),
        waitingFor: Nullable(Type.String({ description: 'The outage that it waits out, if any.' })),
        updatedAt: Timestamp,
        log: Type.Array(
          Type.Object({
            attempt: Type.Integer(),
            outcome: OneOf(['sent', 'delayed', 'refused', 'expired', 'logged']),
            detail: Type.String(),
            at: Timestamp,
          }),
        ),
      }),
      { examples: [[]] },
    ),
  },
  { title: 'NotificationWithSendings', description: 'The notification, and what became of it.' },
);
export type NotificationWithSendings = Static<typeof NotificationWithSendings>;

export const NotificationPath = Type.Object(
  {
    id: Type.String({
      ...matching('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$', 'be a UUID'),
      examples: [EXAMPLE_ID],
    }),
  },
  closed,
);

const Word = (example: string) =>
  Type.Optional(
    Type.String({ minLength: 1, maxLength: 30, description: 'In any case.', examples: [example] }),
  );

export const ListQuery = Type.Object(
  {
    username: Type.Optional(Identifier(128)),
    parentType: Word('ORDER'),
    parentId: Type.Optional(Identifier(128)),
    notificationType: Word('SUCCESS'),
    createdAtGte: Type.Optional(Moment),
    createdAtLte: Type.Optional(Moment),
    page: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'From 0' })),
    size: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
  },
  closed,
);
export type ListQuery = Static<typeof ListQuery>;

export const NotificationList = Type.Object(
  {
    content: Type.Array(Notification),
    page: Type.Object(
      {
        size: Type.Integer(),
        number: Type.Integer({ description: 'From 0.' }),
        totalElements: Type.Integer({ description: 'Exact to 10 000.' }),
        totalPages: Type.Integer(),
        totalIsEstimate: Type.Optional(Type.Boolean()),
      },
      { examples: [{ size: 20, number: 0, totalElements: 1, totalPages: 1 }] },
    ),
  },
  { title: 'NotificationList', description: 'A page of notifications, newest first.' },
);

const Datum = Type.Union([
  Type.String({ maxLength: 2000 }),
  Type.Number(),
  Type.Boolean(),
  Type.Null(),
]);

/** What another service leaves to be told; the same key of the same service is stored once. */
export const LeaveNotification = Type.Object(
  {
    dedupe_key: Identifier(200),
    notification_type: OneOf(NOTIFICATION_TYPES),
    parent_type: OneOf(PARENT_TYPES),
    parent_id: Type.Optional(Nullable(Identifier(128))),
    username: Identifier(128),
    text: Message,
    template: Type.Optional(OneOf(TEMPLATES)),
    /** What the template's words are filled with; forgotten once it was sent. */
    data: Type.Optional(Type.Record(Type.String({ maxLength: 60 }), Datum, { maxProperties: 30 })),
    contact: Type.Object(
      {
        email: Type.Optional(Nullable(EmailAddress())),
        phone: Type.Optional(Nullable(PhoneNumber())),
      },
      closed,
    ),
  },
  closed,
);
export type LeaveNotification = Static<typeof LeaveNotification>;
export type TemplateData = NonNullable<LeaveNotification['data']>;
