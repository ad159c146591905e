/** What can be done with profiles: make, change, withdraw, erase. */
import type { Tx } from '@waybill/kit/db.ts';
import { Refusal } from '@waybill/kit/errors.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import type { Json } from '@waybill/kit/json.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import type {
  AmendProfile,
  ProfileEvent,
  ProfileEventType,
  RegisterProfile,
  ReplaceProfile,
} from './contract.ts';
import { changedFields, detailsOf, versionOf } from './rules.ts';
import {
  emptyProfile,
  enterRegistration,
  findProfile,
  insertProfile,
  lockProfile,
  updateProfile,
  type Details,
  type ProfileRow,
} from './store.ts';

/** Makes a profile for somebody (staff's door). */
export async function createProfile(
  { db }: ServiceContext,
  username: string,
  body: ReplaceProfile,
  idempotency: IdempotencyKey | undefined,
): Promise<{ row: ProfileRow; replayed: boolean }> {
  const name = username.normalize('NFC');
  return db.transaction(async (tx) => {
    // What is kept is the name alone: contact data lies in one place, from which it can be erased.
    if (idempotency !== undefined && (await claimKey(tx, idempotency)) !== undefined)
      return { row: await requireProfile(tx, name), replayed: true };
    const row = await insertProfile(tx, name, detailsOf(body), null);
    if (row === undefined) throw taken();
    await tell(tx, 'PROFILE_CREATED', row, Object.keys(detailsOf(body)));
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 201, response: name });
    return { row, replayed: false };
  });
}

/** Replaces a profile as a whole. */
export async function replaceProfile(
  context: ServiceContext,
  identity: Identity,
  username: string,
  body: ReplaceProfile,
  ifMatch: string | undefined,
): Promise<ProfileRow> {
  const name = ownName(identity, username);
  if (body.username !== undefined && body.username.normalize('NFC') !== name)
    throw new Refusal(422, 'invalid_body', 'A user name is for ever.', {
      faults: [{ pointer: '/username', detail: 'must be the one in the path' }],
    });
  return change(context, name, ifMatch, () => detailsOf(body));
}

/** Changes the given fields alone, for another service. */
export function amendProfile(
  context: ServiceContext,
  username: string,
  body: AmendProfile,
): Promise<ProfileRow> {
  return change(context, username.normalize('NFC'), undefined, (before) => ({
    ...before,
    ...body,
  }));
}

async function change(
  { db }: ServiceContext,
  name: string,
  ifMatch: string | undefined,
  make: (before: Details) => Details,
): Promise<ProfileRow> {
  return db.transaction(async (tx) => {
    const before = await lockProfile(tx, name);
    if (before?.state !== 'ACTIVE') throw unknown();
    const wanted = versionOf(ifMatch, before.version);
    if (wanted !== before.version)
      throw new Refusal(412, 'profile_changed', 'The profile was changed since it was read.');
    const { email, phone, first_name, last_name, addresses } = before;
    const after = make({ email, phone, first_name, last_name, addresses });
    const changed = changedFields(before, after);
    if (changed.length === 0) return before;
    const row = await updateProfile(tx, name, after, before.version);
    if (row === undefined) throw new Error(`the profile of ${name} changed under its lock`);
    await tell(tx, 'PROFILE_UPDATED', row, changed);
    return row;
  });
}

/** Reads a profile; a customer's own alone. */
export function readProfile(
  { db }: ServiceContext,
  identity: Identity,
  username: string,
): Promise<ProfileRow> {
  return requireProfile(db, ownName(identity, username));
}

/** Erases a person's data for ever; asked again it says when that was. */
export async function eraseProfile(
  { db }: ServiceContext,
  identity: Identity,
  username: string,
): Promise<ProfileRow> {
  const name = ownName(identity, username);
  return db.transaction(async (tx) => {
    const row = await emptyProfile(tx, name, 'ERASED');
    if (row !== undefined) {
      await tell(tx, 'PROFILE_ERASED', row, []);
      return row;
    }
    const before = await findProfile(tx, name);
    if (before?.state !== 'ERASED') throw unknown();
    return before;
  });
}

/** Makes the profile of a registration; the same one again changes nothing. */
export async function registerProfile(
  { db }: ServiceContext,
  body: RegisterProfile,
): Promise<{ row: ProfileRow; made: boolean }> {
  const { registration_id: registrationId, ...given } = body;
  const name = body.username.normalize('NFC');
  const details: Details = {
    email: given.email ?? null,
    phone: given.phone ?? null,
    first_name: given.first_name ?? null,
    last_name: given.last_name ?? null,
    addresses: [],
  };
  return db.transaction(async (tx) => {
    if (await enterRegistration(tx, registrationId, false))
      throw new Refusal(409, 'registration_withdrawn', 'This registration was undone.');
    const row = await insertProfile(tx, name, details, registrationId);
    if (row !== undefined) {
      await tell(tx, 'PROFILE_CREATED', row, Object.keys(details));
      return { row, made: true };
    }
    const before = await findProfile(tx, name);
    if (before?.state !== 'ACTIVE' || before.registration_id !== registrationId) throw taken();
    return { row: before, made: false };
  });
}

/** Undoes what a registration made, and what it may still make. */
export async function withdrawProfile(
  { db }: ServiceContext,
  username: string,
  registrationId: string,
): Promise<boolean> {
  const name = username.normalize('NFC');
  return db.transaction(async (tx) => {
    await enterRegistration(tx, registrationId, true);
    const row = await emptyProfile(tx, name, 'WITHDRAWN', registrationId);
    if (row !== undefined) await tell(tx, 'PROFILE_WITHDRAWN', row, []);
    return row !== undefined;
  });
}

/** The name, when the caller may act for it; to a customer nobody else has a profile. */
function ownName(identity: Identity, username: string): string {
  const name = username.normalize('NFC');
  if (!isStaff(identity) && name !== identity.subject) throw unknown();
  return name;
}

async function requireProfile(db: Pick<Tx, 'query' | 'queryOnce'>, name: string) {
  const row = await findProfile(db, name);
  if (row?.state !== 'ACTIVE') throw unknown();
  return row;
}

async function tell(
  tx: Tx,
  type: ProfileEventType,
  { username, version }: ProfileRow,
  changed: readonly string[],
): Promise<void> {
  const data: ProfileEvent = { username, changed };
  await emit(tx, 'customers', [{ key: username, version, type, data: data as unknown as Json }]);
}

function unknown(): Refusal {
  return new Refusal(
    404,
    'profile_not_found',
    'There is no profile of this name that you may see.',
  );
}

/** Also where the profile was erased: its name is never given to anybody else. */
function taken(): Refusal {
  return new Refusal(409, 'profile_exists', 'The user name is taken.');
}
