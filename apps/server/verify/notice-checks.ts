/** Profiles that are empty when they should be, and what people were told. */
import type { Check } from './check.ts';

export const noticeChecks: readonly Check[] = [
  {
    id: 'profile-not-empty',
    title: 'A profile was erased or withdrawn, and still holds something of its person.',
    kind: 'safety',
    sql: `select username, state from profile_rows
      where state <> 'ACTIVE' and (email is not null or phone is not null
        or first_name is not null or last_name is not null or addresses::text <> '[]')`,
  },
  {
    id: 'person-not-forgotten',
    title: 'A person was erased, and what they were told before is still there.',
    kind: 'liveness',
    sql: `select p.username, count(*) as notifications from profile_rows p
      join notification_rows n on n.username = p.username and n.created_at <= p.updated_at
      where p.state = 'ERASED' group by p.username`,
  },
  {
    id: 'sending-lost',
    title: 'A notification waits to be sent, and nobody will send it.',
    kind: 'safety',
    sql: `select s.notification_id, s.channel from sending_rows s
      where s.state = 'WAITING' and not exists (
        select from all_tasks t where t.service = 'notifications'
          and t.kind = 'notifications.' || s.channel and t.key = s.notification_id::text)`,
  },
  {
    id: 'sending-keeps-contact',
    title: 'A sending is over, and still knows the address or the link that was in it.',
    kind: 'safety',
    sql: `select s.notification_id, s.channel from sending_rows s
      where s.state <> 'WAITING' and s.address is not null
      union all
      select n.id, null from notification_rows n
      where n.data is not null and not exists (select from sending_rows s
        where s.notification_id = n.id and s.state = 'WAITING')`,
  },
];

/** What the checks read, empty for services that have no tables here. */
export function noticeRelations(services: readonly string[]): string {
  const view = (name: string, service: string, columns: Record<string, string>, table: string) => {
    const here = services.includes(service);
    const list = Object.entries(columns).map(([column, type]) =>
      here ? column : `null::${type} as ${column}`,
    );
    const from = here ? `from ${service}.${table}` : 'where false';
    return `create temp view ${name} as select ${list.join(', ')} ${from};`;
  };
  return [
    view(
      'profile_rows',
      'customers',
      {
        username: 'text',
        state: 'text',
        email: 'text',
        phone: 'text',
        first_name: 'text',
        last_name: 'text',
        addresses: 'json',
        updated_at: 'timestamptz',
      },
      'profiles',
    ),
    view(
      'notification_rows',
      'notifications',
      { id: 'uuid', username: 'text', data: 'json', created_at: 'timestamptz' },
      'notifications',
    ),
    view(
      'sending_rows',
      'notifications',
      { notification_id: 'uuid', channel: 'text', state: 'text', address: 'text' },
      'sendings',
    ),
  ].join('\n');
}
