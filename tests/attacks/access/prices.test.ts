/** A09: a customer who says what things cost is not believed where prices come from a catalog. */
import { expect, test } from 'vitest';
import { expectRefusal, orderWith } from '../client.ts';
import { anna, olga, program, startPlatform } from './platform.ts';

const platform = startPlatform({ PRICES: 'catalog' });

const delivery = { path: '/api/v1/orders', body: orderWith({ customer_id: anna.name }) };
const checkout = {
  path: '/api/v1/order',
  body: {
    username: anna.name,
    shopId: 'shop-1',
    totalCost: 0.01,
    orderPositions: [{ productId: 'p-1', price: 0.01, quantity: 1 }],
  },
};

test.each([delivery, checkout])('A09 $path', async (sent) => {
  const count = async () => (await platform.send(anna, { path: '/api/v1/orders' })).json['total'];
  const before = await count();
  expectRefusal(await platform.send(anna, sent), 422, 'price_not_trusted');
  expect(await count()).toBe(before);
  // Those who run the shop know what things cost.
  for (const who of [olga, program])
    expect((await platform.send(who, sent)).status).toBeLessThan(300);
});
