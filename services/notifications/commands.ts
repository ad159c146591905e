/** What can be done with notifications: leave them, and forget them. */
import type { Tx } from '@waybill/kit/db.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { newId, timeOfId } from '@waybill/kit/ids.ts';
import { enqueue } from '@waybill/kit/tasks.ts';
import type {
  Channel,
  CreateNotification,
  LeaveNotification,
  Notification,
  TemplateName,
} from './contract.ts';
import type { NotificationsContext } from './context.ts';
import {
  findByDedupeKey,
  findNotification,
  insertNotification,
  renderNotification,
  type NewSending,
  type NotificationRow,
} from './store.ts';

/** The tasks that send, by channel. */
export const SEND: Readonly<Record<Channel, string>> = {
  email: 'notifications.email',
  phone: 'notifications.phone',
};

/** Stores a notification; its sendings are tasks. Nothing outside is asked. */
async function store(
  tx: Tx,
  context: NotificationsContext,
  given: Omit<NotificationRow, 'id' | 'created_at'>,
  contact: LeaveNotification['contact'],
  dedupeKey: string | null,
): Promise<NotificationRow | undefined> {
  const id = newId();
  const sendings: NewSending[] = [];
  if (contact.email) sendings.push({ channel: 'email', address: contact.email });
  if (contact.phone) sendings.push({ channel: 'phone', address: contact.phone });
  const row: NotificationRow = {
    ...given,
    id,
    data: sendings.length === 0 ? null : given.data,
    username: given.username.normalize('NFC'),
    parent_id: given.parent_id?.normalize('NFC') ?? null,
    created_at: new Date(timeOfId(id)).toISOString(),
  };
  const { deadlineSeconds } = context.settings;
  if (!(await insertNotification(tx, row, dedupeKey, sendings, deadlineSeconds))) return undefined;
  await enqueue(
    tx,
    sendings.map(({ channel }) => ({ kind: SEND[channel], key: id, payload: null })),
  );
  return row;
}

/** Stores what another service leaves to be told; a repeat finds the first one. */
export async function leaveNotification(
  context: NotificationsContext,
  service: string,
  body: LeaveNotification,
): Promise<{ id: string; stored: boolean }> {
  const dedupeKey = `${service} ${body.dedupe_key}`;
  return context.db.transaction(async (tx) => {
    const given = {
      type: body.notification_type,
      parent_type: body.parent_type,
      parent_id: body.parent_id ?? null,
      username: body.username,
      text: body.text,
      template: body.template ?? 'plain',
      data: body.data ?? null,
    };
    const row = await store(tx, context, given, body.contact, dedupeKey);
    if (row !== undefined) return { id: row.id, stored: true };
    const id = await findByDedupeKey(tx, dedupeKey);
    // It went in between; whoever asks again stores it.
    if (id === undefined) throw new Outage('notification', 'it was there and is gone');
    return { id, stored: false };
  });
}

/** Stores a notification from the public door. */
export async function createNotification(
  context: NotificationsContext,
  body: CreateNotification,
  idempotency: IdempotencyKey | undefined,
): Promise<{ notification: Notification; replayed: boolean }> {
  return context.db.transaction(async (tx) => {
    const kept = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (kept !== undefined) {
      const first = await findNotification(tx, kept.response);
      if (first !== undefined) return { notification: renderNotification(first), replayed: true };
      throw new Refusal(404, 'notification_not_found', 'The notification is gone.');
    }
    const given = {
      type: body.notificationType,
      parent_type: body.parentType,
      parent_id: body.parentId == null ? null : String(body.parentId),
      username: body.username,
      text: body.text,
      template: 'plain' as TemplateName,
      data: null,
    };
    const row = await store(tx, context, given, body.contact, null);
    if (row === undefined) throw new Error('a notification without a dedupe key was a repeat');
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 201, response: row.id });
    return { notification: renderNotification(row), replayed: false };
  });
}
