/**
 * The demo data of the petstore: pets 1 to 10 with portraits, orders 1 to 3, user1 to user10. What
 * is there already is left alone, so that it may be loaded again.
 */
import { sleep } from '@waybill/kit/clock.ts';
import { newToken } from '@waybill/kit/ids.ts';
import type { Logger } from '@waybill/kit/logger.ts';
import { openApi, refused, type Api } from '../api.ts';
import { drawPortrait, type Animal } from './pictures.ts';

type Colour = readonly [number, number, number];

const CATEGORIES: Readonly<Record<Animal, { readonly id: number; readonly name: string }>> = {
  dog: { id: 1, name: 'Dogs' },
  cat: { id: 2, name: 'Cats' },
  rabbit: { id: 3, name: 'Rabbits' },
  lion: { id: 4, name: 'Lions' },
};

const PETS: readonly (readonly [name: string, Animal, fur: Colour, wall: Colour, tags: string])[] =
  [
    ['Mina', 'cat', [196, 143, 88], [167, 199, 205], 'tag1,tag2'],
    ['Kasimir', 'cat', [120, 122, 130], [214, 190, 196], 'tag2,tag3'],
    ['Schnee', 'cat', [232, 228, 220], [150, 176, 160], 'tag3,tag4'],
    ['Bruno', 'dog', [150, 111, 77], [205, 190, 167], 'tag1,tag2'],
    ['Frida', 'dog', [208, 170, 116], [160, 188, 214], 'tag2,tag3'],
    ['Otto', 'dog', [96, 84, 80], [226, 200, 150], 'tag3,tag4'],
    ['Leo', 'lion', [224, 170, 86], [222, 203, 150], 'tag1,tag2'],
    ['Asante', 'lion', [212, 156, 92], [180, 204, 190], 'tag2,tag3'],
    ['Nala', 'lion', [230, 188, 120], [196, 172, 200], 'tag3,tag4'],
    ['Hoppel', 'rabbit', [206, 200, 192], [180, 205, 170], 'tag3,tag4'],
  ];

/** Each has a pet of its own, and has come so far. */
const ORDERS = [
  { id: 1, petId: 3, steps: [] },
  { id: 2, petId: 5, steps: ['approve'] },
  { id: 3, petId: 6, steps: ['approve', 'deliver'] },
] as const;

const USERS = 10;
const ARRIVAL_MS = 15_000;
const LOOK_MS = 100;

export interface Loaded {
  pets: number;
  orders: number;
  users: number;
  /** Of the users that were made, as of none before: made up anew each time. */
  readonly password: string;
}

/** Whether nobody has used this Waybill yet. */
async function isUnused(api: Api): Promise<boolean> {
  const pets = await api.ask<unknown[]>(
    'GET',
    '/api/v3/pet/findByStatus?status=available,pending,sold',
  );
  const { total } = await api.ask<{ total: number }>('GET', '/api/v1/orders?page_size=1');
  return pets.length === 0 && total === 0;
}

/** Loads what is not there yet, and tells how much that was. */
export async function loadPetstore(api: Api): Promise<Loaded> {
  const loaded: Loaded = { pets: 0, orders: 0, users: 0, password: newToken(12) };
  for (let id = 1; id <= PETS.length; id++) if (await addPet(api, id)) loaded.pets++;
  for (const order of ORDERS) if (await placeOrder(api, order)) loaded.orders++;
  for (let number = 1; number <= USERS; number++)
    if (await addUser(api, number, loaded.password)) loaded.users++;
  return loaded;
}

async function isThere(api: Api, path: string): Promise<boolean> {
  const reply = await api.send('GET', path);
  if (reply.status === 404) return false;
  if (reply.status >= 300) throw refused(reply);
  return true;
}

async function addPet(api: Api, id: number): Promise<boolean> {
  const path = `/api/v3/pet/${id}`;
  if (await isThere(api, path)) return false;
  const [name, animal, fur, wall, tags] = PETS[id - 1] as (typeof PETS)[0];
  const pet = {
    id,
    name,
    category: CATEGORIES[animal],
    photoUrls: [],
    tags: tags.split(',').map((tag) => ({ id: Number(tag.slice(3)), name: tag })),
    status: 'available',
  };
  // Somebody may add one of their own at the same moment: theirs it stays.
  const reply = await api.send('POST', '/api/v3/pet', pet, { 'if-none-match': '*' });
  if (reply.status === 412) return false;
  if (reply.status >= 300) throw refused(reply);
  await api.ask('POST', `${path}/uploadImage`, drawPortrait(animal, fur, wall));
  return true;
}

async function placeOrder(api: Api, { id, petId, steps }: (typeof ORDERS)[number]) {
  const path = `/api/v3/store/order/${id}`;
  if (await isThere(api, path)) return false;
  const reply = await api.send('POST', '/api/v3/store/order', { id, petId, quantity: 1 });
  // The pet is somebody else's by now, or the order was cancelled: it stays as it is.
  if (reply.status === 409) return false;
  if (reply.status >= 300) throw refused(reply);
  for (let waited = 0; waited < ARRIVAL_MS && !(await isThere(api, path)); waited += LOOK_MS)
    await sleep(LOOK_MS);
  for (const step of steps) await api.ask('POST', `/api/v1/orders/${id}/${step}`);
  return true;
}

async function addUser(api: Api, number: number, password: string): Promise<boolean> {
  const username = `user${number}`;
  if (await isThere(api, `/api/v3/user/${username}`)) return false;
  const reply = await api.send('POST', '/api/v3/user', {
    id: number,
    username,
    firstName: `First ${number}`,
    lastName: `Last ${number}`,
    email: `${username}@example.org`,
    phone: `+49 30 555 00${String(number).padStart(2, '0')}`,
    password,
    userStatus: 1,
  });
  // The name of a user who was deleted is given to nobody else.
  if (reply.status === 409) return false;
  if (reply.status >= 300) throw refused(reply);
  return true;
}

/**
 * In open mode a Waybill that nobody has used shows something. Nobody waits for it, and nothing
 * depends on it: a failure is told and forgotten.
 */
export async function loadWhenUnused(url: string, log: Logger): Promise<void> {
  const api = openApi({ url });
  try {
    if (await isUnused(api)) await loadPetstore(api);
  } catch (error) {
    log.warn({ reason: (error as Error).message }, 'the demo data could not be loaded');
  } finally {
    await api.close();
  }
}
