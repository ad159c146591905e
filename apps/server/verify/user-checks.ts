/** Users with what belongs to them, and their sessions. */
import type { Check } from './check.ts';

export const userChecks: readonly Check[] = [
  {
    id: 'registration-open',
    title: 'A registration is neither completed nor undone.',
    kind: 'liveness',
    pending: true,
    sql: `select id, username, state, created_at from user_rows
      where state in ('registering', 'undoing')`,
  },
  {
    id: 'user-half',
    title: 'A customer may log in, and has no profile or no wallet.',
    kind: 'liveness',
    sql: `select u.id, u.username, p.state as profile, w.username is not null as wallet
      from user_rows u
      left join person_profiles p on p.username = u.username
      left join person_wallets w on w.username = u.username
      where u.state = 'active' and 'customer' = any(u.roles)
        and ((exists (select from parts where name = 'customers') and p.state is null)
          or (exists (select from parts where name = 'billing') and w.username is null))`,
  },
  {
    id: 'user-not-erased',
    title: 'A profile was erased, and its user may log in or is still known.',
    kind: 'liveness',
    sql: `select u.id, u.username, u.state, u.email is not null as email from user_rows u
      join person_profiles p on p.username = u.username
      where p.state = 'ERASED' and (u.state in ('active', 'disabled') or u.email is not null)`,
  },
  {
    id: 'session-of-nobody',
    title: 'Somebody who may not log in has a session.',
    kind: 'safety',
    sql: `select s.id as session_id, u.id as user_id, u.state from user_sessions s
      join user_rows u on u.id = s.user_id
      where s.revoked_at is null and s.expires_at > now() and u.state <> 'active'`,
  },
  {
    id: 'refresh-token-twice',
    title: 'A session can be carried on by two refresh tokens.',
    kind: 'safety',
    sql: `select session_id, count(*) as tokens from refresh_token_rows
      where used_at is null group by session_id having count(*) > 1`,
  },
];

/** What the checks read, empty for services that have no tables here. */
export function userRelations(services: readonly string[]): string {
  const view = (name: string, service: string, columns: Record<string, string>, from: string) => {
    const here = services.includes(service);
    const list = Object.entries(columns).map(([column, type]) =>
      here ? column : `null::${type} as ${column}`,
    );
    return `create temp view ${name} as select ${list.join(', ')} ${here ? from : 'where false'};`;
  };
  const names = services.map((name) => `('${name}')`).join(', ');
  return [
    `create temp view parts (name) as values ${names};`,
    view(
      'user_rows',
      'auth',
      {
        id: 'uuid',
        username: 'text',
        email: 'text',
        roles: 'text[]',
        state: 'text',
        created_at: 'timestamptz',
      },
      'from auth.users',
    ),
    view(
      'user_sessions',
      'auth',
      { id: 'uuid', user_id: 'uuid', revoked_at: 'timestamptz', expires_at: 'timestamptz' },
      'from auth.sessions',
    ),
    view(
      'refresh_token_rows',
      'auth',
      { session_id: 'uuid', used_at: 'timestamptz' },
      'from auth.refresh_tokens',
    ),
    view(
      'person_profiles',
      'customers',
      { username: 'text', state: 'text' },
      "from customers.profiles where state <> 'WITHDRAWN'",
    ),
    view(
      'person_wallets',
      'billing',
      { username: 'text' },
      "from billing.accounts where kind = 'wallet'",
    ),
  ].join('\n');
}
