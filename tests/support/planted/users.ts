/** Faults in users, what belongs to them, and their sessions. */
import { people } from '../clean-users.ts';
import type { Plant } from './plant.ts';

const user = (set: string, { id }: { id: string }) =>
  `update auth.users set ${set} where id = '${id}';`;
const { anna, desk, dora, erased } = people;

export const userFaults: readonly Plant[] = [
  {
    check: 'registration-open',
    name: 'its process died and nobody undid it',
    sql: user("state = 'registering'", desk),
    also: ['session-of-nobody'],
  },
  {
    check: 'registration-open',
    name: 'nobody finished undoing it',
    sql: user("state = 'undoing'", desk),
    also: ['session-of-nobody'],
  },
  {
    check: 'user-half',
    name: 'there is no profile',
    sql: `update customers.profiles set state = 'WITHDRAWN', email = null
      where username = '${anna.username}'`,
  },
  {
    check: 'user-half',
    name: 'there is no wallet',
    sql: user("roles = '{operator,customer}'", desk),
  },
  {
    check: 'user-not-erased',
    name: 'who was erased may log in',
    sql: user("state = 'active'", erased),
  },
  {
    check: 'user-not-erased',
    name: 'who was erased is still known',
    sql: user("email = 'x@example.com', email_key = 'x@example.com'", erased),
  },
  {
    check: 'session-of-nobody',
    name: 'of somebody who was disabled',
    sql: `update auth.sessions set revoked_at = null where user_id = '${dora.id}'`,
  },
  {
    check: 'refresh-token-twice',
    name: 'one that was used is good again',
    sql: `update auth.refresh_tokens set used_at = null where session_id = '${anna.id}'`,
  },
];

/** What looks like a fault and is none. */
export const harmlessUsers: readonly Omit<Plant, 'check'>[] = [
  {
    name: 'a session that has run out',
    sql: `update auth.sessions set revoked_at = null, expires_at = now()
      where user_id = '${dora.id}'`,
  },
];
