/** The list of notifications, a person's export, and what became of one notification. */
import type { Database } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { add, countRows, where, wordOf, type Filter } from '@waybill/kit/filter.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { firstIdAt, momentOf } from '@waybill/kit/moments.ts';
import { DEFAULT_PAGE_SIZE, offsetOf } from '@waybill/kit/paging.ts';
import {
  NOTIFICATION_TYPES,
  PARENT_TYPES,
  type ListQuery,
  type NotificationWithSendings,
} from './contract.ts';
import { findNotification, renderNotification, SHOWN, type ShownRow } from './store.ts';

/** Lists notifications, newest first. A customer sees their own alone. */
export async function listNotifications(db: Database, identity: Identity, query: ListQuery) {
  const filter = filterOf(identity, query);
  const size = query.size ?? DEFAULT_PAGE_SIZE;
  const number = query.page ?? 0;
  const rows = await db.queryOnce<ShownRow>(
    `select ${SHOWN} from notifications ${where(filter)} order by id desc
     limit ${size} offset ${offsetOf(number + 1, size)}`,
    filter.values,
  );
  const { total, total_is_estimate } = await countRows(
    db,
    `select from notifications ${where(filter)}`,
    filter.values,
  );
  return {
    content: rows.map(renderNotification),
    page: {
      size,
      number,
      totalElements: total,
      totalPages: Math.ceil(total / size),
      ...(total_is_estimate === true ? { totalIsEstimate: true } : {}),
    },
  };
}

function filterOf(identity: Identity, query: ListQuery): Filter {
  const filter: Filter = { conditions: [], values: [] };
  const username = query.username?.normalize('NFC');
  if (!isStaff(identity)) {
    if (username !== undefined && username !== identity.subject)
      throw new Refusal(
        404,
        'notifications_not_found',
        'There are no notifications of this name that you may see.',
      );
    add(filter, 'username =', identity.subject);
  } else if (username !== undefined) add(filter, 'username =', username);
  if (query.parentType !== undefined)
    add(filter, 'parent_type =', wordOf('parentType', PARENT_TYPES, query.parentType));
  // Links to an account are mailed, and no news to whom it belongs.
  else filter.conditions.push("template not in ('verify_email', 'reset_password')");
  if (query.parentId !== undefined) add(filter, 'parent_id =', query.parentId.normalize('NFC'));
  if (query.notificationType !== undefined)
    add(filter, 'type =', wordOf('notificationType', NOTIFICATION_TYPES, query.notificationType));
  if (query.createdAtGte !== undefined)
    add(filter, 'id >=', firstIdAt(momentOf('createdAtGte', query.createdAtGte)), '::uuid');
  if (query.createdAtLte !== undefined)
    add(filter, 'id <', firstIdAt(momentOf('createdAtLte', query.createdAtLte) + 1), '::uuid');
  return filter;
}

interface SendingView {
  readonly channel: NotificationWithSendings['sendings'][number]['channel'];
  readonly state: NotificationWithSendings['sendings'][number]['state'];
  readonly attempts: number;
  readonly waiting_for: string | null;
  readonly updated_at: string;
  readonly log: NotificationWithSendings['sendings'][number]['log'];
}

/** A notification with its delivery log, if the caller may see it. */
export async function showNotification(
  db: Database,
  identity: Identity,
  id: string,
): Promise<NotificationWithSendings> {
  const row = await findNotification(db, id);
  if (row === undefined || (!isStaff(identity) && row.username !== identity.subject))
    throw new Refusal(404, 'notification_not_found', 'There is no such notification.');
  const sendings = await db.query<SendingView>(
    `select s.channel, s.state, s.attempts, s.waiting_for, s.updated_at,
       coalesce((select json_agg(json_build_object('attempt', l.attempt, 'outcome', l.outcome,
           'detail', l.detail, 'at', to_char(l.at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
           order by l.attempt)
         from sending_log l
         where l.notification_id = s.notification_id and l.channel = s.channel), '[]') as log
     from sendings s where s.notification_id = $1 order by s.channel`,
    [id],
  );
  return {
    ...renderNotification(row),
    sendings: sendings.map(({ waiting_for, updated_at, ...rest }) => ({
      ...rest,
      waitingFor: waiting_for,
      updatedAt: updated_at,
    })),
  };
}

const EXPORT_PAGE = 500;

/** A page of what a person was told, oldest first. */
export async function exportNotifications(db: Database, username: string, after: string) {
  const rows = await db.query<ShownRow>(
    `select ${SHOWN} from notifications where username = $1 and id > $2
     order by id limit ${EXPORT_PAGE}`,
    [username, after],
  );
  const next = rows.length === EXPORT_PAGE ? (rows.at(-1)?.id ?? null) : null;
  return { items: rows.map(renderNotification), next };
}
