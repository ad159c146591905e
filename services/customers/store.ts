/** Every statement on profiles. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import type { Address, Contact, Profile } from './contract.ts';

/** What a profile holds of a person. */
export interface Details {
  readonly email: string | null;
  readonly phone: string | null;
  readonly first_name: string | null;
  readonly last_name: string | null;
  readonly addresses: readonly Address[];
}

export interface ProfileRow extends Details {
  readonly username: string;
  readonly state: 'ACTIVE' | 'WITHDRAWN' | 'ERASED';
  readonly registration_id: string | null;
  readonly version: number;
  readonly updated_at: string;
}

const COLUMNS = `username, state, email, phone, first_name, last_name, addresses, registration_id,
  version, updated_at`;

/**
 * Makes a profile where there is none, or where one was withdrawn. Nothing is returned when the
 * name is taken.
 */
export async function insertProfile(
  tx: Tx,
  username: string,
  details: Details,
  registrationId: string | null,
): Promise<ProfileRow | undefined> {
  const rows = await tx.query<ProfileRow>(
    `insert into profiles (username, state, email, phone, first_name, last_name, addresses,
       registration_id, version)
     values ($1, 'ACTIVE', $2, $3, $4, $5, $6, $7, 1)
     on conflict (username) do update set state = 'ACTIVE', email = excluded.email,
       phone = excluded.phone, first_name = excluded.first_name, last_name = excluded.last_name,
       addresses = excluded.addresses, registration_id = excluded.registration_id,
       version = profiles.version + 1, updated_at = now()
     where profiles.state = 'WITHDRAWN'
     returning ${COLUMNS}`,
    [username, ...valuesOf(details), registrationId],
  );
  return rows[0];
}

/** Changes an active profile; with a version only that one. */
export async function updateProfile(
  tx: Tx,
  username: string,
  details: Details,
  version: number | null,
): Promise<ProfileRow | undefined> {
  const rows = await tx.query<ProfileRow>(
    `update profiles set email = $2, phone = $3, first_name = $4, last_name = $5, addresses = $6,
       version = version + 1, updated_at = now()
     where username = $1 and state = 'ACTIVE' and version = coalesce($7, version)
     returning ${COLUMNS}`,
    [username, ...valuesOf(details), version],
  );
  return rows[0];
}

/** Takes everything out of an active profile; with a registration only of the one it made. */
export async function emptyProfile(
  tx: Tx,
  username: string,
  state: 'WITHDRAWN' | 'ERASED',
  registrationId: string | null = null,
): Promise<ProfileRow | undefined> {
  const rows = await tx.query<ProfileRow>(
    `update profiles set state = $2, email = null, phone = null, first_name = null,
       last_name = null, addresses = '[]', version = version + 1, updated_at = now()
     where username = $1 and state = 'ACTIVE' and ($3::text is null or registration_id = $3)
     returning ${COLUMNS}`,
    [username, state, registrationId],
  );
  return rows[0];
}

export async function findProfile(
  db: Queryable,
  username: string,
): Promise<ProfileRow | undefined> {
  const rows = await db.query<ProfileRow>(`select ${COLUMNS} from profiles where username = $1`, [
    username,
  ]);
  return rows[0];
}

export async function lockProfile(tx: Tx, username: string): Promise<ProfileRow | undefined> {
  const rows = await tx.query<ProfileRow>(
    `select ${COLUMNS} from profiles where username = $1 for update`,
    [username],
  );
  return rows[0];
}

/**
 * Enters a registration, or waits for whoever works on the same one. True: it was withdrawn, now
 * or before.
 */
export async function enterRegistration(
  tx: Tx,
  registrationId: string,
  withdraw: boolean,
): Promise<boolean> {
  const [row] = await tx.query<{ withdrawn: boolean }>(
    `insert into registrations (registration_id, withdrawn) values ($1, $2)
     on conflict (registration_id) do update
     set withdrawn = registrations.withdrawn or excluded.withdrawn
     returning withdrawn`,
    [registrationId, withdraw],
  );
  return row?.withdrawn ?? false;
}

/** Forgets registrations of which no request can be under way any more. */
export async function trimRegistrations(db: Queryable): Promise<void> {
  await db.query(
    `delete from registrations where registration_id in (
       select registration_id from registrations
       where created_at < now() - interval '30 days' limit 5000)`,
  );
}

export function renderProfile(row: ProfileRow): Profile {
  return {
    username: row.username,
    email: row.email,
    phone: row.phone,
    ...(row.first_name === null ? {} : { firstName: row.first_name }),
    ...(row.last_name === null ? {} : { lastName: row.last_name }),
    addresses: [...row.addresses],
  };
}

export function renderContact(row: ProfileRow): Contact {
  const { username, email, phone, first_name, last_name } = row;
  return { username, email, phone, first_name, last_name };
}

function valuesOf({ email, phone, first_name, last_name, addresses }: Details): unknown[] {
  return [email, phone, first_name, last_name, JSON.stringify(addresses)];
}
