/** The people's part of the faultless day: who may log in, who may not any more, and sessions. */
import type pg from 'pg';

interface CleanUser {
  readonly id: string;
  readonly username: string;
  readonly roles: readonly string[];
  readonly state: 'active' | 'disabled' | 'erased';
  /** The state of the profile, if there is one. */
  readonly profile?: 'ACTIVE' | 'ERASED';
}

const idOf = (last: string) => `01980000-0000-7000-8000-00000000${last}`;

/** Anna, whose wallet is in the ledger; the desk; and two who may not log in. */
export const people = {
  anna: {
    id: idOf('e001'),
    username: 'anna',
    roles: ['customer'],
    state: 'active',
    profile: 'ACTIVE',
  },
  desk: { id: idOf('e002'), username: 'desk', roles: ['operator'], state: 'active' },
  dora: {
    id: idOf('e003'),
    username: 'dora',
    roles: ['customer'],
    state: 'disabled',
    profile: 'ACTIVE',
  },
  erased: { id: idOf('e004'), username: 'erased', roles: [], state: 'erased', profile: 'ERASED' },
} as const satisfies Record<string, CleanUser>;

/** Writes users with their events, profiles, and a session for each. */
export async function writeUsers(client: pg.Client): Promise<void> {
  for (const user of Object.values<CleanUser>(people)) {
    const { id, username, roles, state, profile } = user;
    const email = state === 'erased' ? null : `${username}@example.com`;
    const version = state === 'active' ? 1 : 2;
    await client.query(
      `insert into auth.users (id, number, username, name_key, email, email_key, roles, state,
         version)
       values ($1, nextval('auth.user_numbers'), $2, $2, $3, $3, $4, $5, $6)`,
      [id, username, email, roles, state, version],
    );
    await client.query(
      `insert into auth.log (key, version, type, data)
       select $1, n, 'SOMETHING', '{}' from generate_series(1, $2) n`,
      [id, version],
    );
    if (profile !== undefined) await writeProfile(client, username, profile, email);
    await writeSession(client, user);
  }
}

async function writeProfile(
  client: pg.Client,
  username: string,
  state: 'ACTIVE' | 'ERASED',
  email: string | null,
): Promise<void> {
  const version = state === 'ACTIVE' ? 1 : 2;
  await client.query(
    `insert into customers.profiles (username, state, email, version) values ($1, $2, $3, $4)`,
    [username, state, state === 'ACTIVE' ? email : null, version],
  );
  await client.query(
    `insert into customers.log (key, version, type, data)
     select $1, n, 'SOMETHING', '{}' from generate_series(1, $2) n`,
    [username, version],
  );
}

/** Carried on once; the user's id is the session's, too. */
async function writeSession(client: pg.Client, { id, state }: CleanUser): Promise<void> {
  await client.query(
    `insert into auth.sessions (id, user_id, expires_at, revoked_at)
     values ($1, $1, now() + interval '7 days', case when $2 = 'active' then null else now() end)`,
    [id, state],
  );
  await client.query(
    `insert into auth.refresh_tokens (hash, session_id, expires_at, used_at) values
       (sha256($2), $1, now() + interval '6 days', now()),
       (sha256($3), $1, now() + interval '7 days', null)`,
    [id, Buffer.from(`${id} 1`), Buffer.from(`${id} 2`)],
  );
}
