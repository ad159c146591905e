/** What a user may be called, which password will do, how often one may guess. */
import { invalidBody, type Fault } from '@waybill/kit/errors.ts';
import { USER_ROLES, type UserRole } from './contract.ts';

/**
 * - registering: the profile and the wallet account are being made; nobody can log in yet
 * - undoing: making them failed, and what was made is being taken back; then the row goes
 * - active
 * - disabled: by an admin; nobody can log in
 * - erased: for ever; the row keeps the name from being used again
 */
export type UserState = 'registering' | 'undoing' | 'active' | 'disabled' | 'erased';

/** What two names are compared by: equal for all spellings of one name. */
export function nameKeyOf(username: string): string {
  return username.normalize('NFKC').toLowerCase().normalize('NFKC');
}

/** What two e-mail addresses are compared by. */
export function emailKeyOf(email: string): string {
  return email.toLowerCase();
}

/** Subjects that are no users, what programs go by, and words of the petstore's paths. */
const NEVER = new Set(
  (
    'anonymous demo-admin analytics auth billing cancellations catalog customers dispatch ' +
    'fulfillment gateway history inventory notifications orders payments pets photos sandbox ' +
    'tracking createwithlist login logout'
  ).split(' '),
);
/** Names that people would take for the house; an admin may give them. */
const OF_THE_HOUSE = new Set(['admin', 'administrator', 'root', 'support', 'system', 'waybill']);

/** Whether nobody may be called this, or nobody who names themselves. */
export function isReserved(username: string, byAdmin: boolean): boolean {
  const key = nameKeyOf(username);
  return NEVER.has(key) || (!byAdmin && OF_THE_HOUSE.has(key));
}

/** 1 kB: beyond what anybody types, and far below what would keep the hash busy. */
const PASSWORD_MAX_BYTES = 1024;

/** What is wrong with a password, at that place of the body; nothing about which characters. */
export function passwordFaults(password: string, minLength: number, pointer: string): Fault[] {
  if (Array.from(password).length < minLength)
    return [{ pointer, detail: `must have at least ${minLength} characters` }];
  if (Buffer.byteLength(password) > PASSWORD_MAX_BYTES)
    return [{ pointer, detail: `must have at most ${PASSWORD_MAX_BYTES} bytes of UTF-8` }];
  return [];
}

/** Refuses with every fault at once, if there is one. */
export function refuseFaults(faults: readonly Fault[]): void {
  if (faults.length > 0) throw invalidBody(faults);
}

/**
 * How often one may guess: `burst` wrong guesses at once, and another every `stepSeconds` (the
 * generic cell rate algorithm). A guess is counted before it is judged, so that a thousand at
 * once are no way around, and given back when it was right.
 */
export interface Allowance {
  readonly stepSeconds: number;
  readonly burst: number;
}

/** One address, whatever the names: a hundred people behind it may all mistype. */
export const BY_ADDRESS: Allowance = { stepSeconds: 6, burst: 100 };
/**
 * One name. Who attacks it can keep its owner waiting for these seconds at most, and not at all
 * where the owner has logged in before: an address that is known to the user counts for itself.
 */
export const BY_NAME: Allowance = { stepSeconds: 15, burst: 20 };
/** One name, where its owner has logged in before: as many as NIST allows at all (SP 800-63B). */
export const BY_OWN_PLACE: Allowance = { stepSeconds: 15, burst: 100 };
/** Mails about a forgotten password to one user: three at once, then one an hour. */
export const BY_MAILBOX: Allowance = { stepSeconds: 3600, burst: 3 };

/** Roles in their one order, each once. */
export function orderRoles(roles: Iterable<string>): UserRole[] {
  const held = new Set(roles);
  return USER_ROLES.filter((role) => held.has(role));
}
