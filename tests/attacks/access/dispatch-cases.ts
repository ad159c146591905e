/** Whose things are whose behind the doors of chapter D: an executor's, and no other's. */
import type { Case, Declarations, Target } from './cases.ts';
import { placeOrder } from './delivery-cases.ts';
import { olga, type AccessPlatform, type Person } from './platform.ts';

const DISPATCH = '/api/v1/dispatch';

async function arrange(platform: AccessPlatform, path: string, body: unknown, who = olga) {
  const answer = await platform.send(who, { method: 'POST', path: DISPATCH + path, body });
  if (answer.status >= 300) throw new Error(`${path} ${answer.status} ${answer.text}`);
  return answer.json;
}

async function register(platform: AccessPlatform, { name }: Person): Promise<string> {
  const body = { executor_id: name, name: 'Ada', tags: ['bike'], rating: 4.8 };
  await arrange(platform, '/executors', body);
  return `${DISPATCH}/executors/${name}`;
}

async function assign(platform: AccessPlatform, owner: Person) {
  await register(platform, owner);
  const { id } = await placeOrder(platform, await platform.meet('customer'));
  const { epoch } = await arrange(platform, '/assignments', {
    order_id: id,
    executor_id: owner.name,
  });
  return { id, epoch, look: `${DISPATCH}/assignments/${id}` };
}

async function acquire(platform: AccessPlatform, owner: Person) {
  const assignment = await assign(platform, owner);
  await arrange(platform, `/executors/${owner.name}/acquire`, {}, owner);
  return assignment;
}

const executor = { role: 'executor', own: 200, foreign: 404 } as const;

const registered = (body?: unknown): Case => ({
  ...executor,
  make: async (platform, owner) => ({
    path: { executor_id: owner.name },
    look: await register(platform, owner),
    ...(body === undefined ? {} : { body }),
  }),
});

/** Under the holder's path, and under the own one. */
const report: readonly Case[] = [{}, { own: true }].map((variant): Case => ({
  ...executor,
  async make(platform, owner) {
    const { id, epoch, look } = await acquire(platform, owner);
    const path = { executor_id: owner.name, order_id: id };
    const target: Target = { path, body: { epoch }, look };
    if (!('own' in variant)) return target;
    return { ...target, asOther: ({ name }) => ({ path: { ...path, executor_id: name } }) };
  },
}));

const REPORTS = `POST ${DISPATCH}/executors/{executor_id}/orders/{order_id}`;

export const dispatchCases: Declarations = {
  [`GET ${DISPATCH}/executors/{executor_id}`]: registered(),
  [`PUT ${DISPATCH}/executors/{executor_id}/location`]: registered({ latitude: 1, longitude: 2 }),
  [`POST ${DISPATCH}/executors/{executor_id}/acquire`]: [
    {
      ...executor,
      async make(platform, owner) {
        const { id, look } = await assign(platform, owner);
        return { path: { executor_id: owner.name }, look, hidden: id };
      },
    },
    {
      ...executor,
      // Whoever asks for themselves gets nothing of others.
      foreign: 204,
      async make(platform, owner) {
        const { id, look } = await assign(platform, owner);
        const path = { executor_id: owner.name };
        return { path, look, hidden: id, asOther: ({ name }) => ({ path: { executor_id: name } }) };
      },
    },
  ],
  [`GET ${DISPATCH}/assignments/{order_id}`]: {
    ...executor,
    async make(platform, owner) {
      const { id } = await assign(platform, owner);
      return { path: { order_id: id }, hidden: id };
    },
  },
  [`GET ${DISPATCH}/assignments`]: [
    {
      ...executor,
      async make(platform, owner) {
        const { id } = await assign(platform, owner);
        return { query: { executor_id: owner.name }, hidden: id };
      },
    },
    {
      ...executor,
      foreign: 200,
      make: async (platform, owner) => ({ hidden: (await assign(platform, owner)).id }),
    },
  ],
  [`${REPORTS}/picked-up`]: report,
  [`${REPORTS}/delivered`]: report,
  [`${REPORTS}/failed`]: report,
};
