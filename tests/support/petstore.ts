/** A petstore in the test's own process: orders, pets and inventory on one database. */
import { beforeAll, expect } from 'vitest';
import { inventory } from '@waybill/inventory/index.ts';
import { orders } from '@waybill/orders/index.ts';
import { pets } from '@waybill/pets/index.ts';
import { queryRows } from './database.ts';
import { someone, startServices, type CallOptions, type Running } from './service.ts';

export const anna = someone('anna');
export const ORDER = '/api/v3/store/order';

/** Starts it for the file. */
export function startPetstore() {
  let started: Running | undefined;
  beforeAll(async () => {
    started = await startServices([orders, pets, inventory], {
      SANDBOX_URL: 'http://127.0.0.1:1',
    });
  });
  const store = {
    get running(): Running {
      if (started === undefined) throw new Error('the tests have not begun');
      return started;
    },
    call: (...[method, path, options]: Parameters<Running['call']>) =>
      store.running.call(method, path, options),
    async addPet(): Promise<number> {
      const body = { name: 'doggie', photoUrls: [] };
      const answer = await store.call('POST', '/api/v3/pet', { body });
      expect(answer.status).toBe(200);
      return answer.body['id'] as unknown as number;
    },
    place: (body: unknown, options: Omit<CallOptions, 'body'> = {}) =>
      store.call('POST', ORDER, { as: anna, ...options, body }),
    read: (id: unknown, as = anna) => store.call('GET', `${ORDER}/${String(id)}`, { as }),
    step: (id: unknown, name: string, options: CallOptions = {}) =>
      store.call('POST', `/api/v1/orders/${String(id)}/${name}`, options),
    petStatus: async (id: number) =>
      (await store.call('GET', `/api/v3/pet/${id}`)).body['status'] as unknown as string,
    rows: <Row>(text: string, values: unknown[] = []) =>
      queryRows<Row>(store.running.databaseUrl, text, values),
  };
  return store;
}
