/** What the inventory service follows: pets, and orders that give back what they hold. */
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import { followPets, releaseForOrders } from './commands.ts';
import type { InventoryContext } from './context.ts';

export const petNews: ConsumerDefinition<InventoryContext> = {
  topic: 'pets',
  handlers: {
    PET_CREATED: followPets,
    PET_UPDATED: followPets,
    PET_DELETED: followPets,
    PET_RESERVED: followPets,
    PET_RELEASED: followPets,
    PET_SOLD: followPets,
  },
};

export const orderNews: ConsumerDefinition<InventoryContext> = {
  topic: 'orders',
  restMs: 100,
  handlers: { ORDER_CANCELLED: releaseForOrders, ORDER_PAYMENT_FAILED: releaseForOrders },
};
