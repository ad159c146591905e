/** Whose things are whose in chapter B; who names another's wallet or order gets 403 there. */
import type { Case, Declarations, Target } from './cases.ts';
import { order, placeOrder } from './delivery-cases.ts';
import { adam, type AccessPlatform, type Person } from './platform.ts';

/** Sends as an admin, and asserts that it was taken. */
async function arrange(platform: AccessPlatform, path: string, body: unknown) {
  const answer = await platform.send(adam, { method: 'POST', path, body });
  if (answer.status >= 300) throw new Error(`${path} ${answer.status} ${answer.text}`);
  return answer.json;
}

const ACCOUNT = '/api/v1/billing/account';

async function openWallet(platform: AccessPlatform, { name: username }: Person) {
  await arrange(platform, `${ACCOUNT}/new`, { username });
  const deposit = { type: 'DEPOSIT', amount: 150, account: { username } };
  await arrange(platform, `${ACCOUNT}/operate`, deposit);
  return `${ACCOUNT}/full?username=${username}`;
}

const wallet = (target: (owner: Person) => Target): Case => ({
  own: 200,
  foreign: 403,
  make: async (platform, owner) => ({ look: await openWallet(platform, owner), ...target(owner) }),
});

const ownWallet: Case = {
  own: 200,
  // Nobody is named, and who asks has none.
  foreign: 404,
  make: async (platform, owner) => ({ look: await openWallet(platform, owner) }),
};

const operate = (type: string) =>
  wallet(({ name }) => ({ body: { type, amount: 1, account: { username: name } } }));
const named = wallet(({ name }) => ({ query: { username: name } }));

function walletCases(base: string): Declarations {
  return {
    [`POST ${base}/operate`]: [operate('DEPOSIT'), operate('WITHDRAW')],
    [`GET ${base}/balance`]: [named, ownWallet],
    [`GET ${base}/full`]: [named, ownWallet],
  };
}

const PROFILE = { email: 'ada@example.com', phone: '+15550100' };

const profile = (own: number, body?: unknown): Case => ({
  own,
  foreign: 404,
  async make(platform, { name: username }) {
    await arrange(platform, '/api/v1/user', { username, ...PROFILE });
    const look = `/api/v1/user/${username}`;
    return { path: { username }, look, hidden: PROFILE.email, ...(body ? { body } : {}) };
  },
});

async function notify(platform: AccessPlatform, { name: username }: Person): Promise<string> {
  const text = 'This is for nobody else.';
  const about = { notificationType: 'INFO', parentType: 'USER', contact: PROFILE };
  const left = await arrange(platform, '/api/v1/notification', { ...about, username, text });
  return left['id'] as string;
}

const notifications: readonly Case[] = [
  {
    own: 200,
    foreign: 404,
    make: async (platform, owner) => ({
      hidden: await notify(platform, owner),
      query: { username: owner.name },
    }),
  },
  {
    own: 200,
    foreign: 200,
    make: async (platform, owner) => ({ hidden: await notify(platform, owner) }),
  },
];

const position = { productId: 'p-1', price: 19, quantity: 1 };
const checkout = (username: string) => ({
  username,
  shopId: 'shop-1',
  totalCost: 19,
  orderPositions: [position],
});

const ownOrders = (named: boolean): Case => ({
  own: 200,
  foreign: named ? 403 : 200,
  async make(platform, owner) {
    const { number } = await placeOrder(platform, owner);
    return { hidden: String(number), ...(named ? { query: { username: owner.name } } : {}) };
  },
});

export const checkoutCases: Declarations = {
  'POST /api/v1/order': {
    own: 200,
    foreign: 403,
    async make(platform, owner) {
      await openWallet(platform, owner);
      return { body: checkout(owner.name), look: `/api/v1/order?username=${owner.name}` };
    },
  },
  'GET /api/v1/order': [ownOrders(true), ownOrders(false)],
  'GET /api/v1/order/{id}': order(200),
  'DELETE /api/v1/order/{id}': order(200),
  ...walletCases(ACCOUNT),
  ...walletCases('/billing/account'),
  'GET /api/v1/user/{username}': profile(200),
  'PUT /api/v1/user/{username}': profile(200, { ...PROFILE, firstName: 'Ada' }),
  'DELETE /api/v1/user/{username}': profile(200),
  'GET /api/v1/user/{username}/export': profile(200),
  'GET /api/v1/notif': notifications,
  'GET /api/v1/notification': notifications,
  'GET /api/v1/notification/{id}': {
    own: 200,
    foreign: 404,
    async make(platform, owner) {
      const id = await notify(platform, owner);
      return { path: { id }, hidden: id };
    },
  },
};
