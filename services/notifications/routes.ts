/** Notifications: leave one, list them, see what became of one. */
import { route, type Route } from '@waybill/kit/route.ts';
import { Identifier, Type } from '@waybill/kit/schema.ts';
import { createNotification, leaveNotification } from './commands.ts';
import type { NotificationsContext } from './context.ts';
import {
  CreateNotification,
  LeaveNotification,
  ListQuery,
  Notification,
  NotificationList,
  NotificationPath,
  NotificationWithSendings,
} from './contract.ts';
import { exportNotifications, listNotifications, showNotification } from './views.ts';

const everybody = ['customer', 'operator', 'admin', 'service'] as const;

const publicRoutes: readonly Route<NotificationsContext>[] = [
  route({
    method: 'POST',
    path: '/api/v1/notification',
    access: ['admin', 'service'],
    summary: 'Leave a notification; it is sent in the background.',
    description: 'It is stored when this answers, and sent to the contact as soon as may be.',
    body: CreateNotification,
    idempotent: true,
    replies: { 201: Notification },
    refusals: { '404 notification_not_found': 'a repeat came after its person was erased' },
    async handle({ body, idempotency }, context: NotificationsContext) {
      const { notification, replayed } = await createNotification(context, body, idempotency);
      const location = { location: `/api/v1/notification/${notification.id}` };
      return {
        status: 201,
        body: notification,
        headers: replayed ? { ...location, 'idempotent-replayed': 'true' } : location,
      };
    },
  }),
  ...['/api/v1/notification', '/api/v1/notif'].map((path) =>
    route({
      method: 'GET',
      path,
      access: everybody,
      summary: "Notifications, newest first; a customer's own alone.",
      description:
        'Mails with a link to the account (verification, reset) are listed with parentType=USER ' +
        'alone.',
      query: ListQuery,
      replies: { 200: NotificationList },
      refusals: {
        '404 notifications_not_found': 'a customer named somebody else',
        '422 invalid_query': 'also: an unknown type, or a date that does not exist',
        '422 page_too_deep': 'narrow the filters',
      },
      async handle({ identity, query }, { db }: NotificationsContext) {
        return { status: 200, body: await listNotifications(db, identity, query) };
      },
    }),
  ),
  route({
    method: 'GET',
    path: '/api/v1/notification/{id}',
    access: everybody,
    summary: 'A notification, and what became of it.',
    params: NotificationPath,
    replies: { 200: NotificationWithSendings },
    refusals: { '404 notification_not_found': 'there is none that the caller may see' },
    async handle({ identity, params }, { db }: NotificationsContext) {
      return { status: 200, body: await showNotification(db, identity, params.id) };
    },
  }),
];

const Left = Type.Object({ id: Type.String() });

const internalRoutes: readonly Route<NotificationsContext>[] = [
  route({
    method: 'POST',
    path: '/internal/notifications',
    access: ['service'],
    summary: 'Leave a notification, once for each key.',
    internal: true,
    body: LeaveNotification,
    replies: { 200: Left, 201: Left },
    async handle({ identity, body }, context: NotificationsContext) {
      const { id, stored } = await leaveNotification(context, identity.subject, body);
      return { status: stored ? 201 : 200, body: { id } };
    },
  }),
  route({
    method: 'GET',
    path: '/internal/notifications/export',
    access: ['service'],
    summary: 'What a person was told, for their export.',
    internal: true,
    query: Type.Object(
      {
        username: Identifier(128),
        after: Type.Optional(Type.String({ pattern: '^[0-9a-f-]{36}$' })),
      },
      { additionalProperties: false },
    ),
    replies: {
      200: Type.Object({
        items: Type.Array(Notification),
        next: Type.Union([Type.String(), Type.Null()]),
      }),
    },
    async handle({ query }, { db }: NotificationsContext) {
      const after = query.after ?? '00000000-0000-0000-0000-000000000000';
      const page = await exportNotifications(db, query.username.normalize('NFC'), after);
      return { status: 200, body: page };
    },
  }),
];

export const routes: readonly Route<NotificationsContext>[] = [...publicRoutes, ...internalRoutes];
