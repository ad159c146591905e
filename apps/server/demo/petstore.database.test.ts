/** The demo data of the petstore, loaded through the entrance as a person would. */
import { beforeAll, expect, test } from 'vitest';
import { auth } from '@waybill/auth/index.ts';
import { billing } from '@waybill/billing/index.ts';
import { customers } from '@waybill/customers/index.ts';
import { gateway } from '@waybill/gateway/index.ts';
import { inventory } from '@waybill/inventory/index.ts';
import { openLogger } from '@waybill/kit/logger.ts';
import { notifications } from '@waybill/notifications/index.ts';
import { orders } from '@waybill/orders/index.ts';
import { pets } from '@waybill/pets/index.ts';
import { photos } from '@waybill/photos/index.ts';
import { startServices, type Running } from '../../../tests/support/service.ts';
import { until } from '../../../tests/support/waybill.ts';
import { openApi, type Api } from '../api.ts';
import { loadPetstore, loadWhenUnused } from './petstore.ts';

const log = openLogger('silent');
let running: Running;
let api: Api;

beforeAll(async () => {
  const people = [auth, customers, billing, notifications];
  running = await startServices([gateway, ...people, orders, pets, photos, inventory]);
  api = openApi({ url: running.process.url });
  return () => api.close();
});

const counts = () => api.ask<Record<string, number>>('GET', '/api/v3/store/inventory');
const pet = (id: number) =>
  api.ask<{ status: string; photoUrls: string[] }>('GET', `/api/v3/pet/${id}`);

test('is loaded into a Waybill that nobody has used, and into no other', async () => {
  const url = running.process.url;
  await api.ask('POST', '/api/v3/pet', { id: 77, name: 'Mine', photoUrls: [] });
  await loadWhenUnused(url, log);
  expect((await api.send('GET', '/api/v3/pet/1')).status).toBe(404);
  expect((await fetch(`${url}/api/v3/pet/77`, { method: 'DELETE' })).status).toBe(200);
  await loadWhenUnused(url, log);
  for (let id = 1; id <= 10; id++) {
    const [photo = ''] = (await pet(id)).photoUrls;
    const reply = await fetch(`${url}${photo}/thumbnail`);
    expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'image/webp']);
  }
  await until(async () => (await counts())['sold'] === 2);
  expect(await counts()).toEqual({ available: 7, pending: 1, sold: 2 });
  const statuses = await Promise.all(
    [1, 2, 3].map((id) => api.ask<{ status: string }>('GET', `/api/v3/store/order/${id}`)),
  );
  expect(statuses.map(({ status }) => status)).toEqual(['placed', 'approved', 'delivered']);
});

test('is completed on request, and what is there is left as it is', async () => {
  const url = running.process.url;
  await fetch(`${url}/api/v3/pet/1`, { method: 'DELETE' });
  await api.ask('POST', '/api/v3/pet/2?name=Renamed');
  expect(await loadPetstore(api)).toMatchObject({ pets: 1, orders: 0, users: 0 });
  expect(await pet(2)).toMatchObject({ name: 'Renamed' });
  expect(await loadPetstore(api)).toMatchObject({ pets: 0, orders: 0, users: 0 });
  expect(await api.ask('GET', '/api/v3/user/user10')).toMatchObject({ username: 'user10' });
});

test('never puts a pet of its own in the place of another', async () => {
  // Somebody adds one between the look and the addition.
  const url = running.process.url;
  await fetch(`${url}/api/v3/pet/1`, { method: 'DELETE' });
  const late: Api = {
    ...api,
    async send(method, path, ...rest) {
      const reply = await api.send(method, path, ...rest);
      if (method === 'GET' && path === '/api/v3/pet/1' && reply.status === 404)
        await api.ask('POST', '/api/v3/pet', { id: 1, name: 'Mine', photoUrls: [] });
      return reply;
    },
  };
  expect(await loadPetstore(late)).toMatchObject({ pets: 0 });
  expect(await pet(1)).toMatchObject({ name: 'Mine', photoUrls: [] });
});
