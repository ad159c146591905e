/** The list of notifications, a person's export, and what became of one notification. */
import type { Database } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { firstIdAt, momentOf } from '@waybill/kit/moments.ts';
import { DEFAULT_PAGE_SIZE, EXACT_TOTAL, MAX_OFFSET } from '@waybill/kit/paging.ts';
import {
  NOTIFICATION_TYPES,
  PARENT_TYPES,
  type ListQuery,
  type NotificationWithSendings,
} from './contract.ts';
import { findNotification, renderNotification, SHOWN, type ShownRow } from './store.ts';

interface Filter {
  readonly conditions: string[];
  readonly values: unknown[];
}

/** Lists notifications, newest first. A customer sees their own alone. */
export async function listNotifications(db: Database, identity: Identity, query: ListQuery) {
  const filter = filterOf(identity, query);
  const size = query.size ?? DEFAULT_PAGE_SIZE;
  const number = query.page ?? 0;
  if (number * size > MAX_OFFSET)
    throw new Refusal(422, 'page_too_deep', `Pages reach ${MAX_OFFSET} rows; narrow the filters.`, {
      faults: [{ pointer: '?page', detail: `must stay within the first ${MAX_OFFSET} rows` }],
    });
  const rows = await db.queryOnce<ShownRow>(
    `select ${SHOWN} from notifications ${where(filter)} order by id desc
     limit ${size} offset ${number * size}`,
    filter.values,
  );
  const { total, estimated } = await countNotifications(db, filter);
  return {
    content: rows.map(renderNotification),
    page: {
      size,
      number,
      totalElements: total,
      totalPages: Math.ceil(total / size),
      ...(estimated ? { totalIsEstimate: true } : {}),
    },
  };
}

/** Exact to 10 000; above, the planner's estimate. */
async function countNotifications(db: Database, filter: Filter) {
  const [row] = await db.queryOnce<{ total: bigint }>(
    `select count(*) as total
     from (select from notifications ${where(filter)} limit ${EXACT_TOTAL + 1}) counted`,
    filter.values,
  );
  const total = Number(row?.total ?? 0n);
  if (total <= EXACT_TOTAL) return { total, estimated: false };
  const [plan] = await db.queryOnce<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `explain (format json) select from notifications ${where(filter)}`,
    filter.values,
  );
  const estimate = plan?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? total;
  return { total: Math.max(total, estimate), estimated: true };
}

function filterOf(identity: Identity, query: ListQuery): Filter {
  const filter: Filter = { conditions: [], values: [] };
  const username = query.username?.normalize('NFC');
  if (!isStaff(identity)) {
    if (username !== undefined && username !== identity.subject)
      throw new Refusal(403, 'foreign_notifications', 'These are not your own notifications.');
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

function wordOf(name: string, words: readonly string[], text: string): string {
  const word = text.toUpperCase();
  if (words.includes(word)) return word;
  const detail = `must be one of ${words.join(', ')}`;
  throw new Refusal(422, 'invalid_query', `The parameter ${name} ${detail}.`, {
    faults: [{ pointer: `?${name}`, detail }],
  });
}

function add(filter: Filter, comparison: string, value: unknown, cast = ''): void {
  filter.values.push(value);
  filter.conditions.push(`${comparison} $${filter.values.length}${cast}`);
}

function where({ conditions }: Filter): string {
  return conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
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
