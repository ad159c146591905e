/** Every statement on notifications and their sendings. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import type {
  Channel,
  Notification,
  NotificationType,
  ParentType,
  SendingState,
  TemplateData,
  TemplateName,
} from './contract.ts';

export interface NotificationRow {
  readonly id: string;
  readonly type: NotificationType;
  readonly parent_type: ParentType;
  readonly parent_id: string | null;
  readonly username: string;
  readonly text: string;
  readonly template: TemplateName;
  readonly data: TemplateData | null;
  readonly created_at: string;
}

/** The columns that are shown. */
export const SHOWN = 'id, type, parent_type, parent_id, username, text, created_at';
export type ShownRow = Omit<NotificationRow, 'template' | 'data'>;

export interface NewSending {
  readonly channel: Channel;
  readonly address: string;
}

/** Stores a notification with its sendings. False: its dedupe key is there already. */
export async function insertNotification(
  tx: Tx,
  row: NotificationRow,
  dedupeKey: string | null,
  sendings: readonly NewSending[],
  deadlineSeconds: number,
): Promise<boolean> {
  const rows = await tx.query(
    `with stored as (
       insert into notifications
         (id, dedupe_key, type, parent_type, parent_id, username, text, template, data, created_at,
          waiting)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, json_array_length($11))
       on conflict (dedupe_key) do nothing returning id),
     sent as (
       insert into sendings (notification_id, channel, address, deadline_at)
       select stored.id, s.channel, s.address, now() + make_interval(secs => $12)
       from stored, json_to_recordset($11) as s(channel text, address text))
     select id from stored`,
    [
      row.id,
      dedupeKey,
      row.type,
      row.parent_type,
      row.parent_id,
      row.username,
      row.text,
      row.template,
      row.data === null ? null : JSON.stringify(row.data),
      row.created_at,
      JSON.stringify(sendings),
      deadlineSeconds,
    ],
  );
  return rows.length === 1;
}

export async function findByDedupeKey(
  db: Queryable,
  dedupeKey: string,
): Promise<string | undefined> {
  const rows = await db.query<{ id: string }>(
    'select id from notifications where dedupe_key = $1',
    [dedupeKey],
  );
  return rows[0]?.id;
}

export async function findNotification(db: Queryable, id: string): Promise<ShownRow | undefined> {
  const rows = await db.query<ShownRow>(`select ${SHOWN} from notifications where id = $1`, [id]);
  return rows[0];
}

/** A sending that is still to be made, with what is to be said. */
export interface WaitingSending extends NotificationRow {
  readonly address: string;
  readonly attempts: number;
  readonly outages: number;
  readonly deadline_passed: boolean;
}

export async function findWaiting(
  db: Queryable,
  id: string,
  channel: Channel,
): Promise<WaitingSending | undefined> {
  const rows = await db.query<WaitingSending>(
    `select n.id, n.type, n.parent_type, n.parent_id, n.username, n.text, n.template, n.data,
       n.created_at, s.address, s.attempts, s.outages, s.deadline_at < now() as deadline_passed
     from sendings s join notifications n on n.id = s.notification_id
     where s.notification_id = $1 and s.channel = $2 and s.state = 'WAITING'`,
    [id, channel],
  );
  return rows[0];
}

export interface SendingChange {
  readonly state: SendingState;
  readonly attempts: number;
  readonly outages: number;
  readonly waiting_for: string | null;
  /** What the channel answered; an outage is no answer. */
  readonly entry: { readonly outcome: string; readonly detail: string } | null;
}

/**
 * Records what became of a try, the notification locked before its sending as where both are
 * deleted. A sending that is over gives its address back, and the last of a notification what its
 * template was filled with: a link that resets a password is in it.
 */
export async function recordSending(
  tx: Tx,
  id: string,
  channel: Channel,
  change: SendingChange,
): Promise<void> {
  await tx.query(
    `with held as materialized (select id from notifications where id = $1 for update),
     changed as (
       update sendings set state = $3, attempts = $4, outages = $5, waiting_for = $6,
         address = case when $3 = 'WAITING' then address end, updated_at = now()
       from held where notification_id = held.id and channel = $2 and state = 'WAITING'
       returning notification_id, channel, state, attempts),
     logged as (
       insert into sending_log (notification_id, channel, attempt, outcome, detail)
       select notification_id, channel, attempts, $7::text, $8::text from changed
       where $7::text is not null)
     update notifications n set waiting = waiting - 1, data = case when waiting > 1 then data end
     from changed c where n.id = c.notification_id and c.state <> 'WAITING'`,
    [
      id,
      channel,
      change.state,
      change.attempts,
      change.outages,
      change.waiting_for,
      change.entry?.outcome ?? null,
      change.entry?.detail ?? null,
    ],
  );
}

/** What one statement deletes at most, so that none of them locks for long. */
export const BITE = 1000;

/** Deletes a bite of what a person was told up to a moment; says how much that was. */
export async function deleteOfPerson(tx: Tx, username: string, until: string): Promise<number> {
  const rows = await tx.query(
    `delete from notifications where id in (
       select id from notifications where username = $1 and created_at <= $2 limit $3)
     returning id`,
    [username, until, BITE],
  );
  return rows.length;
}

/** Deletes a bite of the notifications with ids before the given one. */
export async function deleteBefore(db: Queryable, id: string): Promise<number> {
  const rows = await db.query(
    `delete from notifications where id in (
       select id from notifications where id < $1 order by id limit $2) returning id`,
    [id, BITE],
  );
  return rows.length;
}

export function renderNotification(row: ShownRow): Notification {
  return {
    id: row.id,
    notificationType: row.type,
    parentType: row.parent_type,
    parentId: row.parent_id,
    username: row.username,
    text: row.text,
    createdAt: row.created_at,
  };
}
