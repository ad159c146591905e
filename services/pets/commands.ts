/** What the owner of the shop does with pets: add, update, delete. */
import { Refusal } from '@waybill/kit/errors.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { enqueue } from '@waybill/kit/tasks.ts';
import type { PetsContext } from './context.ts';
import type { PetChanged, PetEventType, PetInput, PetStatus, WireStatus } from './contract.ts';
import { unknownPet } from './reservations.ts';
import { afterRequest, fromWire, refuseHeld } from './rules.ts';
import {
  allotId,
  erasePet,
  insertPet,
  lockPet,
  renderPet,
  replacePet,
  type PetRow,
} from './store.ts';

/** Tells the photo service of a pet's photos. */
export const REGISTER_PHOTOS = 'register photos';

/** A pet as JSON text: a repeat gets the same bytes. */
export interface Saved {
  readonly pet: string;
  readonly replayed: boolean;
}

/**
 * Adds a pet; one whose id is there already is updated under the rules of `updatePet`, unless the
 * caller wants to add or nothing.
 */
export function addPet(
  context: PetsContext,
  input: PetInput,
  addOnly: boolean,
  idempotency: IdempotencyKey | undefined,
): Promise<Saved> {
  return once(context, idempotency, async (tx) => {
    const { id: given = 0 } = input;
    // An id that is neither there nor free was added or deleted by somebody else in between.
    for (let turn = 0; turn < 3; turn++) {
      const id = given === 0 ? await freshId(tx) : given;
      const row = given === 0 ? undefined : await lockPet(tx, id);
      if (row !== undefined && addOnly)
        throw new Refusal(412, 'pet_exists', 'There is such a pet already.');
      if (row !== undefined) return replace(tx, row, input);
      const created = await create(tx, id, input);
      if (created !== undefined) return created;
    }
    throw new Refusal(409, 'pet_changing', 'The pet is being added and deleted; try again.');
  });
}

/** Replaces a pet's content: what the request leaves out is gone, but for the status. */
export async function updatePet(context: PetsContext, id: number, input: PetInput) {
  const row = await context.db.transaction(async (tx) => replace(tx, await locked(tx, id), input));
  return renderPet(row);
}

/** Changes name or status alone. */
export function renamePet(
  context: PetsContext,
  id: number,
  change: { readonly name: string | undefined; readonly status: WireStatus | undefined },
  idempotency: IdempotencyKey | undefined,
): Promise<Saved> {
  return once(context, idempotency, async (tx) => {
    const row = await locked(tx, id);
    const { name = row.name, status } = change;
    return replace(tx, row, {
      ...contentOf(row),
      name,
      ...(status === undefined ? {} : { status }),
    });
  });
}

/** Deletes a pet, unless an order holds it. */
export async function deletePet(context: PetsContext, id: number): Promise<void> {
  await context.db.transaction(async (tx) => {
    const row = await locked(tx, id);
    refuseHeld({ status: row.status, held: row.reservation_id !== null });
    await erasePet(tx, row);
    await tell(tx, { ...row, version: row.version + 1 }, 'PET_DELETED', row.status, null);
    await registerPhotos(tx, id, row.version + 1);
  });
}

/** Adds a photo to a locked pet's own. */
export async function addPhotoUrl(tx: Tx, row: PetRow, url: string): Promise<PetRow> {
  const content = contentOf(row);
  return replace(tx, row, { ...content, photoUrls: [...content.photoUrls, url] });
}

/** Runs the change once per idempotency key. */
function once(
  context: PetsContext,
  idempotency: IdempotencyKey | undefined,
  change: (tx: Tx) => Promise<PetRow>,
): Promise<Saved> {
  return context.db.transaction(async (tx) => {
    const kept = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (kept !== undefined) return { pet: kept.response, replayed: true };
    const pet = JSON.stringify(renderPet(await change(tx)));
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 200, response: pet });
    return { pet, replayed: false };
  });
}

async function locked(tx: Tx, id: number): Promise<PetRow> {
  const row = await lockPet(tx, id);
  if (row === undefined) throw unknownPet();
  return row;
}

/** Each further look takes a hundred times as many ids, should clients have taken a range. */
async function freshId(tx: Tx): Promise<number> {
  for (const among of [1, 100, 10_000]) {
    const id = await allotId(tx, among);
    if (id !== undefined) return id;
  }
  throw new Error('the next 10,000 ids of pets are taken');
}

async function create(tx: Tx, id: number, input: PetInput): Promise<PetRow | undefined> {
  const status = fromWire(input.status ?? 'available');
  const row = await insertPet(tx, id, input, status);
  if (row === undefined) return undefined;
  await tell(tx, row, 'PET_CREATED', null, status);
  if (row.photo_urls.length > 0) await registerPhotos(tx, id, row.version);
  return row;
}

async function replace(tx: Tx, before: PetRow, input: PetInput): Promise<PetRow> {
  const state = { status: before.status, held: before.reservation_id !== null };
  const status = afterRequest(state, input.status);
  const row = await replacePet(tx, before, input, status);
  await tell(tx, row, 'PET_UPDATED', before.status, status);
  if (!sameTexts(before.photo_urls, row.photo_urls))
    await registerPhotos(tx, Number(row.id), row.version);
  return row;
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

async function tell(
  tx: Tx,
  row: PetRow,
  type: PetEventType,
  from: PetStatus | null,
  to: PetStatus | null,
): Promise<void> {
  const data: PetChanged = { pet_id: Number(row.id), name: row.name, from, to };
  await emit(tx, 'pets', [{ key: String(row.id), version: row.version, type, data: { ...data } }]);
}

/**
 * The call to the photo service is made after the commit, and again until it has been answered:
 * whoever dies in between, and whatever is away, no photo stays unregistered. Each version has a
 * task of its own, because one that is running may have read the version before.
 */
function registerPhotos(tx: Tx, id: number, version: number): Promise<void> {
  return enqueue(tx, [{ kind: REGISTER_PHOTOS, key: `${id}:${version}`, payload: { id } }]);
}

function contentOf(row: PetRow): Omit<PetInput, 'id' | 'status'> {
  return {
    name: row.name,
    photoUrls: row.photo_urls,
    tags: row.tags,
    ...(row.category === null || row.category === undefined ? {} : { category: row.category }),
  };
}
