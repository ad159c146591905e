/** Whose things are whose behind the doors of chapter C. */
import type { Case, Declarations } from './cases.ts';
import { adam, type AccessPlatform, type Person } from './platform.ts';

const STORE = '/api/v3/store/order';

async function addPet(platform: AccessPlatform): Promise<number> {
  const body = { name: 'Rex', photoUrls: [], status: 'available' };
  const answer = await platform.send(adam, { method: 'POST', path: '/api/v3/pet', body });
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json['id'] as number;
}

async function orderPet(platform: AccessPlatform, owner: Person): Promise<number> {
  const body = { petId: await addPet(platform) };
  const answer = await platform.send(owner, { method: 'POST', path: STORE, body });
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json['id'] as number;
}

const order: Case = {
  own: 200,
  foreign: 404,
  async make(platform, owner) {
    const orderId = await orderPet(platform, owner);
    return { path: { orderId }, look: `/api/v1/orders/${orderId}` };
  },
};

const USERS = '/api/v3/user';
const PASSWORD = 'correct horse battery staple';

const user = (body?: object): Case => ({
  own: 200,
  foreign: 404,
  async make(platform, { name: username }) {
    const email = `${username}@example.com`;
    const made = { username, email, password: PASSWORD };
    const answer = await platform.send(undefined, { method: 'POST', path: USERS, body: made });
    if (answer.status !== 200) throw new Error(answer.text);
    const look = `${USERS}/${username}`;
    return { path: { username }, hidden: email, look, ...(body === undefined ? {} : { body }) };
  },
});

export const petstoreCases: Declarations = {
  'GET /api/v3/pet/{petId}': 'pets are in the window',
  'GET /api/v1/photos/{id}': 'photos are of pets',
  'GET /api/v1/photos/{id}/thumbnail': 'photos are of pets',
  [`POST ${STORE}`]: {
    own: 200,
    foreign: 403,
    async make(platform, { name: username }) {
      const petId = await addPet(platform);
      return { body: { petId }, query: { username }, look: `/api/v3/pet/${petId}` };
    },
  },
  [`POST ${USERS}`]: 'makes somebody new, and nobody of whoever is there',
  [`POST ${USERS}/createWithList`]: 'makes somebody new, and nobody of whoever is there',
  [`GET ${USERS}/login`]: 'whoever knows the password is the person',
  [`GET ${USERS}/{username}`]: user(),
  [`PUT ${USERS}/{username}`]: user({ firstName: 'Eve' }),
  [`DELETE ${USERS}/{username}`]: user(),
  [`GET ${STORE}/{orderId}`]: order,
  [`DELETE ${STORE}/{orderId}`]: order,
};
