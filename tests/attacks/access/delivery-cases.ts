/** Whose things are whose behind the doors of chapter A. */
import { orderWith } from '../client.ts';
import type { Case, Declarations, Target } from './cases.ts';
import { adam, type AccessPlatform, type Person } from './platform.ts';

/** An order of the owner's that is paid, so that nothing changes it any more. */
export async function placeOrder(platform: AccessPlatform, owner: Person) {
  const body = orderWith({ customer_id: owner.name });
  const answer = await platform.send(owner, { method: 'POST', path: '/api/v1/orders', body });
  const { id, number } = answer.json as { id: string; number: number };
  const look = `/api/v1/orders/${id}`;
  for (;;) {
    const order = await platform.send(adam, { path: look });
    if (order.json['status'] === 'CONFIRMED') return { id, number, look };
    await new Promise((done) => setTimeout(done, 50));
  }
}

type Name = 'id' | 'number';

const orderBy = (name: Name, own: number): Case => ({
  own,
  foreign: 404,
  async make(platform, owner): Promise<Target> {
    const order = await placeOrder(platform, owner);
    return { path: { id: order[name] }, look: order.look, hidden: order.id };
  },
});

/** Also for other doors to the same orders. */
export const order = (own: number): readonly Case[] => [orderBy('id', own), orderBy('number', own)];

const list = (query: (owner: Person) => Record<string, string>): Case => ({
  own: 200,
  foreign: 200,
  async make(platform, owner) {
    const { id } = await placeOrder(platform, owner);
    return { query: query(owner), hidden: id };
  },
});

export const deliveryCases: Declarations = {
  'POST /api/v1/orders': {
    own: 202,
    foreign: 403,
    make: (_platform, { name }) => ({
      body: orderWith({ customer_id: name }),
      look: `/api/v1/orders?customer_id=${name}`,
    }),
  },
  'GET /api/v1/orders': [
    list(() => ({})),
    list(({ name }) => ({ customer_id: name })),
    list(({ name }) => ({ q: name })),
  ],
  'GET /api/v1/orders/{id}': order(200),
  'POST /api/v1/orders/{id}/cancel': order(200),
};
