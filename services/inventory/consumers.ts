/** What the inventory service follows: pets. */
import type { ConsumerDefinition } from '@waybill/kit/consumer.ts';
import { followPets } from './commands.ts';
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
