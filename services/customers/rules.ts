/** What a profile holds, and how a new one differs from the last. */
import { Refusal } from '@waybill/kit/errors.ts';
import type { Address, ReplaceProfile } from './contract.ts';

interface Details {
  readonly email: string | null;
  readonly phone: string | null;
  readonly first_name: string | null;
  readonly last_name: string | null;
  readonly addresses: readonly Address[];
}

/** A profile as the public door words it. */
export function detailsOf(body: Omit<ReplaceProfile, 'username'>): Details {
  return {
    email: body.email,
    phone: body.phone,
    first_name: body.firstName ?? null,
    last_name: body.lastName ?? null,
    addresses: body.addresses ?? [],
  };
}

/** The names of the fields that differ, in a fixed order. */
export function changedFields(before: Details, after: Details): string[] {
  const plain = ['email', 'phone', 'first_name', 'last_name'] as const;
  const changed: string[] = plain.filter((field) => before[field] !== after[field]);
  const same =
    before.addresses.length === after.addresses.length &&
    before.addresses.every((address, index) => isSame(address, after.addresses[index]));
  return same ? changed : [...changed, 'addresses'];
}

function isSame(one: Address, other: Address | undefined): boolean {
  const names = new Set([...Object.keys(one), ...Object.keys(other ?? {})]);
  return [...names].every((name) => one[name as keyof Address] === other?.[name as keyof Address]);
}

/** The version that If-Match asks for; any when it is not given. */
export function versionOf(ifMatch: string | undefined, present: number): number {
  if (ifMatch === undefined || ifMatch.trim() === '*') return present;
  const tags = ifMatch.split(',').map((tag) => /^\s*"([1-9]\d{0,9})"\s*$/.exec(tag)?.[1]);
  if (tags.includes(undefined))
    throw new Refusal(400, 'invalid_if_match', 'If-Match must hold the ETag of a profile, or *.');
  return tags.includes(String(present)) ? present : Number(tags[0]);
}
